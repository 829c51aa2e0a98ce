"""Tests of reading PyTorch weight files without PyTorch."""

import os
import pickle

import numpy as np
import pytest

from inferd.samples.state_dict import StateDictError, read


class Command:
    """Pickles as a call to :func:`os.system`."""

    def __reduce__(self):
        return os.system, ("exit 3",)


def test_reads_every_tensor(weight_file):
    """Names, shapes, datatypes and values are those that were saved."""
    arrays = {
        "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "steps": np.array([7], np.int64),
    }
    found = read(weight_file(arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_transposed_tensor(weight_file):
    """A tensor stored with other strides has its logical order, contiguously."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    (found,) = read(weight_file({"w": array})).values()
    np.testing.assert_array_equal(found, array)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("payload", [Command(), np.zeros(1), b"x".join, Exception("x")])
def test_nothing_but_tensors_is_admitted(weight_file, payload):
    """A file that names any other function or class is refused without calling it."""
    with pytest.raises(StateDictError, match="not part of a tensor"):
        read(weight_file({"w": np.zeros(1, np.float32)}, extra=payload))


def test_plain_values_are_no_tensors(weight_file):
    """A file with something else than tensors in it is refused."""
    with pytest.raises(StateDictError):
        read(weight_file({"w": np.zeros(1, np.float32)}, extra=5))


@pytest.mark.parametrize(
    ("offset", "stride", "fits"),
    [(0, (1,), True), (1, (1,), False), (0, (2,), False), (0, (0,), True)],
)
def test_tensor_must_lie_within_its_storage(weight_file, offset, stride, fits):
    """A tensor may reach the last element of its storage and none behind it."""
    data = weight_file({"w": np.arange(4, dtype=np.float32)}, offset=offset, stride=stride)
    if fits:
        assert read(data)["w"].shape == (4,)
    else:
        with pytest.raises(StateDictError, match="outside its storage"):
            read(data)


@pytest.mark.parametrize(("offset", "stride"), [(-1, (1,)), (3, (-1,))])
def test_negative_offsets_and_strides(weight_file, offset, stride):
    """A tensor cannot start before its storage or run backwards."""
    with pytest.raises(StateDictError, match="outside its storage"):
        read(weight_file({"w": np.arange(4, dtype=np.float32)}, offset=offset, stride=stride))


@pytest.mark.parametrize("kept", [0, 5, 30, -1])
def test_truncated_file(weight_file, kept):
    """A file that is cut short anywhere is refused."""
    data = weight_file({"w": np.arange(4, dtype=np.float32)})
    with pytest.raises(StateDictError):
        read(data[:kept])


@pytest.mark.parametrize("data", [b"PK\3\4", pickle.dumps(1) + pickle.dumps(1001)])
def test_other_files(data):
    """Files of other formats are refused."""
    with pytest.raises(StateDictError):
        read(data)
