"""Tests of what the requests of a load hold."""

import argparse
import json

import numpy as np
import pytest

from inferd._generated.inference import ModelConfig, ModelInput, ModelMetadataResponse
from inferd._generated.inference import ModelMetadataResponseTensorMetadata as Spec
from inferd.cli.benchmark.contents import streams
from inferd.cli.clients.client import UsageError

METADATA = ModelMetadataResponse(
    inputs=[
        Spec(name="IN", datatype="INT32", shape=[-1, 2]),
        Spec(name="WORDS", datatype="BYTES", shape=[-1, 1]),
    ]
)
CONFIG = ModelConfig(max_batch_size=4, input=[ModelInput(name="WORDS", optional=True)])


def made(config=CONFIG, **changes):
    """Return the arrays of the inputs, stream by stream."""
    values = {"model_name": "m", "batch_size": 1, "shape": [], "input_data": ["zero"]}
    values |= {"string_data": None, "string_length": 3} | changes
    found = streams(argparse.Namespace(**values), METADATA, config)
    return [
        [{name: tensor.array().tolist() for name, tensor in inputs.items()} for inputs in stream]
        for stream in found
    ]


def written(folder, *entries):
    """Write a file of input data and return its name."""
    file = folder / f"{len(list(folder.iterdir()))}.json"
    file.write_text(json.dumps({"data": entries}))
    return str(file)


def test_optional_inputs_are_left_out():
    """What a model can do without is not made up."""
    assert made() == [[{"IN": [[0, 0]]}]]
    assert set(made(config=None)[0][0]) == {"IN", "WORDS"}


def test_strings():
    """BYTES elements are random of a length, a text, or a number that models can read."""
    (drawn,) = made(config=None, input_data=["random"])[0][0]["WORDS"]
    assert len(drawn[0]) == 3
    assert made(config=None)[0][0]["WORDS"] == [[b"0"]]
    assert made(config=None, string_data="x")[0][0]["WORDS"] == [[b"x"]]


def test_files_and_folders_follow_each_other(tmp_path):
    """Every list of a file is a stream, and so is a folder."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "IN").write_bytes(np.array([9, 9], "<i4").tobytes())
    data = [
        written(tmp_path, [{"IN": [1, 1]}], [{"IN": [2, 2]}, {"IN": [3, 3], "WORDS": ["a"]}]),
        str(tmp_path / "folder"),
    ]
    assert made(input_data=data) == [
        [{"IN": [[1, 1]]}],
        [{"IN": [[2, 2]]}, {"IN": [[3, 3]], "WORDS": [[b"a"]]}],
        [{"IN": [[9, 9]]}],
    ]


def test_batches_go_round(tmp_path):
    """A batch takes entry after entry and begins again."""
    data = [written(tmp_path, *({"IN": [n, n]} for n in (1, 2, 3)))]
    assert made(input_data=data, batch_size=2) == [
        [{"IN": [[1, 1], [2, 2]]}, {"IN": [[3, 3], [1, 1]]}]
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 5}, "up to 4"),
        ({"batch_size": 2, "config": ModelConfig()}, "does not batch"),
        ({"shape": [("X", (1,))]}, "no input 'X'"),
        ({"input_data": ["zero", "f.json"]}, "no other"),
        ({"input_data": ["/nonexistent"]}, "/nonexistent"),
    ],
)
def test_options_that_do_not_fit(changes, message):
    """What the model does not take is refused with a reason."""
    with pytest.raises(UsageError, match=message):
        made(**changes)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"X": [1]}], "no input 'X'"),
        ([{"WORDS": ["a"]}], "lacks input 'IN'"),
        ([{"IN": [1, 1]}, {"IN": [1, 1], "WORDS": ["a"]}], "within a batch differ"),
    ],
)
def test_data_that_does_not_fit(tmp_path, entries, message):
    """Entries that make no request are refused with a reason."""
    with pytest.raises(UsageError, match=message):
        made(input_data=[written(tmp_path, *entries)], batch_size=2)
