"""
The response cache around one model version's scheduler: a scheduler itself.

A request is known by a digest of everything its answer depends on. Identical requests
that miss at the same time become one execution. That execution is counted for the
request which caused it, whatever becomes of its client; who joined it counts as a hit.
Errors are not kept.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Final, Protocol

from inferd.errors import InferdError, QueueTimeout
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.cache import ResponseCache
from inferd.scheduling.kept_response import KeptResponse, digest, kept_bytes, nbytes
from inferd.scheduling.replies import ReplySource
from inferd.scheduling.settlement import failure_reason
from inferd.scheduling.snapshot import SchedulerSnapshot
from inferd.scheduling.statistics import ModelStatistics

LARGE_BYTES: Final = 1 << 20
"""Tensors of more bytes than this in all are digested and copied on a thread."""


class Inner(Protocol):
    """The scheduler inside."""

    @property
    def inflight(self) -> int:
        """Requests accepted and not yet answered."""

    def snapshot(self) -> SchedulerSnapshot:
        """Return what it looks like now."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a checked request."""

    def stream(self, request: InferRequest) -> ReplySource:
        """Answer a checked request of a decoupled model."""

    async def drain(self) -> None:
        """Refuse new requests and wait for the accepted ones."""

    async def close(self) -> None:
        """Drain, then free the instances."""


class _Flight:
    """An execution that is under way, and the futures of those who wait for it."""

    __slots__ = ("lookup_ns", "request", "task", "waiters")

    task: "asyncio.Task[KeptResponse]"

    def __init__(self, request: InferRequest, lookup_ns: int) -> None:
        self.request = request
        self.lookup_ns = lookup_ns
        self.waiters: set[asyncio.Future[None]] = set()


class CachedScheduler:
    """
    Answers from the cache what it can, and the rest through another scheduler.

    Args:
        inner: Answers what is not in the cache.
        cache: Shared by all models of the process.
        statistics: Where hits and misses are counted.
        name: The model's name.
        version: The version number.
        sources: For a model that asks others: names what its answers come from now, or
            returns ``None`` when they must not be kept.
    """

    def __init__(
        self,
        inner: Inner,
        cache: ResponseCache[KeptResponse],
        statistics: ModelStatistics,
        *,
        name: str,
        version: int,
        sources: Callable[[], Hashable | None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._inner = inner
        self._cache = cache
        self._owner = cache.register()
        self._statistics = statistics
        self._prefix = repr((name, version, self._owner)).encode()
        self._sources = sources
        self._flights: dict[bytes, _Flight] = {}
        statistics.uses_cache = True

    @property
    def inflight(self) -> int:
        """Requests queued plus batches executing."""
        return self._inner.inflight

    def snapshot(self) -> SchedulerSnapshot:
        """Return what the scheduler inside looks like now; answers from the cache pass it by."""
        return self._inner.snapshot()

    async def infer(self, request: InferRequest) -> InferResponse:
        """
        Answer a checked request.

        Cancelling the caller takes the request back unless others wait for its execution.

        Raises:
            InferdError: Whatever the execution came to.
        """
        start_ns = time.monotonic_ns()
        prefix = self._prefix
        if self._sources is not None:
            sources = self._sources()
            if sources is None:
                return await self._inner.infer(request)
            prefix += repr(sources).encode()
        if nbytes(request.inputs.values()) > LARGE_BYTES:
            key = await asyncio.to_thread(digest, prefix, request)
        else:
            key = digest(prefix, request)
        kept = self._cache.get(key)
        if kept is not None:
            self._record_hit(request, start_ns)
            return kept.answer(request)
        while (flight := self._flights.get(key)) is not None:
            joined = await self._join(flight, request, key, start_ns)
            if joined is not None:
                return joined.answer(request)
        return (await self._lead(request, key, start_ns)).answer(request)

    def stream(self, request: InferRequest) -> ReplySource:
        """Have the scheduler inside answer: streams of responses are not kept."""
        return self._inner.stream(request)

    async def drain(self) -> None:
        """Refuse new requests and wait until every accepted one is answered."""
        await self._inner.drain()
        while self._flights:
            await asyncio.wait([flight.task for flight in self._flights.values()])

    async def close(self) -> None:
        """Drain, free the instances and forget what was kept."""
        await self.drain()
        await self._inner.close()
        self._cache.drop(self._owner)

    async def _lead(self, request: InferRequest, key: bytes, start_ns: int) -> KeptResponse:
        flight = _Flight(request, time.monotonic_ns() - start_ns)
        flight.task = self._loop.create_task(self._execute(flight, key))
        flight.task.add_done_callback(lambda _: self._land(flight, key))
        self._flights[key] = flight
        await self._wait(flight, key)
        return flight.task.result()

    async def _join(
        self, flight: _Flight, request: InferRequest, key: bytes, start_ns: int
    ) -> KeptResponse | None:
        """Wait for another request's execution; ``None`` when only that request timed out."""
        try:
            await self._wait(flight, key)
            kept = flight.task.result()
        except QueueTimeout:
            return None
        except asyncio.CancelledError:
            self._record_failure(request, "CANCELED")
            raise
        except InferdError as error:
            self._record_failure(request, failure_reason(error))
            raise
        self._record_hit(request, start_ns)
        return kept

    async def _wait(self, flight: _Flight, key: bytes) -> None:
        """Wait for the end of a flight; the last one to give up ends it."""
        future = self._loop.create_future()
        flight.waiters.add(future)
        try:
            await future
        finally:
            flight.waiters.discard(future)
            if not flight.waiters and not flight.task.done():
                self._forget(flight, key)
                flight.task.cancel()

    async def _execute(self, flight: _Flight, key: bytes) -> KeptResponse:
        response = await self._inner.infer(flight.request)
        start_ns = time.monotonic_ns()
        if nbytes(response.outputs) > LARGE_BYTES:
            kept, size = await asyncio.to_thread(_keep, response, self._cache)
        else:
            kept, size = _keep(response, self._cache)
        self._cache.put(key, kept, size, self._owner)
        self._statistics.record_cache_miss(flight.lookup_ns + time.monotonic_ns() - start_ns)
        return kept

    def _land(self, flight: _Flight, key: bytes) -> None:
        """Wake who waits; they read the outcome themselves."""
        self._forget(flight, key)
        if not flight.task.cancelled():
            # Marks an error as seen when everybody has left.
            flight.task.exception()
        for future in flight.waiters:
            if not future.done():
                future.set_result(None)

    def _forget(self, flight: _Flight, key: bytes) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _record_hit(self, request: InferRequest, start_ns: int) -> None:
        now_ns = time.monotonic_ns()
        total_ns = now_ns - (request.received_ns or start_ns)
        self._statistics.record_cache_hit(total_ns, now_ns - start_ns)

    def _record_failure(self, request: InferRequest, reason: str) -> None:
        now_ns = time.monotonic_ns()
        self._statistics.record_failure(reason, now_ns - (request.received_ns or now_ns))


def _keep(response: InferResponse, cache: ResponseCache[KeptResponse]) -> tuple[KeptResponse, int]:
    """Return a response to keep and its bytes; copied only when the cache has room for it."""
    size = kept_bytes(response)
    return KeptResponse(response, owned=cache.fits(size)), size
