"""Tests of making the requests for a model."""

import argparse
import json

import pytest

from inferd._generated.inference import (
    ModelConfig,
    ModelMetadataResponse,
    ModelMetadataResponseTensorMetadata,
    ModelSequenceBatching,
)
from inferd.cli.benchmark.preparation import prepare
from inferd.cli.clients.client import ClientError, UsageError

SPEC = ModelMetadataResponseTensorMetadata(name="IN", datatype="INT32", shape=[-1, 2])


class Server:
    """A server with one model, perhaps without configs."""

    def __init__(self, config=None):
        self.config = config

    async def model_metadata(self, name, version):
        """Return the model's metadata."""
        return ModelMetadataResponse(name=name, inputs=[SPEC])

    async def model_config(self, name, version):
        """Return its config or refuse."""
        if self.config is None:
            raise ClientError("no configs here")
        return self.config


def arguments(**changes):
    """Return the command line's options."""
    values = {"model_name": "m", "model_version": "", "protocol": "grpc", "streaming": False}
    values |= {"header": [], "connections": None, "batch_size": 1, "shape": []}
    values |= {"input_data": ["zero"], "string_data": None, "string_length": 1}
    values |= {"input_format": "binary", "output_format": "binary", "request_parameter": []}
    values |= {"grpc_compression_algorithm": "", "sequence_id_range": (1, 0)}
    values |= {"sequence_length": 0, "sequence_length_variation": 0.0, "num_of_sequences": 4}
    values |= changes
    return argparse.Namespace(**values)


async def test_server_without_configs():
    """Other KServe servers have no configs; a variable first dimension is the batch then."""
    target = await prepare(Server(), arguments(batch_size=3), "box:1")
    (request,) = target.plan.requests
    assert request.endswith(bytes(24))
    assert target.name == "box:1"


async def test_entries_of_a_file_make_requests_in_turn(tmp_path):
    """Batches take entry after entry and go round."""
    file = tmp_path / "in.json"
    file.write_text(json.dumps({"data": [{"IN": [n, n]} for n in (1, 2, 3)]}))
    args = arguments(batch_size=2, input_data=[str(file)])
    target = await prepare(Server(ModelConfig(max_batch_size=8)), args, "box:1")
    rows = [list(request[-16::4]) for request in target.plan.requests]
    assert rows == [[1, 1, 2, 2], [3, 3, 1, 1]]


@pytest.mark.parametrize(("batch", "fits"), [(8, True), (9, False)])
async def test_batch_size_at_the_models_limit(batch, fits):
    """A batch as large as the model takes is sent, a larger one refused."""
    server, args = Server(ModelConfig(max_batch_size=8)), arguments(batch_size=batch)
    if fits:
        assert (await prepare(server, args, "box:1")).batch == batch
    else:
        with pytest.raises(UsageError, match="up to 8"):
            await prepare(server, args, "box:1")


@pytest.mark.parametrize(
    ("protocol", "url", "address", "is_encrypted"),
    [
        ("grpc", "grpcs://box:7", "box:7", True),
        ("grpc", "box:7", "box:7", False),
        ("http", "https://box:7", "box:7", True),
        ("http", "unix:///run/s", "unix:/run/s", False),
        ("grpc", "unix:///run/s", "unix:/run/s", False),
    ],
)
async def test_addresses(protocol, url, address, is_encrypted):
    """Both protocols are loaded in plain text, encrypted and over Unix domain sockets."""
    target = await prepare(Server(), arguments(protocol=protocol), url)
    assert (target.name, target.plan.tls is not None) == (address, is_encrypted)


@pytest.mark.parametrize(
    ("changes", "length"), [({}, 20), ({"sequence_length": 3}, 3), ({"input_data": ["f"]}, 0)]
)
async def test_sequences(changes, length, tmp_path, monkeypatch):
    """A model that takes sequences gets streams of requests; a file says how long they are."""
    monkeypatch.chdir(tmp_path)
    entries = [[{"IN": [1, 1]}], [{"IN": [2, 2]}, {"IN": [3, 3]}]]
    (tmp_path / "f").write_text(json.dumps({"data": entries}))
    config = ModelConfig(max_batch_size=8, sequence_batching=ModelSequenceBatching())
    target = await prepare(Server(config), arguments(**changes), "box:1")
    sequences = target.plan.sequences
    assert not target.plan.requests
    assert (sequences.length, sequences.live, sequences.first_id) == (length, 4, 1)
    assert list(map(len, sequences.streams)) == ([1, 2] if "input_data" in changes else [1])


async def test_requests_of_an_iterative_model_are_no_sequences():
    """Iterative sequences are the server's affair."""
    batching = ModelSequenceBatching(iterative_sequence=True)
    config = ModelConfig(max_batch_size=8, sequence_batching=batching)
    assert (await prepare(Server(config), arguments(), "box:1")).plan.sequences is None
