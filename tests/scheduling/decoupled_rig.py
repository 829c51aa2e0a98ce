"""Decoupled models whose senders the test uses, and what should be left of them: nothing."""

import asyncio
import gc
import logging
import threading
import weakref

import numpy as np
import pytest

from inferd.backend import Instance
from inferd.errors import InferdError
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.statistics import ModelStatistics


class Hand(Instance):
    """
    A decoupled instance whose senders the test uses; executions may be held, too.

    Attributes:
        senders: First element of a request -> its sender, until the test takes it.
        batches: The first elements of each batch.
        script: Called with each batch in place of returning nothing, when set.
        closed: How often it was closed.
    """

    def __init__(self):
        self.senders = {}
        self.batches = []
        self.script = None
        self.closed = 0
        self.started = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def execute(self, batch):
        """Keep the senders, wait if held, do what the script says."""
        values = [int(request.inputs["X"].array()[0, 0]) for request in batch.requests]
        self.batches.append(values)
        if self.script is None:
            self.senders.update(zip(values, batch.senders, strict=True))
        self.started.release()
        if not self.gate.wait(30):
            raise TimeoutError("the test did not release the instance")
        return () if self.script is None else self.script(batch)

    def close(self):
        """Count the calls."""
        self.closed += 1


class World:
    """
    The scheduler of a decoupled model, its instances, and what has been asked of it.

    Attributes:
        instances: The instances.
        scheduler: What is asked.
        statistics: What it counted.
        accepted: How many requests were not refused at once.
    """

    def __init__(self, make, *, instances=1, policy=None):
        self.instances = [Hand() for _ in range(instances)]
        self.statistics = ModelStatistics()
        self.scheduler = Scheduler(
            policy or BatchPolicy(4, True),
            Assembler(make.signature(), 1),
            self.instances,
            self.statistics,
            name="m",
            decoupled=True,
        )
        self.accepted = 0
        self._buffers = []

    @property
    def hand(self):
        """The first instance."""
        return self.instances[0]

    def ask(self, value, **more):
        """Send a request; return its stream."""
        array = np.full((1, 2), value, "<i4")
        self._buffers.append(weakref.ref(array))
        request = InferRequest("m", {"X": Tensor("X", "INT32", array.shape, array=array)}, **more)
        request.batch_size = 1
        stream = self.scheduler.stream(request)
        self.accepted += 1
        return stream

    async def asked(self, value, **more):
        """Send a request that is executed alone and at once; return its stream and sender."""
        stream = self.ask(value, **more)
        await self.until(lambda: value in self.hand.senders)
        return stream, self.hand.senders.pop(value)

    async def started(self, index=0):
        """Wait until an instance has begun its next execution."""
        assert await asyncio.to_thread(self.instances[index].started.acquire, timeout=10)

    async def until(self, holds):
        """Let the loop turn until something holds."""
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - what is waited for is a plain counter
                await asyncio.sleep(0)

    async def idle(self):
        """Wait until nothing is on its way."""
        await self.until(lambda: not self.scheduler.inflight)

    def failures(self):
        """Return the reasons of failures that were counted."""
        return {reason: count for reason, count in self.statistics.failures.items() if count}

    def responses(self, kind):
        """Return how many responses of a kind were counted at each place."""
        return [
            getattr(found, kind).count for _, found in sorted(self.statistics.responses.items())
        ]

    async def close(self):
        """Free everything."""
        for hand in self.instances:
            hand.gate.set()
            hand.senders.clear()
        if not self.hand.closed:
            await asyncio.wait_for(self.scheduler.close(), 10)

    def leftovers(self):
        """Return what should not be there once all is closed."""
        gc.collect()
        counted = self.statistics.success.count + sum(self.statistics.failures.values())
        found = {
            "tasks": len(asyncio.all_tasks() - {asyncio.current_task()}),
            "inflight": self.scheduler.inflight,
            "pending": self.statistics.pending,
            "uncounted": self.accepted - counted,
            "failures": self.statistics.fail.count - sum(self.statistics.failures.values()),
            "buffers": sum(buffer() is not None for buffer in self._buffers),
            "open instances": sum(hand.closed != 1 for hand in self.instances),
        }
        return {what: number for what, number in found.items() if number}


@pytest.fixture(name="decoupled")
async def _decoupled(make, monkeypatch):
    """Make worlds; at the end of the test each is closed and nothing of it may be left."""
    # pytest keeps what is logged, and a traceback keeps the tensors of its frames.
    monkeypatch.setattr(logging.getLogger("inferd.scheduling.execution"), "disabled", True)
    made = []

    def world(**more):
        made.append(World(make, **more))
        return made[-1]

    yield world
    for one in made:
        await one.close()
        assert one.leftovers() == {}


def y(value):
    """Return the outputs of one row."""
    return {"Y": np.full((1, 2), value, "<i4")}


async def read(stream, count=None):
    """Receive replies: values, ``(error, text)``, ``None`` for the mere end; all of them."""
    told = []
    async with asyncio.timeout(10):
        while count is None or len(told) < count:
            answer, final = await stream.receive()
            if isinstance(answer, InferResponse):
                answer = int(answer.outputs[0].array()[0, 0])
            elif isinstance(answer, InferdError):
                answer = (type(answer).__name__, answer.message)
            told.append(answer)
            if final:
                break
    return told
