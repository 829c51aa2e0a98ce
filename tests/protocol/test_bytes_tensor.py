"""Length-prefixed elements of BYTES tensors."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from inferd.protocol import bytes_tensor
from inferd.protocol.bytes_tensor import BytesFormatError, to_array


def implementations(function):
    """Return the implementations of a function: the chosen one, and the one in Python."""
    names = (function, f"{function}_in_python")
    return pytest.mark.parametrize(function, [getattr(bytes_tensor, name) for name in names])


splits, joins = implementations("split"), implementations("join")
unpacks, array_joins = implementations("unpack"), implementations("join_array")


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


def objects(elements):
    """Return a flat array of objects."""
    array = np.empty(len(elements), object)
    array[:] = elements
    return array


@unpacks
@array_joins
@given(elements=st.lists(st.binary(max_size=20)))
def test_unpacking_undoes_joining_an_array(unpack, join_array, elements):
    """Every element has its place, and their number is told."""
    raw = join_array(objects(elements))
    array = np.empty(len(elements), object)

    assert raw == bytes_tensor.join_in_python(elements)
    assert unpack(raw, array) == len(elements)
    assert array.tolist() == elements


@unpacks
@pytest.mark.parametrize("room", [0, 2, 4])
def test_elements_are_counted_whatever_the_room(unpack, room):
    """Neither those without a place nor places without an element do harm."""
    array = np.empty(room, object)

    assert unpack(bytes_tensor.join_in_python([b"a", b"b", b"c"]), array) == 3
    assert len(array) == room


@unpacks
@pytest.mark.parametrize(
    ("raw", "length", "available"),
    [(b"\x01\x00\x00\x00a\x02\x00", None, 2), (b"\x00\x00\x00\x00\x02\x00\x00\x00a", 2, 1)],
)
def test_a_cut_element_says_what_is_missing_when_unpacking(unpack, raw, length, available):
    """As when splitting, also behind the last place."""
    for room in (1, 2):
        with pytest.raises(BytesFormatError) as caught:
            unpack(raw, np.empty(room, object))

        assert (caught.value.length, caught.value.available) == (length, available)


@array_joins
@pytest.mark.parametrize(
    "array",
    [objects([b"a", "é"]), np.array([b"a", b"\xc3\xa9"]), np.array(["a", "é"]), objects([])],
    ids=["text and bytes", "fixed bytes", "fixed text", "nothing"],
)
def test_arrays_of_any_kind_of_string_are_joined(join_array, array):
    """Text becomes UTF-8."""
    elements = ["a", "é"][: len(array)]

    assert join_array(array) == bytes_tensor.join_in_python(elements)


@array_joins
def test_an_element_that_is_no_string_is_refused(join_array):
    """Only bytes and text have an encoding."""
    with pytest.raises(TypeError):
        join_array(objects([b"a", 1]))
