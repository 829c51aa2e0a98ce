"""Tests of making input tensors out of command-line values."""

import json

import numpy as np
import pytest

from inferd._generated.inference import ModelConfig, ModelMetadataResponse
from inferd.cli.clients.client import UsageError
from inferd.cli.tensor_input import InputReader, fill_shape


def reader(datatype, shape, *, max_batch_size=0, shapes=None):
    """Return the reader of a model with one input ``X``."""
    metadata = ModelMetadataResponse.from_dict(
        {"inputs": [{"name": "X", "datatype": datatype, "shape": shape}]}
    )
    return InputReader(metadata, ModelConfig(max_batch_size=max_batch_size), shapes or {}, "NONE")


@pytest.mark.parametrize(
    ("dims", "count", "shape"),
    [
        ([4], 4, (4,)),
        ([4], 5, None),
        ([-1, 4], 4, (1, 4)),
        ([-1, 4], 8, (2, 4)),
        ([-1, 4], 7, None),
        ([-1, -1], 3, (1, 3)),
        ([-1, 2, -1], 6, (1, 2, 3)),
        ([], 1, ()),
        ([-1], 0, (0,)),
        ([-1, 0], 0, None),
    ],
)
def test_fill_shape(dims, count, shape):
    """The last variable dimension takes what is left; what does not divide has no shape."""
    assert fill_shape(dims, count) == shape


@pytest.mark.parametrize(
    ("datatype", "text", "expected"),
    [
        ("INT32", "1,-2,3", np.array([1, -2, 3], np.int32)),
        ("UINT64", str(2**64 - 1), np.array([2**64 - 1], np.uint64)),
        ("INT8", "[1.0, 2]", np.array([1, 2], np.int8)),
        ("FP32", "1,2.5,nan,-inf", np.array([1, 2.5, np.nan, -np.inf], np.float32)),
        ("FP16", "[0.1]", np.array([0.1], np.float16)),
        ("BOOL", "true,0,False,1", np.array([True, False, False, True])),
        ("BOOL", "[true, false]", np.array([True, False])),
        ("BYTES", "a,b c,", np.array([b"a", b"b c", b""], object)),
        ("BYTES", '["a,b", "@x", 1]', np.array([b"a,b", b"@x", b"1"], object)),
        ("BF16", "1,-2", np.array([0x3F80, 0xC000], np.uint16)),
        ("BF16", "nan", np.array([0x7FC0], np.uint16)),
        ("FP32", "", np.empty(0, np.float32)),
    ],
)
def test_values(datatype, text, expected):
    """Values become elements of the model's datatype."""
    tensor = reader(datatype, [-1]).tensor("X", text)
    assert tensor.datatype == datatype
    assert tensor.array().dtype == expected.dtype
    np.testing.assert_array_equal(tensor.array(), expected)


def test_bf16_rounds_to_even():
    """A value halfway between two BF16 values goes to the even one, as everywhere else."""
    halfway_down, halfway_up = 1 + 2**-8, 1 + 3 * 2**-8
    tensor = reader("BF16", [-1]).tensor("X", f"{halfway_down},{halfway_up}")
    assert tensor.array().tolist() == [0x3F80, 0x3F82]


@pytest.mark.parametrize(
    ("datatype", "text"),
    [
        ("INT32", "1,x"),
        ("INT32", "[1.5]"),
        ("UINT8", "256"),
        ("INT8", "-129"),
        ("BOOL", "maybe"),
        ("FP32", "[null]"),
        ("BYTES", "[{}]"),
        ("INT32", "[1"),
        ("COMPLEX", "1"),
    ],
)
def test_values_that_do_not_fit_the_datatype(datatype, text):
    """An element that is none of the datatype is refused instead of being bent."""
    with pytest.raises(UsageError):
        reader(datatype, [-1]).tensor("X", text)


def test_nested_json_gives_the_shape():
    """Nested lists are their own shape."""
    tensor = reader("INT32", [-1, -1]).tensor("X", "[[1,2],[3,4],[5,6]]")
    assert tensor.shape == (3, 2)


def test_ragged_json():
    """Rows of different lengths are refused."""
    with pytest.raises(UsageError, match="differ in length"):
        reader("INT32", [-1, -1]).tensor("X", "[[1,2],[3]]")


def test_count_that_fits_no_shape():
    """Values that fill no shape of the model ask for --shape."""
    with pytest.raises(UsageError, match="--shape X:"):
        reader("INT32", [-1, 4]).tensor("X", "1,2,3")


def test_given_shape_must_hold_the_values():
    """A --shape for another number of values is refused."""
    with pytest.raises(UsageError, match=r"3 values do not make \[2, 2\]"):
        reader("INT32", [-1, 4], shapes={"X": (2, 2)}).tensor("X", "1,2,3")


def test_npy_file(tmp_path):
    """An array file is taken with its shape, and given the model's batch dimension."""
    np.save(tmp_path / "x.npy", np.arange(4))
    tensor = reader("INT32", [-1, 4], max_batch_size=8).tensor("X", f"@{tmp_path}/x.npy")
    assert tensor.shape == (1, 4)
    assert tensor.array().dtype == np.int32


def test_npy_file_with_values_that_do_not_fit(tmp_path):
    """Values the datatype cannot hold are refused instead of wrapping around."""
    for name, values in (("big", [300]), ("real", [0.5])):
        np.save(tmp_path / f"{name}.npy", np.array(values))
        with pytest.raises(UsageError, match="cannot hold"):
            reader("UINT8", [-1]).tensor("X", f"@{tmp_path}/{name}.npy")


def test_npy_file_of_strings(tmp_path):
    """An array of text becomes BYTES."""
    np.save(tmp_path / "x.npy", np.array([["a", "é"]]))
    tensor = reader("BYTES", [-1, -1]).tensor("X", f"@{tmp_path}/x.npy")
    assert tensor.array().tolist() == [[b"a", "é".encode()]]


def test_npy_file_with_pickled_objects(tmp_path):
    """An array file that would run code when read is refused."""
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(UsageError):
        reader("BYTES", [-1]).tensor("X", f"@{tmp_path}/x.npy")


def test_json_file(tmp_path):
    """A JSON file holds the same as a JSON value."""
    (tmp_path / "x.json").write_text(json.dumps([[1, 2, 3, 4]]))
    tensor = reader("INT32", [-1, 4]).tensor("X", f"@{tmp_path}/x.json")
    assert tensor.array().tolist() == [[1, 2, 3, 4]]


def test_file_for_bytes(tmp_path):
    """Any other file is one BYTES element, unchanged."""
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\0")
    tensor = reader("BYTES", [-1, 1], max_batch_size=8).tensor("X", f"@{tmp_path}/x.jpg")
    assert tensor.array().tolist() == [[b"\xff\xd8\0"]]


@pytest.mark.parametrize("name", ["x.npy", "x.json", "x.png"])
def test_missing_file(name):
    """A file that is not there is named."""
    with pytest.raises(UsageError, match=name):
        reader("FP32", [3, 2, 2]).tensor("X", f"@nowhere/{name}")
