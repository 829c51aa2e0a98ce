"""Floats written into JSON: Python's own reading and writing of doubles is the judge."""

import json
import math
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

kernel = pytest.importorskip("inferd_kernels.wire._json", reason="the kernel is not built")

INT32, FP32, FP64 = 3, 9, 10

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def written(values, dtype="f8"):
    """Return the text of an array."""
    array = np.array(values, dtype)
    return kernel.write(b"\0", [(FP64 if array.itemsize == 8 else FP32, array)])


@given(st.lists(FINITE, max_size=40))
def test_doubles_are_written_as_short_as_they_can_be(values):
    """The digits are those of Python's repr, and they read back to the same bits."""
    array = np.array(values, "f8")
    text = written(array)
    texts = text[1:-1].decode().split(",") if values else []
    assert [Decimal(one) for one in texts] == [Decimal(repr(value)) for value in values]
    assert all(re.search(r"\.\d|e", one) for one in texts)
    assert np.array(json.loads(text), "f8").tobytes() == array.tobytes()


@given(st.integers(-(10**17), 10**17), st.integers(0, 12), st.sampled_from([0, 1, -1]))
def test_doubles_with_few_digits_are_written_in_few(digits, places, ulps):
    """Prices and pixels, and the doubles beside them, which look quite different."""
    value = digits / 10**places
    for _ in range(abs(ulps)):
        value = math.nextafter(value, ulps * math.inf)
    assert Decimal(written([value])[1:-1].decode()) == Decimal(repr(value))


@given(st.integers(0, 2**64 - 1))
def test_every_pattern_of_bits_is_written(bits):
    """Subnormals and powers of two, whose neighbours are not evenly far away, included."""
    for pattern in (bits, bits & 0xFFF0000000000000, bits & 0x800FFFFFFFFFFFFF):
        [value] = np.array([pattern], "u8").view("f8").tolist()
        expected = json.loads(json.dumps(value))
        assert json.dumps(json.loads(written([value]))) == json.dumps([expected])
        if math.isfinite(value):
            assert Decimal(written([value])[1:-1].decode()) == Decimal(repr(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (100.0, "100.0"),
        ),
        *((1e15, "1000000000000000.0"), (1e16, "1e+16"), (1.5e16, "1.5e+16"), (1e300, "1e+300")),
        *((0.00001, "0.00001"), (0.000015, "0.000015"), (0.000001, "1e-6"), (-2.5e-7, "-2.5e-7")),
        *((1234567.875, "1234567.875"), (9007199254740991.0, "9007199254740991.0")),
        *((5e-324, "5e-324"), (-1.7976931348623157e308, "-1.7976931348623157e+308")),
        *((math.nan, "NaN"), (-math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")),
        *(
            (-0.000012345678901234567, "-0.000012345678901234568"),
            (2.0**-1022, "2.2250738585072014e-308"),
        ),
        *((9.5367431640625e-7, "9.5367431640625e-7"), (2.0**60, "1.152921504606847e+18")),
    ],
)
def test_how_doubles_are_written(value, text):
    """Plainly from 0.00001 to below 10^16, else with an exponent; bare where there is no number."""
    assert written([value]) == f"[{text}]".encode()


def test_powers_of_two_and_ten_are_written():
    """Below a power of two doubles are half as far apart as above it."""
    values = [2.0**power for power in range(-1074, 1024)]
    values += [float(f"1e{power}") for power in range(-323, 309)]
    texts = written(values)[1:-1].decode().split(",")
    assert [Decimal(text) for text in texts] == [Decimal(repr(value)) for value in values]


def test_floats_are_written_as_their_double():
    """float32 0.1 has the digits of its double."""
    assert written([0.1, 1, -2.5], "f4") == b"[0.10000000149011612,1.0,-2.5]"


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_arrays_of_any_length_are_written(count):
    """The last element has no comma behind it, and an array may be empty."""
    values = [index / 3 for index in range(count)]
    assert json.loads(written(values)) == values


def test_integers_are_not_written():
    """They are left to others."""
    with pytest.raises(ValueError, match="kind 3 are not written"):
        kernel.write(b"\0", [(INT32, np.empty(1, np.int32))])


def test_arrays_are_written_into_their_document():
    """Each NUL makes room for one array."""
    arrays = [(FP32, np.array([1, 2], "f4")), (FP64, np.array([[0.5]]))]
    assert kernel.write(b'{"a":\0,"b":\0}', arrays) == b'{"a":[1.0,2.0],"b":[0.5]}'
    assert kernel.write(b"{}", []) == b"{}"
    with pytest.raises(ValueError, match="no place for 2 arrays"):
        kernel.write(b"\0", arrays)
    with pytest.raises(ValueError, match="more places than for 2 arrays"):
        kernel.write(b"\0\0\0", arrays)


def test_what_was_written_is_bytes_like_any_other():
    """It has its length, can be hashed, joined and compared, long as well as short."""
    for count in (1, 10000):
        text = written([1 / 3] * count)
        assert len(text) == len(b"".join([text])) == 1 + 19 * count
        assert hash(text) == hash(bytes(bytearray(text)))
        assert text.startswith(b"[0.3333333333333333")
        assert text.endswith(b"]")
