"""A response cache around a scheduler whose answers are given by hand."""

import asyncio

from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling.cache import ResponseCache
from inferd.scheduling.cached import CachedScheduler
from inferd.scheduling.statistics import ModelStatistics


class Inner:
    """
    A scheduler whose answers are given by hand.

    Attributes:
        asked: The futures of its executions, in order.
        called: Set once there is one.
        cancelled: How many were taken back.
        closed: How often it was closed.
    """

    def __init__(self):
        self.asked = []
        self.called = asyncio.Event()
        self.cancelled = 0
        self.closed = 0

    @property
    def inflight(self):
        """Executions that nobody has answered."""
        return sum(not future.done() for future in self.asked)

    async def infer(self, request):
        """Wait for the test's answer."""
        future = asyncio.get_running_loop().create_future()
        self.asked.append(future)
        self.called.set()
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def answer(self, index=-1, size=8):
        """Answer an execution with so many bytes."""
        raw = bytes(memoryview(bytes(size)))
        self.asked[index].set_result(
            InferResponse("m", "1", [Tensor("Y", "INT8", (size,), raw=raw)], id="inner")
        )

    async def drain(self):
        """Nothing of its own is left."""

    async def close(self):
        """Count the calls."""
        self.closed += 1


class World:
    """A cached scheduler and what is around it."""

    def __init__(self, capacity=100_000):
        self.cache = ResponseCache(capacity)
        self.statistics = ModelStatistics()
        self.inner = Inner()
        self.scheduler = self.load()

    def load(self):
        """Return a scheduler as after a reload."""
        return CachedScheduler(self.inner, self.cache, self.statistics, name="m", version=1)

    async def start(self, request):
        """Send a request and let it go as far as it can."""
        task = asyncio.create_task(self.scheduler.infer(request))
        await turns()
        return task

    def counts(self):
        """Return successes, hits and misses."""
        s = self.statistics
        return s.success.count, s.cache_hit.count, s.cache_miss.count


async def turns(count=5):
    """Let everything that is ready go on."""
    for _ in range(count):
        await asyncio.sleep(0)
