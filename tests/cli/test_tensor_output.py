"""Tests of showing and saving output tensors."""

import numpy as np
import pytest

from inferd.cli.clients.client import ClientError, UsageError
from inferd.cli.tensor_output import as_document, as_text, save
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor


def numbers(count):
    """Return an INT32 tensor of 0, 1, 2, ..."""
    return Tensor("Y", "INT32", [count], array=np.arange(count, dtype=np.int32))


def text(*elements):
    """Return a BYTES tensor."""
    return Tensor("Y", "BYTES", [len(elements)], array=np.array(elements, object))


def test_heading_and_values():
    """Name, datatype and shape stand over the values."""
    assert as_text(numbers(3), full=False) == "Y INT32 [3]\n[0, 1, 2]"


@pytest.mark.parametrize(("count", "short"), [(64, False), (65, True)])
def test_only_more_than_64_values_are_shortened(count, short):
    """64 values are shown whole, 65 are shortened."""
    assert ("..." in as_text(numbers(count), full=False)) is short


def test_bf16_is_shown_as_numbers():
    """BF16 bit patterns are read as the numbers they mean."""
    tensor = Tensor("Y", "BF16", [2], raw=np.array([0x3F80, 0xC000], "<u2").tobytes())
    assert as_text(tensor, full=False) == "Y BF16 [2]\n[ 1., -2.]"


def test_bytes_that_are_not_text_are_escaped():
    """Bytes outside UTF-8 appear as escapes, in text and in JSON."""
    response = InferResponse("m", "2", [text(b"\xff", "é".encode())], parameters={"k": 1})
    assert as_document(response) == {
        "model_name": "m",
        "model_version": "2",
        "parameters": {"k": 1},
        "outputs": [{"name": "Y", "datatype": "BYTES", "shape": [2], "data": ["\\xff", "é"]}],
    }


def test_empty_and_scalar_outputs():
    """Outputs without elements and without dimensions are shown too."""
    assert as_text(Tensor("Y", "BYTES", [0], raw=b""), full=False) == "Y BYTES [0]\n[]"
    scalar = Tensor("Y", "FP32", [], array=np.array(1.5, np.float32))
    assert as_text(scalar, full=True) == "Y FP32 []\n1.5"


@pytest.mark.parametrize(
    ("datatype", "raw"), [("INT32", b"123"), ("BYTES", b"\1\0\0\0"), ("NOPE", b"")]
)
def test_broken_output(datatype, raw):
    """Bytes that do not make the tensor are the server's fault, named by output."""
    with pytest.raises(ClientError, match="output 'Y'"):
        as_text(Tensor("Y", datatype, [1], raw=raw), full=False)


def test_save(tmp_path):
    """A tensor is written with its shape and datatype; BYTES as byte strings."""
    save(numbers(4), tmp_path / "n.npy")
    save(text(b"a", b"bcd"), tmp_path / "t.npy")
    assert np.load(tmp_path / "n.npy").tolist() == [0, 1, 2, 3]
    assert np.load(tmp_path / "t.npy").tolist() == [b"a", b"bcd"]


def test_save_refuses_what_would_change(tmp_path):
    """Byte strings that end in zero bytes are not written shortened."""
    with pytest.raises(UsageError, match="zero bytes"):
        save(text(b"a\0"), tmp_path / "t.npy")


def test_save_to_a_folder_that_is_not_there(tmp_path):
    """A file that cannot be written is named."""
    with pytest.raises(UsageError, match=r"y\.npy"):
        save(numbers(1), tmp_path / "nowhere" / "y.npy")
