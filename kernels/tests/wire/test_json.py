"""Numbers read from JSON: Python's own reading of doubles is the judge."""

import json
import math
import re
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

kernel = pytest.importorskip("inferd_kernels.wire._json", reason="the kernel is not built")

BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FP32, FP64 = range(11)
DTYPES = {
    **{BOOL: "?", INT8: "i1", INT16: "i2", INT32: "i4", INT64: "i8"},
    **{UINT8: "u1", UINT16: "u2", UINT32: "u4", UINT64: "u8", FP32: "f4", FP64: "f8"},
}

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def read(text, kind=FP64, count=1):
    """Return the numbers of a text, or ``None`` when the kernel leaves it to others."""
    array = np.full(count, 77).astype(DTYPES[kind])
    raw = b"12" + text + b"]3"
    return array if kernel.fill(raw, 2, 2 + len(text), kind, array) else None


def same(text):
    """Return whether a number is read as Python reads it, to the last bit."""
    found = read(b"[%s]" % text.encode())
    return found is not None and found.tobytes() == np.array([float(text)]).tobytes()


@given(FINITE, st.integers(1, 40))
def test_doubles_are_read_exactly(value, digits):
    """The shortest text of a double, and longer and shorter ones, with an exponent and without."""
    texts = [repr(value), f"{value:.{digits}e}", f"{value:.{digits}E}", f"{value:.{digits}f}"]
    for text in texts:
        if math.isfinite(float(text)) and (float(text) or not re.search("[1-9]", text)):
            assert same(text), text


@given(st.integers(0, 10**19), st.integers(-330, 290))
def test_any_digits_and_any_exponent_are_read_exactly(digits, exponent):
    """Numbers that are nobody's shortest text, around every power of ten."""
    text = f"{digits}e{exponent}"
    if digits == 0 or 1e-320 < float(text) < math.inf:
        assert same(text), text


@given(FINITE.filter(lambda value: 1e-290 < abs(value) < 1e290), st.sampled_from([-1, 0, 1]))
def test_what_is_halfway_between_two_doubles_is_read_exactly(value, beside):
    """All digits of the middle, and one more or less in the last of them."""
    middle = (Fraction(value) + Fraction(math.nextafter(value, math.inf))) / 2
    power = middle.denominator.bit_length() - 1
    digits = middle.numerator * 5**power + beside
    assert same(f"{digits}e{-power}")


@pytest.mark.parametrize(
    "text",
    [
        *("0.0", "-0.0", "-0e7", "1", "-1", "1E5", "1e+05", "0.1", "9007199254740993", "1" * 60),
        *("5e-324", "2.5e-324", "2.2250738585072014e-308", "2.2250738585072011e-308"),
        *("1.7976931348623157e308", "9223372036854775807", "18446744073709551616", "1e22", "1e23"),
        *(
            "0." + "0" * 30 + "123456789012345678",
            "0.3000000000000000166533453693773481063544750213",
        ),
        *("1" + "0" * 50 + "e-50", "0e999999999999999999", "100000000000000016777215"),
    ],
)
def test_numbers_at_the_edges(text):
    """Zeros, the ends of the ranges, ties and more digits than a double has."""
    assert same(text)


def test_an_integer_has_no_negative_zero():
    """``-0`` is the integer 0 that became a float, ``-0.0`` is not."""
    assert math.copysign(1, read(b"[-0]")[0]) == 1
    assert math.copysign(1, read(b"[-0.0]", FP32)[0]) == -1


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(5, 20))
def test_floats_are_rounded_twice(value, digits):
    """FP32 is the nearest double's nearest float, infinite where a double is too large for it."""
    for text in (f"{value:.{digits}e}", f"{value * 2.0:.{digits}e}", f"{value + 2.0**-60:.25e}"):
        with np.errstate(over="ignore"):
            assert read(b"[%s]" % text.encode(), FP32)[0] == np.float32(float(text))


@pytest.mark.parametrize("kind", [kind for kind in DTYPES if INT8 <= kind <= UINT64])
def test_integers_are_read_within_their_range(kind):
    """The ends of each range are exact; one more or less is left to others."""
    limits = np.iinfo(DTYPES[kind])
    low, high = int(limits.min), int(limits.max)
    text = json.dumps([low, high, 0, high // 3]).encode()
    assert read(text, kind, 4).tolist() == [low, high, 0, high // 3]
    assert read(b"[-0]", kind).tolist() == [0]
    for wrong in (
        b"%d" % (low - 1),
        b"%d" % (high + 1),
        b"1.0",
        b"1e2",
        b"1" * 21,
        b"-" + b"9" * 20,
    ):
        assert read(b"[%s]" % wrong, kind) is None


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9))
def test_integers_are_read_exactly(values):
    """Every int64 has its own value."""
    assert read(json.dumps(values).encode(), INT64, len(values)).tolist() == values


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"[]", 0),
        (b" [ ]", 0),
        (b"[[],[[]]]", 0),
        (b"[[],1,[[2],[]],3]", 3),
        (b"[\n1\t,\r2 ]", 2),
        (b"[" * 100 + b"1" + b"]" * 100, 1),
    ],
)
def test_arrays_are_read_however_nested(text, count):
    """Only the order of the elements counts, down to a hundred levels."""
    assert read(text, INT8, count).tolist() == list(range(1, count + 1))


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b"]",
            b"[",
            b"[1",
            b"1]",
            b"1",
            b"[1]]",
            b"[[1]",
            b"[1][1]",
            b"[1],",
            b"[1]x",
            b",[1]",
        ),
        *(
            b"[,1]",
            b"[1,]",
            b"[1, ]",
            b"[[1,]]",
            b"[1,,2]",
            b"[1 2]",
            b"[1[2]]",
            b"[[1]2]",
            b"[1;2]",
        ),
        *(
            b"[01]",
            b"[-01]",
            b"[00]",
            b"[1.]",
            b"[.5]",
            b"[-.5]",
            b"[+1]",
            b"[-]",
            b"[--1]",
            b"[1-]",
        ),
        *(b"[1e]", b"[1e+]", b"[1.e1]", b"[1.5.2]", b"[1e2.5]", b"[1e2e3]", b"[0x1]", b"[1_0]"),
        *(
            b"[NaN]",
            b"[Infinity]",
            b"[-Infinity]",
            b"[inf]",
            b"[nan]",
            b"[null]",
            b"[true]",
            b'["1"]',
        ),
        *(b"[{}]", b"[1\x0b]", b"[\xc2\xa01]", b"[1\x00]", b"[1]\x00", b"[\xff]", b"[1/**/]"),
        *(b"[1e400]", b"[-1e400]", b"[1e-400]", b"[%s]" % (b"9" * 400)),
        *(b"[1,2]", b"[]", b"[[]]", b"[" * 101 + b"1" + b"]" * 101),
    ],
)
@pytest.mark.parametrize("kind", [FP64, FP32])
def test_what_is_no_array_of_one_number_is_left_to_others(text, kind):
    """Broken grammar, other values, another count, deeper nesting, what no double holds."""
    assert read(text, kind) is None


