"""The instances of a version: taken, given back, closed."""

import asyncio
import threading

import pytest

from inferd.backend import Instance
from inferd.scheduling.execution import Execution
from inferd.scheduling.instances import InstancePool
from inferd.scheduling.statistics import ModelStatistics


class Closing(Instance):
    """An instance that notes its end."""

    def __init__(self):
        self.closed = 0

    def execute(self, batch):
        """Return nothing."""
        return []

    def close(self):
        """Count the call."""
        self.closed += 1


@pytest.fixture
async def pool():
    """A pool of two instances."""
    pool = InstancePool([Closing(), Closing()], ModelStatistics(), name="m")
    yield pool
    await pool.close()


async def test_the_first_instance_is_taken_first(pool):
    """Instances are used in the config's order."""
    assert [pool.take().index, pool.take().index] == [0, 1]


async def test_no_instance_is_taken_twice(pool):
    """When all execute there is none."""
    pool.take()
    pool.take()

    assert pool.take() is None
    assert not pool.has_free
    assert pool.busy == 2


async def test_a_given_instance_is_taken(pool):
    """Whoever is pinned to an instance takes that one."""
    second = pool.seats[1]

    assert pool.take(second) is second
    assert pool.take(second) is None
    assert pool.take() is pool.seats[0]


async def test_an_instance_given_back_is_taken_again(pool):
    """The one that was used last is used first."""
    pool.take()
    second = pool.take()
    pool.give_back(second)

    assert pool.take() is second
    assert pool.busy == 2


async def test_closing_closes_every_instance_once():
    """Nothing of a version stays."""
    instances = [Closing(), Closing()]
    await InstancePool(instances, ModelStatistics(), name="m").close()

    assert [one.closed for one in instances] == [1, 1]


async def test_threads_end_before_their_instances_do():
    """A thread that has delivered its last result may still be telling the loop about it."""
    alive = []

    class Watching(Closing):
        def close(self):
            alive.extend(one for one in threading.enumerate() if one.name == "slow_0")

    class Work:
        """Keeps its thread for a while after the result is delivered."""

        def __call__(self):
            return Execution(0)

        def __del__(self):
            threading.Event().wait(0.2)

    pool = InstancePool([Watching()], ModelStatistics(), name="slow")
    delivered = asyncio.get_running_loop().create_future()
    pool.seats[0].thread.run(Work(), delivered.set_result)
    await delivered
    await pool.close()

    assert alive == []
