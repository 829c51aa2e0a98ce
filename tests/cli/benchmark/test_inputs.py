"""Tests of the tensors a load sends."""

import json

import numpy as np
import pytest

from inferd._generated.inference import ModelMetadataResponseTensorMetadata as Spec
from inferd.cli.benchmark import inputs
from inferd.cli.benchmark.inputs import Shapes
from inferd.cli.clients.client import UsageError
from inferd.protocol.datatypes import BY_NAME

SPEC = Spec(name="IN", datatype="INT32", shape=[-1, 3])


@pytest.mark.parametrize("datatype", list(BY_NAME))
def test_every_datatype_can_be_made(datatype):
    """Zeros and random values have the datatype's dtype and the shape."""
    made = inputs.random(datatype, (2, 3), 5, np.random.default_rng(1))
    for array in (made, inputs.zeros(datatype, (2, 3))):
        assert (array.dtype, array.shape) == (BY_NAME[datatype].dtype, (2, 3))


@pytest.mark.parametrize(
    ("given", "batches", "item"),
    [
        ({}, True, (3,)),
        ({"IN": (3,)}, True, (3,)),
        ({"IN": (2, 3)}, True, (3,)),
        ({"IN": (5, 3)}, False, (5, 3)),
        ({}, None, (3,)),
    ],
)
def test_shapes(given, batches, item):
    """A shape may be given with or without the batch dimension."""
    assert Shapes(given, 2, batches).item(SPEC) == item


@pytest.mark.parametrize(
    ("given", "batches"),
    [({"IN": (4,)}, True), ({"IN": (9, 3)}, True), ({}, False), ({"IN": (1, 2, 3)}, True)],
)
def test_shapes_that_do_not_fit(given, batches):
    """A shape that is not the model's, or is missing, is refused."""
    with pytest.raises(UsageError, match="IN"):
        Shapes(given, 2, batches).item(SPEC)


@pytest.mark.parametrize(
    "entry",
    [
        [1, 2, 3],
        [[1, 2, 3]],
        {"content": [1, 2, 3], "shape": [3]},
        {"content": {"b64": "AQAAAAIAAAADAAAA"}},
        {"b64": "AQAAAAIAAAADAAAA"},
    ],
)
def test_entries_of_a_file(entry):
    """Values come flat, nested, with a shape or as base64."""
    array = inputs.item_array(SPEC, entry, Shapes({}, 1, True))
    assert array.tolist() == [1, 2, 3]


@pytest.mark.parametrize("entry", [[1, 2], ["x", 1, 2], [1.5, 1, 2], {"c": 1}, {"b64": "!"}])
def test_entries_that_do_not_fit(entry):
    """Values that do not make the input are refused with its name."""
    with pytest.raises(UsageError, match="IN"):
        inputs.item_array(SPEC, entry, Shapes({}, 1, True))


def test_streams_of_a_file_follow_each_other(tmp_path):
    """Lists are streams, and so are the entries in none; what is no such file is refused."""
    file = tmp_path / "in.json"
    file.write_text(json.dumps({"data": [[{"A": 1}, {"A": 2}], {"A": 3}]}))
    assert inputs.read_streams(file) == [[{"A": 1}, {"A": 2}], [{"A": 3}]]
    for bad in ("{}", "[", '{"data": []}', '{"data": [1]}', '{"data": [[], [{"A": 1}]]}'):
        file.write_text(bad)
        with pytest.raises(UsageError, match="input data"):
            inputs.read_streams(file)


def test_folder_has_a_file_for_each_input(tmp_path):
    """Raw bytes make numbers, lines make strings; an input without a file has no entry."""
    words = Spec(name="WORDS", datatype="BYTES", shape=[-1, 2])
    (tmp_path / "IN").write_bytes(np.array([1, 2, 3], "<i4").tobytes())
    (tmp_path / "WORDS").write_text("one\ntwo three\n")
    entry = inputs.read_folder(tmp_path, [SPEC, words, Spec(name="X", datatype="INT32")])
    shapes = Shapes({}, 1, True)
    assert inputs.item_array(SPEC, entry.pop("IN"), shapes).tolist() == [1, 2, 3]
    assert inputs.item_array(words, entry.pop("WORDS"), shapes).tolist() == [b"one", b"two three"]
    assert not entry


def test_file_of_a_folder_that_cannot_be_read(tmp_path):
    """What is no file is an error with its path."""
    (tmp_path / "IN").mkdir()
    with pytest.raises(UsageError, match="/IN"):
        inputs.read_folder(tmp_path, [SPEC])


def test_batches_are_stacked():
    """Rows of one shape make a batch, others do not."""
    shapes, row = Shapes({}, 2, True), np.array([1, 2, 3], "<i4")
    assert inputs.stacked(SPEC, [row, row + 1], shapes).array().tolist() == [[1, 2, 3], [2, 3, 4]]
    with pytest.raises(UsageError, match="differ"):
        inputs.stacked(SPEC, [row, row[:2]], shapes)
