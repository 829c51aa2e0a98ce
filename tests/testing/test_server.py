"""The server without sockets."""

import asyncio
import contextlib

import numpy as np
import pytest

from inferd.errors import DecoupledModel, InvalidRequest, LoadFailed, NotFound
from inferd.testing.server import InMemoryServer

CONFIG = """
backend: "identity"
max_batch_size: 4
input { name: "INPUT0" data_type: TYPE_%s dims: [ -1 ] }
output { name: "OUTPUT0" data_type: TYPE_%s dims: [ -1 ] }
"""


@pytest.fixture(name="repository")
def _repository(tmp_path):
    """A repository of identity models, one per datatype."""
    for name in ("FP32", "STRING", "BF16"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(CONFIG % (name, name))
    return tmp_path


@pytest.mark.parametrize(
    ("model", "array"),
    [
        ("FP32", np.ones((2, 3), np.float32)),
        ("STRING", np.array([[b"a", b"\x00"]], object)),
        ("BF16", np.ones((1, 2), np.uint16)),
    ],
)
async def test_it_answers_with_arrays(repository, model, array):
    """Datatypes follow from the arrays and the model."""
    async with InMemoryServer(repository) as server:
        outputs = await server.infer(model, {"INPUT0": array}, outputs=["OUTPUT0"])

    assert outputs["OUTPUT0"].tolist() == array.tolist()


async def test_errors_are_those_a_client_would_see(repository):
    """The model and the tensor are named."""
    async with InMemoryServer(repository, models=["FP32"]) as server:
        with pytest.raises(InvalidRequest, match="data-type is 'INT32'"):
            await server.infer("FP32", {"INPUT0": np.ones((1, 1), np.int32)})
        with pytest.raises(InvalidRequest, match="unexpected inference input 'X'"):
            await server.infer("FP32", {"X": np.ones((1, 1), np.float32)})
        with pytest.raises(NotFound):
            await server.infer("STRING", {})


async def test_a_model_that_cannot_be_loaded_is_an_error(repository):
    """Before anything is asked."""
    (repository / "FP32" / "config.pbtxt").write_text("nonsense")
    with pytest.raises(LoadFailed, match="nonsense"):
        async with InMemoryServer(repository):
            pass


SQUARE = """
backend: "square"
model_transaction_policy { decoupled: true }
input { name: "IN" data_type: TYPE_INT32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] }
"""


@pytest.fixture(name="square")
def _square(tmp_path):
    """A repository with a decoupled model."""
    (tmp_path / "square" / "1").mkdir(parents=True)
    (tmp_path / "square" / "config.pbtxt").write_text(SQUARE)
    return tmp_path


def number(value):
    """Return the input of the decoupled model."""
    return {"IN": np.array([value], np.int32)}


@pytest.mark.parametrize("count", [0, 1, 40])
async def test_a_decoupled_model_streams_its_responses(square, count):
    """As many as there are, and then the loop ends."""
    async with InMemoryServer(square) as server:
        got = [outputs async for outputs in server.stream("square", number(count))]

    assert [outputs["OUT"].tolist() for outputs in got] == [[count]] * count


async def test_any_other_model_streams_its_one_response(repository):
    """Whoever asks need not know which it is."""
    array = np.ones((1, 2), np.float32)
    async with InMemoryServer(repository, models=["FP32"]) as server:
        stream = server.stream("FP32", {"INPUT0": array}, outputs=["OUTPUT0"])
        got = [outputs["OUTPUT0"].tolist() async for outputs in stream]

    assert got == [array.tolist()]


async def test_leaving_a_stream_takes_the_request_back(square):
    """Its backend stops, and the server can be closed."""
    async with InMemoryServer(square) as server:
        async with contextlib.aclosing(server.stream("square", number(2**31 - 1))) as stream:
            assert (await anext(stream))["OUT"].tolist() == [2**31 - 1]
        async with asyncio.timeout(10):
            await server.dataplane.unload_model("square")

    assert server.dataplane.model_statistics("", "") == []


async def test_errors_end_a_stream(square):
    """As they end any request; a decoupled model is only streamed."""
    async with InMemoryServer(square) as server:
        with pytest.raises(InvalidRequest, match="unexpected inference input 'X'"):
            await anext(server.stream("square", {"X": number(1)["IN"]}))
        with pytest.raises(NotFound):
            await anext(server.stream("circle", {}))
        with pytest.raises(DecoupledModel):
            await server.infer("square", number(1))
