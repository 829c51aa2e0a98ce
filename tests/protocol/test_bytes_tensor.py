"""Length-prefixed elements of BYTES tensors."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from inferd.protocol import bytes_tensor
from inferd.protocol.bytes_tensor import BytesFormatError, to_array


def implementations(function):
    """Return the implementations of a function: the chosen one, and the one in Python."""
    names = (function, f"{function}_in_python")
    return pytest.mark.parametrize(function, [getattr(bytes_tensor, name) for name in names])


splits, joins = implementations("split"), implementations("join")


@splits
@joins
@given(elements=st.lists(st.binary(max_size=20)))
def test_split_undoes_join(split, join, elements):
    """Whatever the elements, embedded zeros and empty ones included."""
    assert split(join(elements)) == elements


@joins
def test_text_is_encoded_as_utf8(join):
    """Lengths count bytes, not characters."""
    assert join(["é"]) == b"\x02\x00\x00\x00\xc3\xa9"


@splits
@pytest.mark.parametrize(
    ("raw", "length", "available"),
    [
        (b"\x01\x00\x00", None, 3),
        (b"\x02\x00\x00\x00a", 2, 1),
        (b"\xff\xff\xff\xffabc", 2**32 - 1, 3),
    ],
)
def test_a_cut_element_says_what_is_missing(split, raw, length, available):
    """A hostile length allocates nothing."""
    with pytest.raises(BytesFormatError) as caught:
        split(raw)

    assert (caught.value.length, caught.value.available) == (length, available)


@splits
def test_an_element_may_end_exactly_at_the_end(split):
    """No byte is left over."""
    assert split(b"\x01\x00\x00\x00a") == [b"a"]


def test_elements_take_the_tensors_shape():
    """Row-major."""
    assert to_array([b"a", b"b", b"c", b"d"], (2, 2)).tolist() == [[b"a", b"b"], [b"c", b"d"]]
