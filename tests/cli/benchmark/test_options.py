"""Tests of reading the options of the load generator."""

import argparse

import pytest

from inferd.cli.benchmark import options
from inferd.cli.benchmark.plan import Level


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
    assert options.concurrency_range(text) == expected


def test_rate_range_takes_fractions():
    """Rates need not be whole numbers."""
    assert options.rate_range("0.5:1.5:0.5") == (0.5, 1.0, 1.5)
    assert options.rate_range("0.1:0.3:0.1") == pytest.approx((0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "2:1", "1:2:0", "1:2:3:4", "1:10001", "1:", "1.5"]
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
    ],
)
def test_bad_values(read, text):
    """A value that cannot be meant is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


def test_levels():
    """One request in flight is the default; a rate excludes a concurrency."""
    assert options.levels(None, None, poisson=False) == [Level(concurrency=1)]
    assert options.levels((1, 2), None, poisson=False) == [Level(1), Level(2)]
    assert options.levels(None, (5.0,), poisson=True) == [Level(rate=5.0, poisson=True)]
