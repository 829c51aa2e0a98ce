"""Elements to pad with, of every datatype."""

import numpy as np
import pytest

from inferd.models.pad_values import pad_value
from inferd.protocol.datatypes import BY_NAME


@pytest.mark.parametrize("datatype", sorted(BY_NAME))
def test_nothing_is_zero_or_empty(datatype):
    """The default pads with what an empty array has."""
    array = np.full(2, pad_value(datatype, ""), BY_NAME[datatype].dtype)

    assert array.tolist() == ([b"", b""] if datatype == "BYTES" else [0, 0])


@pytest.mark.parametrize(
    ("datatype", "text", "expected"),
    [
        ("INT8", " -128 ", -128),
        ("UINT8", "255", 255),
        ("INT64", "-9223372036854775808", -(2**63)),
        ("UINT64", "18446744073709551615", 2**64 - 1),
        ("FP16", "65504", 65504),
        ("FP32", "-1e4", -10000),
        ("FP64", "-inf", -np.inf),
        ("BOOL", "True", True),
        ("BOOL", "0", False),
        ("BYTES", " [PAD] ", b" [PAD] "),
        ("BF16", "1", 0x3F80),
        ("BF16", "-2.5", 0xC020),
        ("BF16", "1.01171875", 0x3F82),
    ],
)
def test_elements_are_exact(datatype, text, expected):
    """Limits included; BF16 is its bit pattern, rounded to even."""
    array = np.full(1, pad_value(datatype, text), BY_NAME[datatype].dtype)

    assert array.tolist() == [expected]


def test_not_a_number_is_a_float():
    """As in JSON."""
    assert np.isnan(pad_value("FP32", "nan"))


@pytest.mark.parametrize(
    ("datatype", "text"),
    [
        ("INT8", "-129"),
        ("INT8", "128"),
        ("UINT8", "-1"),
        ("INT32", "0.5"),
        ("FP16", "65520"),
        ("FP32", "1e39"),
        ("FP32", "one"),
        ("BF16", "one"),
        ("BOOL", "2"),
    ],
)
def test_what_the_datatype_cannot_hold_is_refused(datatype, text):
    """Instead of padding with something else."""
    with pytest.raises(ValueError, match=r".+"):
        pad_value(datatype, text)
