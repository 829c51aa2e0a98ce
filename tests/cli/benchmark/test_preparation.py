"""Tests of making the requests for a model."""

import argparse
import json

import pytest

from inferd._generated.inference import (
    ModelConfig,
    ModelMetadataResponse,
    ModelMetadataResponseTensorMetadata,
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
    values |= {"input_data": "zero", "string_data": None, "string_length": 1}
    values |= {"input_format": "binary", "output_format": "binary"} | changes
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
    args = arguments(batch_size=2, input_data=str(file))
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
