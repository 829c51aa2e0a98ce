"""Tensors as bytes and as arrays."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from inferd.protocol.bytes_tensor import BytesFormatError
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.tensors import Tensor


@given(
    name=st.sampled_from(sorted(set(BY_NAME) - {"BYTES"})),
    shape=st.lists(st.integers(0, 3), max_size=3),
)
def test_bytes_and_array_are_the_same_tensor(name, shape):
    """For every datatype and shape, empty and scalar ones included."""
    dtype = BY_NAME[name].dtype
    count = int(np.prod(shape, dtype=int))
    array = np.arange(count).astype(dtype).reshape(shape)
    raw = Tensor("t", name, shape, array=array).raw()

    assert bytes(raw) == array.tobytes()
    assert np.array_equal(Tensor("t", name, shape, raw=raw).array(), array)


def test_received_bytes_are_not_copied():
    """The array is a view on the buffer."""
    raw = bytearray(8)
    array = Tensor("t", "INT32", (2,), raw=raw).array()
    raw[0] = 5

    assert array.tolist() == [5, 0]


def test_an_output_array_is_not_copied():
    """The bytes are a view on it."""
    array = np.zeros(2, "<i4")
    raw = Tensor("t", "INT32", (2,), array=array).raw()
    array[0] = 5

    assert bytes(raw)[0] == 5


def test_an_array_in_another_order_is_sent_row_major():
    """The wire has no strides."""
    array = np.arange(6, dtype="<i4").reshape(2, 3).T
    raw = bytes(Tensor("t", "INT32", (3, 2), array=array).raw())

    assert np.frombuffer(raw, "<i4").tolist() == [0, 3, 1, 4, 2, 5]


def test_strings_become_bytes_on_the_wire_and_back():
    """Elements may be text or bytes."""
    raw = Tensor("t", "BYTES", (2,), array=np.array(["é", b"\x00"], object)).raw()

    assert Tensor("t", "BYTES", (2,), raw=raw).array().tolist() == ["é".encode(), b"\x00"]


def test_elements_that_were_checked_are_not_split_again():
    """The check keeps what it decoded."""
    tensor = Tensor("t", "BYTES", (1, 1), raw=b"\x01\x00\x00\x00a")
    tensor.set_elements([b"kept"])

    assert tensor.array().tolist() == [[b"kept"]]


@pytest.mark.parametrize("raw", [bytearray(b"\x01\0\0\0a\0\0\0\0"), b"\x01\0\0\0a\0\0\0\0"])
def test_unpacked_elements_are_kept(raw):
    """What was checked is not decoded again."""
    tensor = Tensor("t", "BYTES", (1, 2), raw=raw)

    assert tensor.unpack() == 2
    assert tensor.array() is tensor.array()
    assert tensor.array().tolist() == [[b"a", b""]]


def test_unpacked_elements_are_read_only_as_received_numbers_are():
    """A backend may return them as they are."""
    tensor = Tensor("t", "BYTES", (1, 1), raw=b"\x01\0\0\0a")
    tensor.unpack()
    assert not tensor.array().flags.writeable


@pytest.mark.parametrize("shape", [(1,), (3,), (1 << 40,)])
def test_elements_that_do_not_fit_the_shape_are_counted_only(shape):
    """A shape that promises more than was received allocates nothing."""
    assert Tensor("t", "BYTES", shape, raw=b"\0\0\0\0\x01\0\0\0a").unpack() == 2


@pytest.mark.parametrize("shape", [(1,), (2,)])
def test_a_cut_element_cannot_be_unpacked(shape):
    """Whether or not it would have a place."""
    with pytest.raises(BytesFormatError):
        Tensor("t", "BYTES", shape, raw=b"\0\0\0\0\x01\0\0\0").unpack()


def test_bytes_that_do_not_fit_the_shape_are_refused():
    """Instead of answering with a wrong shape."""
    with pytest.raises(ValueError, match="cannot reshape"):
        Tensor("t", "INT32", (3,), raw=bytes(8)).array()


def test_it_describes_itself_without_its_data():
    """For logs and debuggers."""
    tensor = Tensor("t", "INT32", [2, 3], raw=bytes(24))

    assert repr(tensor) == "Tensor('t', 'INT32', [2, 3])"
    assert (tensor.element_count, tensor.has_raw) == (6, True)


def test_an_alias_shares_its_data_and_protects_it():
    """Under another name and shape, whichever form the data has."""
    array = np.arange(4, dtype="<i4").reshape(1, 4)
    alias = Tensor("A", "INT32", (1, 4), array=array).alias("B", (4,))
    assert (alias.name, alias.datatype, alias.shape) == ("B", "INT32", (4,))
    assert np.shares_memory(alias.array(), array)
    assert not alias.array().flags.writeable
    assert array.flags.writeable

    for raw in (array.tobytes(), bytearray(array.tobytes())):
        alias = Tensor("A", "INT32", (1, 4), raw=raw).alias("B", (4,))
        assert alias.array().tolist() == [0, 1, 2, 3]
        assert not alias.array().flags.writeable
        assert bytes(alias.raw()) == bytes(raw)