def test_booleans_are_read():
    """Words, and nothing but them."""
    assert read(b"[true,[false ]]", BOOL, 2).tolist() == [True, False]
    for wrong in (b"[1]", b"[tru]", b"[fals]", b"[truee]", b"[True]", b"[null]", b"[t]", b"[f]"):
        assert read(wrong, BOOL) is None


@given(st.binary(max_size=40) | st.text("[]0123456789.-+eE, ", max_size=40).map(str.encode))
def test_whatever_is_read_is_json(text):
    """What the kernel takes, Python's reader takes, with the same numbers."""
    count = text.count(b",") + 1
    found = read(b"[" + text + b"]", FP64, count)
    if found is not None:
        flat = re.sub(r"[\[\] ]", "", (b"[" + text + b"]").decode())
        json.loads(b"[" + text + b"]")
        assert found.tolist() == [float(one) for one in flat.split(",")]


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (0, 4), (3, 3), (2, 1), (0, 2)])
def test_places_outside_of_the_text_are_refused(start, stop):
    """No text is read that does not end with the array's bracket."""
    assert not kernel.fill(b"[1]", start, stop, FP64, np.empty(1))


def test_unknown_kinds_are_refused():
    """A kind has to be one of those that are numbered."""
    for kind in (-1, 11):
        with pytest.raises(ValueError, match=f"there is no kind {kind}"):
            kernel.fill(b"[1]", 0, 3, kind, np.empty(1))


def test_arrays_are_cut_out_of_a_request():
    """The rest is the same document with ``null`` in it."""
    raw = (
        b'{"id":"[","inputs":[{"data":[1,2],"x":"\\"]"},{"y":[{"data":[3]}],"data" : [[4],[5]]}]} '
    )
    rest, cuts = kernel.cut(raw, 1)
    assert rest == (
        b'{"id":"[","inputs":[{"data":null,"x":"\\"]"},{"y":[{"data":[3]}],"data" : null}]} '
    )
    assert [(index, raw[start:stop]) for index, start, stop in cuts] == [
        (0, b"[1,2]"),
        (1, b"[[4],[5]]"),
    ]
    assert kernel.cut(memoryview(raw), 6)[1] == cuts[1:]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[]", b"{}", b"null", b'{"inputs":[]}'),
        b'{"inputs":[{"data":[]}]}',
        b'{"inputs":[{"data":["a"]}]}',
        b'{"inputs":[{"data":[1,"a"]}]}',
        b'{"inputs":[{"data":1}]}',
        b'{"inputs":[{"data":null}]}',
        b'{"inputs":[{"Data":[1]}]}',
        b'{"inputs":[[{"data":[1]}]]}',
        b'{"inputs":[1,{"data":[1]}]}',
        b'{"outputs":[{"data":[1]}]}',
        b'{"parameters":{"inputs":[{"data":[1]}]}}',
        b'{"inputs":[{"parameters":{"data":[1]}}]}',
        b'{"inputs":[{"data":[1],"data":[2]}]}',
        b'{"inputs":[{"data":[1],"d\\u0061ta":[2]}]}',
        b'{"inputs":[{"data":[1]}],"inputs":[]}',
    ],
)
def test_nothing_else_is_cut(raw):
    """Only arrays of numbers, and only where the name is not written twice or in another way."""
    assert kernel.cut(raw, 1) is None


def test_a_request_that_ends_too_early_is_not_cut():
    """Every beginning of a request is looked at to its end and no further."""
    raw = b'{"a":"\\"","inputs":[{"x":{"y":[1]},"data":[[1],2],"z":true}],"b":[]}'
    assert kernel.cut(raw, 1) is not None
    for size in range(len(raw)):
        assert kernel.cut(bytes(raw[:size]), 1) is None


def test_others_run_while_the_kernel_works():
    """A thread that reads a long array does not keep the interpreter to itself."""
    text = b"[" + b",".join([b"1.5"] * 1_000_000) + b"]"
    array = np.empty(1_000_000)
    begun, ended = threading.Event(), threading.Event()

    def work():
        begun.set()
        for _ in range(20):
            kernel.fill(text, 0, len(text), FP64, array)
        ended.set()

    thread = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(100)  # nobody gives way unless it is of their own accord
    try:
        thread.start()
        begun.wait()
        beside = not ended.is_set()
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert beside
    assert array[-1] == 1.5
