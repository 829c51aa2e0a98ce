"""Tests of reading the options of the load generator."""

import argparse

import pytest

from inferd.cli.benchmark import options
from inferd.cli.clients.client import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4", (4,)),
        ("1:4", (1, 2, 3, 4)),
        ("1:8:3", (1, 4, 7)),
        ("2:2:5", (2,)),
        ("1:10000", tuple(range(1, 10001))),
    ],
)
def test_concurrency_range(text, expected):
    """A range includes its end where a step reaches it."""
    assert tuple(options.concurrency_range(text).values()) == expected


def test_rate_range_takes_fractions():
    """Rates need not be whole numbers."""
    assert options.rate_range("0.5:1.5:0.5").values() == [0.5, 1.0, 1.5]
    assert options.rate_range("0.1:0.3:0.1").values() == pytest.approx([0.1, 0.2, 0.3])


def test_range_without_an_end():
    """An end of 0 is none; a range of one value has none that was given."""
    assert options.concurrency_range("2:0:3") == options.Range(2, 0, 3)
    assert not options.concurrency_range("2").has_end


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "2:1", "1:2:0", "1:2:3:4", "1:10001", "0:0", "1:", "1.5"]
)
def test_bad_concurrency_range(text):
    """What makes no range is refused, with the text."""
    with pytest.raises(argparse.ArgumentTypeError):
        options.concurrency_range(text)


@pytest.mark.parametrize("text", ["inf", "nan", "1:inf", "1:2:nan"])
def test_rates_are_finite(text):
    """Infinite rates are refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        options.rate_range(text)


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (options.header, "Key: a:b", ("Key", "a:b")),
        (options.natural, "0", 0),
        (options.percentile, "99.9", 99.9),
        (options.percentile, "100", 100.0),
        (options.percentile, "-1", None),
        (options.output_file(".csv"), "a.CSV", "a.CSV"),
        (options.percentage, "0", 0.0),
        (options.percentage, "100", 100.0),
        (options.compression, "none", ""),
        (options.compression, "gzip", "gzip"),
        (options.id_range, "7", (7, 0)),
        (options.id_range, "7:8", (7, 8)),
        (options.id_range, f"{2**63 - 1}:{2**63}", (2**63 - 1, 2**63)),
        (options.request_parameter, "a:1:int", ("a", 1)),
        (options.request_parameter, "a:b:c:string", ("a", "b:c")),
        (options.request_parameter, "a:True:bool", ("a", True)),
        (options.request_parameter, "a:1.5:float", ("a", 1.5)),
        (options.service_kind, "triton", "triton"),
        (options.shared_memory, "none", "none"),
    ],
)
def test_values(read, text, expected):
    """Values are read as written."""
    assert read(text) == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (options.header, "a"),
        (options.header, ":a"),
        (options.header, "a:b\r\nc"),
        (options.natural, "x"),
        (options.percentile, "0"),
        (options.percentile, "100.1"),
        (options.percentile, "x"),
        (options.output_file(".csv"), "a.txt"),
        (options.percentage, "-0.1"),
        (options.percentage, "100.1"),
        (options.percentage, "x"),
        (options.compression, "zip"),
        (options.id_range, "0"),
        (options.id_range, "2:2"),
        (options.id_range, "1:2:3"),
        (options.id_range, str(2**63)),
        (options.id_range, f"1:{2**63 + 1}"),
        (options.request_parameter, "a:x:int"),
        (options.request_parameter, "a:x:bool"),
        (options.request_parameter, "a:1:double"),
        (options.service_kind, "tfserving"),
        (options.shared_memory, "system"),
    ],
)
def test_bad_values(read, text):
    """A value that cannot be meant is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


def test_intervals():
    """Microseconds, one number per line, become nanoseconds."""
    assert options.read_intervals("100\n0\n0.5\n", "f") == (100_000, 0, 500)


@pytest.mark.parametrize("text", ["", "x", "1\n-1", "0\n0", "inf"])
def test_bad_intervals(text):
    """Intervals that make no rate are refused with the file's name."""
    with pytest.raises(UsageError, match=r"^f (holds|is not)"):
        options.read_intervals(text, "f")
