"""What clients and backends can do wrong, against every scheduler: nothing is lost or left."""

import asyncio
import gc
import logging
import random
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from inferd._generated import inference as pb
from inferd.errors import BackendError, InferdError, QueueFull, QueueTimeout, ShuttingDown
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.cache import ResponseCache
from inferd.scheduling.cached import CachedScheduler
from inferd.scheduling.ensemble import EnsemblePlan
from inferd.scheduling.ensemble_scheduler import EnsembleScheduler
from inferd.scheduling.holds import Holds
from inferd.scheduling.policy import BatchPolicy, PriorityPolicy, QueuePolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequence_state import SequenceStates
from inferd.scheduling.sequences import SequenceTable
from inferd.scheduling.statistics import ModelStatistics

QUEUES = ("plain", "dynamic", "ensemble", "cached")
SEQUENCES = ("direct", "oldest")
WAY_OUT = (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, MemoryError)


class World:
    """
    A scheduler of one kind, its instances, and what has been asked of it.

    Attributes:
        instances: The fake instances at the bottom.
        scheduler: What is asked.
        bottom: The scheduler that owns the instances.
        accepted: How many requests were asked and not refused for a shut-down.
    """

    def __init__(self, make, kind, instances=1, queue=None):
        self.make = make
        self.instances = [make.instance() for _ in range(instances)]
        self.statistics = self._below = ModelStatistics()
        self.accepted = 0
        self._asked = 0
        self._sequences = kind in SEQUENCES
        self._buffers = []
        self._outer = {"ensemble": self._ensemble, "cached": self._cached}.get(kind)
        if self._sequences:
            lanes = [
                OldestLane(OldestPolicy(4, 1)) if kind == "oldest" else DirectLane(1)
                for _ in self.instances
            ]
            self.bottom = self._sequence_scheduler(lanes)
        else:
            priorities = PriorityPolicy(default=queue or QueuePolicy())
            policy = BatchPolicy(1, kind != "plain", priorities=priorities)
            assembler = Assembler(make.signature(), 1)
            self.bottom = Scheduler(policy, assembler, self.instances, self._below, name="m")
        self.scheduler = self.bottom if self._outer is None else self._outer()

    def _sequence_scheduler(self, lanes):
        none = pb.ModelSequenceBatching()
        return SequenceScheduler(
            SequenceTable("m", lanes, 2**60),
            SequenceAssembler(
                Assembler(self.make.signature(), 1),
                SequenceControls.from_config("m", none, batches=True),
                SequenceStates.from_config("m", none, batches=True, read=bytes),
                model_name="m",
            ),
            self.instances,
            self._below,
            name="m",
        )

    def _ensemble(self):
        model = SimpleNamespace(
            decoupled=False, signature=self.make.signature(), scheduler=self.bottom, holds=Holds()
        )
        step = pb.ModelEnsemblingStep(
            model_name="m", model_version=-1, input_map={"X": "X"}, output_map={"Y": "Y"}
        )
        config = pb.ModelConfig(ensemble_scheduling=pb.ModelEnsembling(step=[step]))
        plan = EnsemblePlan.from_config(config, self.make.signature())
        self.statistics = ModelStatistics()
        return EnsembleScheduler(plan, 1, lambda *_: model, self.statistics)

    def _cached(self):
        return CachedScheduler(self.bottom, ResponseCache(10**6), self._below, name="m", version=1)

    def ask(self, value=None):
        """Send a request, a sequence of its own, with a value no other has; return its task."""
        self._asked += 1
        self.accepted += 1
        array = np.full((1, 2), self._asked if value is None else value, "<i4")
        self._buffers.append(weakref.ref(array))
        request = InferRequest("m", {"X": Tensor("X", "INT32", array.shape, array=array)})
        request.batch_size = 1
        if self._sequences:
            request.sequence_id = self._asked
            request.sequence_start = request.sequence_end = True
        return asyncio.get_running_loop().create_task(self._answer(request, int(array[0, 0])))

    async def _answer(self, request, value):
        response = await self.scheduler.infer(request)
        assert response.outputs[0].array().tolist() == [[value + 1] * 2]
        return "answered"

    async def started(self, index=0):
        """Wait until an instance has begun its next execution."""
        assert await asyncio.to_thread(self.instances[index].started.acquire, timeout=10)

    async def settle(self):
        """Let what is queued reach the scheduler."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def run_inline(self):
        """Ask until the model is known to be fast."""
        for _ in range(100):
            assert await self.ask() == "answered"
            if self.bottom.runs_inline:
                break
        assert self.bottom.runs_inline
        while self.instances[0].started.acquire(blocking=False):
            pass

    async def close(self):
        """Free everything."""
        for one in (self.scheduler, self.bottom):
            if not self.instances[0].closed:
                await asyncio.wait_for(one.close(), 10)

    def leftovers(self):
        """Return what should not be there once every request has ended and all is closed."""
        for instance in self.instances:
            instance.error = instance.outputs = instance.error_of = None
        gc.collect()
        counted = self.statistics.success.count + sum(self.statistics.failures.values())
        found = {
            "tasks": len(asyncio.all_tasks() - {asyncio.current_task()}),
            "inflight": self.scheduler.inflight + self.bottom.inflight,
            "pending": self._below.pending + self.statistics.pending,
            "uncounted": self.accepted - counted,
            "buffers": sum(buffer() is not None for buffer in self._buffers),
            "open instances": sum(instance.closed != 1 for instance in self.instances),
        }
        return {what: number for what, number in found.items() if number}


@pytest.fixture(name="worlds")
async def _worlds(make, monkeypatch):
    """Make worlds; at the end of the test each is closed and nothing of it may be left."""
    # pytest keeps what is logged, and a traceback keeps the tensors of its frames.
    monkeypatch.setattr(logging.getLogger("inferd.scheduling.execution"), "disabled", True)
    made = []

    def world(kind, **more):
        made.append(World(make, kind, **more))
        return made[-1]

    yield world
    for one in made:
        for instance in one.instances:
            instance.open()
        await one.close()
        assert one.leftovers() == {}


every = pytest.mark.parametrize("kind", [*QUEUES, *SEQUENCES])


async def outcome(task):
    """Return what came of a request."""
    try:
        return await asyncio.wait_for(task, 10)
    except (InferdError, asyncio.CancelledError) as error:
        return type(error).__name__


@every
async def test_a_client_that_leaves_the_queue(worlds, kind):
    """Its request is never executed, and the others are answered."""
    world = worlds(kind)
    world.instances[0].hold()
    first = world.ask()
    await world.started()
    second, third = world.ask(), world.ask()
    await world.settle()
    second.cancel()
    await world.settle()
    world.instances[0].open()

    assert [await outcome(one) for one in (first, second, third)] == [
        "answered",
        "CancelledError",
        "answered",
    ]
    assert len(world.instances[0].sizes) == 2
    assert world.statistics.failures["CANCELED"] == 1


@every
async def test_a_client_that_leaves_while_its_request_executes(worlds, kind):
    """The answer is dropped, and the next request gets its own."""
    world = worlds(kind)
    world.instances[0].hold()
    first = world.ask()
    await world.started()
    second = world.ask()
    first.cancel()

    assert await outcome(first) == "CancelledError"
    world.instances[0].open()
    assert await outcome(second) == "answered"
    assert world.statistics.failures["CANCELED"] == 1


@every
@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("error", [BackendError, ValueError, *WAY_OUT])
async def test_a_backend_that_raises(worlds, kind, inline, error):
    """Each of its requests fails, on a thread or on the loop, and the instance goes on."""
    world = worlds(kind)
    if inline:
        await world.run_inline()
    world.instances[0].error = error("gone")
    tasks = [world.ask() for _ in range(3)]

    assert [await outcome(one) for one in tasks] == ["BackendError"] * 3
    world.instances[0].error = None
    assert await outcome(world.ask()) == "answered"
    assert world.statistics.failures["BACKEND"] == 3


@every
@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [np.zeros((1, 2), "<i4")] * 2,
        [np.zeros((2, 2), "<i4")],
        [np.zeros((0, 2), "<i4")],
        [np.zeros((1, 2), "<f4")],
        [np.int32(1)],
        [None],
        7,
    ],
)
async def test_a_backend_that_returns_something_else(worlds, kind, outputs):
    """Too few or too many outputs or rows, another type, or no tensors: the requests fail."""
    world = worlds(kind)
    world.instances[0].outputs = outputs
    tasks = [world.ask() for _ in range(2)]

    assert [await outcome(one) for one in tasks] == ["BackendError"] * 2
    world.instances[0].outputs = None
    assert await outcome(world.ask()) == "answered"


@every
async def test_a_backend_that_never_returns(worlds, kind):
    """The other instance serves, clients can leave, and only the close waits for it."""
    world = worlds(kind, instances=2)
    for instance in world.instances:
        instance.hold()
    stuck = world.ask()
    await world.settle()
    await asyncio.to_thread(_wait_for_one, world.instances)
    blocked = 0 if world.instances[0].sizes else 1
    world.instances[1 - blocked].open()

    assert [await outcome(world.ask()) for _ in range(5)] == ["answered"] * 5
    stuck.cancel()
    assert await outcome(stuck) == "CancelledError"
    assert await outcome(world.ask()) == "answered"
    closing = asyncio.ensure_future(world.scheduler.drain())
    await world.settle()
    # An ensemble has answered its clients; what it asked has not ended.
    assert closing.done() == (kind == "ensemble")
    assert world.bottom.inflight == 1
    world.instances[blocked].open()
    await asyncio.wait_for(closing, 10)


def _wait_for_one(instances):
    while not any(instance.started.acquire(timeout=0.01) for instance in instances):
        pass


@pytest.mark.parametrize("kind", [one for one in QUEUES if one != "plain"])
async def test_a_full_queue(worlds, kind):
    """One request too many is refused; those before it are answered."""
    world = worlds(kind, queue=QueuePolicy(max_size=1))
    world.instances[0].hold()
    first = world.ask()
    await world.started()
    second, third = world.ask(), world.ask()

    assert await outcome(third) == QueueFull.__name__
    world.instances[0].open()
    assert [await outcome(first), await outcome(second)] == ["answered"] * 2
    assert world.statistics.failures["REJECTED"] == 1


@pytest.mark.parametrize("kind", [one for one in QUEUES if one != "plain"])
async def test_a_queue_timeout_behind_a_backend_that_never_returns(worlds, kind):
    """Who waits is told; the execution is not touched."""
    world = worlds(kind, queue=QueuePolicy(timeout_ns=20_000_000))
    world.instances[0].hold()
    first = world.ask()
    await world.started()
    second, third = world.ask(), world.ask()

    assert [await outcome(second), await outcome(third)] == [QueueTimeout.__name__] * 2
    world.instances[0].open()
    assert await outcome(first) == "answered"
    assert world.statistics.failures["REJECTED"] == 2


@every
async def test_an_unload_while_it_is_busy(worlds, kind):
    """What was accepted is answered, what comes later is refused, and each instance is closed."""
    world = worlds(kind)
    world.instances[0].hold()
    first = world.ask()
    await world.started()
    second = world.ask()
    await world.settle()
    closing = asyncio.ensure_future(world.scheduler.close())
    await world.settle()
    late = world.ask()
    world.accepted -= 1

    assert await outcome(late) == ShuttingDown.__name__
    assert not closing.done()
    world.instances[0].open()
    assert [await outcome(first), await outcome(second)] == ["answered"] * 2
    await asyncio.wait_for(closing, 10)


@every
@pytest.mark.parametrize("seed", range(3))
async def test_all_of_it_at_once(worlds, kind, seed):
    """Every request has one outcome whatever clients and backends do meanwhile."""
    world, chance = worlds(kind, instances=2), random.Random(seed)
    errors = [None, None, BackendError("e"), ValueError("e"), SystemExit(1), MemoryError()]
    for instance in world.instances:
        instance.error_of = lambda value: errors[value % len(errors)]

    async def client(value):
        task = world.ask(value)
        for _ in range(1 + chance.randrange(60)):
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            task.cancel()
        return await outcome(task)

    seen = await asyncio.gather(*(client(value) for value in range(300)))

    for value, came in enumerate(seen):
        wanted = "BackendError" if errors[value % len(errors)] else "answered"
        assert came in (wanted, "CancelledError")
    assert "answered" in seen
