"""Reads the element a tensor is padded with, for every datatype."""

import math
from typing import Any

import numpy as np

from inferd.protocol.datatypes import BY_NAME

_BOOLS = {"": False, "0": False, "false": False, "1": True, "true": True}


def pad_value(datatype: str, text: str) -> Any:
    """
    Return an element as arrays of the datatype hold it.

    Args:
        datatype: A wire name, such as ``"FP32"``.
        text: The element; ``""`` is 0, false or the empty string.

    Raises:
        ValueError: The text is no element of the datatype.
    """
    dtype = BY_NAME[datatype].dtype
    if datatype == "BYTES":
        return text.encode()
    text = text.strip()
    if datatype == "BF16":
        # A bfloat16 is the upper half of a float32, here rounded to nearest even.
        bits = int(_real(text, np.dtype(np.float32)).view(np.uint32))
        return dtype.type((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF)
    if dtype.kind == "b":
        if text.lower() not in _BOOLS:
            raise ValueError(text)
        return np.bool_(_BOOLS[text.lower()])
    if dtype.kind == "f":
        return _real(text, dtype)
    number, limits = int(text or "0"), np.iinfo(dtype.str)
    if not limits.min <= number <= limits.max:
        raise ValueError(text)
    return dtype.type(number)


def _real(text: str, dtype: "np.dtype[Any]") -> Any:
    """Return a float; one that is too large for the datatype is none."""
    number = float(text or "0")
    with np.errstate(over="ignore"):
        value = dtype.type(number)
    if math.isfinite(number) and not np.isfinite(value):
        raise ValueError(text)
    return value
