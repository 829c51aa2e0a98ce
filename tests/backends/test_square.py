"""The backend that answers a number as often as it says."""

import asyncio
import contextlib

import numpy as np
import pytest

from inferd.testing.server import InMemoryServer

CONFIG = """
backend: "square"
model_transaction_policy { decoupled: true }
input { name: "IN" data_type: TYPE_%s dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_%s dims: [ 1 ] }
"""


@pytest.fixture(name="repository")
def _repository(tmp_path):
    """A repository of two such models."""
    for name in ("INT32", "UINT64"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(CONFIG % (name, name))
    return tmp_path


async def ask(server, number, model="INT32", dtype=np.int32):
    """Return every response."""
    async with asyncio.timeout(10):
        stream = server.stream(model, {"IN": np.array([number], dtype)})
        return [one["OUT"].tolist() async for one in stream]


@pytest.mark.parametrize("number", [-3, 0, 1, 16, 17, 50])
async def test_a_number_comes_as_often_as_it_says(repository, number):
    """Not at all when it is not positive."""
    async with InMemoryServer(repository) as server:
        assert await ask(server, number) == [[number]] * max(number, 0)


async def test_numbers_of_any_size(repository):
    """The datatype is the config's."""
    async with InMemoryServer(repository) as server:
        assert await ask(server, 3, "UINT64", np.uint64) == [[3]] * 3


async def test_a_client_that_leaves_ends_it(repository):
    """The instance answers the next request."""
    async with InMemoryServer(repository) as server:
        number = np.array([2**31 - 1], np.int32)
        async with contextlib.aclosing(server.stream("INT32", {"IN": number})) as stream:
            assert (await anext(stream))["OUT"].tolist() == [2**31 - 1]

        assert await ask(server, 2) == [[2], [2]]
        (statistics,) = server.dataplane.model_statistics("INT32", "")
    assert statistics.inference_stats.success.count == 1
    assert statistics.inference_stats.fail.count == 1


async def test_requests_at_once_do_not_mix(repository):
    """Each gets its own number."""
    async with InMemoryServer(repository) as server:
        got = await asyncio.gather(*(ask(server, number) for number in range(20)))

    assert got == [[[number]] * number for number in range(20)]
