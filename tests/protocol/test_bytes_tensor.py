"""Length-prefixed elements of BYTES tensors."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from inferd.protocol.bytes_tensor import BytesFormatError, join, split, to_array


@given(st.lists(st.binary(max_size=20)))
def test_split_undoes_join(elements):
    """Whatever the elements, embedded zeros and empty ones included."""
    assert split(join(elements)) == elements


def test_text_is_encoded_as_utf8():
    """Lengths count bytes, not characters."""
    assert join(["é"]) == b"\x02\x00\x00\x00\xc3\xa9"


@pytest.mark.parametrize(
    ("raw", "length", "available"),
    [
        (b"\x01\x00\x00", None, 3),
        (b"\x02\x00\x00\x00a", 2, 1),
        (b"\xff\xff\xff\xffabc", 2**32 - 1, 3),
    ],
)
def test_a_cut_element_says_what_is_missing(raw, length, available):
    """A hostile length allocates nothing."""
    with pytest.raises(BytesFormatError) as caught:
        split(raw)

    assert (caught.value.length, caught.value.available) == (length, available)


def test_an_element_may_end_exactly_at_the_end():
    """No byte is left over."""
    assert split(b"\x01\x00\x00\x00a") == [b"a"]


def test_elements_take_the_tensors_shape():
    """Row-major."""
    assert to_array([b"a", b"b", b"c", b"d"], (2, 2)).tolist() == [[b"a", b"b"], [b"c", b"d"]]
