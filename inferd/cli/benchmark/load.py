"""Keeps the requests of one process going: a number in flight, or a rate."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from inferd.cli.benchmark import arrivals
from inferd.cli.benchmark.lanes import NOW, GrpcLane, HttpLane, Lane, StreamLane
from inferd.cli.benchmark.plan import Level, Plan, shares
from inferd.cli.benchmark.sample import Sample
from inferd.cli.benchmark.sequences import Sequences

_RETRY_SECONDS: Final = 0.05
_DRAIN_SECONDS: Final = 5.0
_LATE_NS: Final = 1_000_000
_STREAMS_OF_A_RATE: Final = 1024


class RunningLoad:
    """
    One level of load on one server.

    Args:
        plan: What is sent where.
        level: How much of it.
    """

    def __init__(self, plan: Plan, level: Level) -> None:
        self.finished = asyncio.Event()
        self.sequences = _sequences(plan, level)
        self._plan = plan
        self._level = level
        self._tls = plan.tls.context(plan.protocol) if plan.tls else None
        self._lanes: list[Lane] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._sample = Sample()
        self._since = 0
        self._until = 0
        self._cpu = time.process_time_ns()
        self._stopping = False
        self._unsent = level.requests or -1
        self._backlog: deque[int] = deque()
        self._arrivals: Iterator[int] = iter(())
        self._begin = 0
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Connect, then send the first requests."""
        limits = self._limits()
        await asyncio.gather(*(self._connect(limit) for limit in limits))
        self._since = self._begin = time.perf_counter_ns()
        if self._level.rate:
            self._arrivals = _arrivals(self._level)
            self._schedule(next(self._arrivals))
        for lane in list(self._lanes):
            lane.fill()
        self.checked()

    def stop(self) -> None:
        """Send nothing more; ``finished`` is set when everything is answered, or after 5 s."""
        self._stopping = True
        self._backlog.clear()
        asyncio.get_running_loop().call_later(_DRAIN_SECONDS, self.finished.set)
        self.checked()

    def close(self) -> None:
        """Close every connection."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for lane in list(self._lanes):
            lane.close()

    def take(self) -> Sample:
        """Return what was measured since the last time."""
        sample, self._sample = self._sample, Sample()
        now, cpu = self._until or time.perf_counter_ns(), time.process_time_ns()
        sample.elapsed_ns = now - self._since
        sample.cpu_ns = cpu - self._cpu
        self._since, self._cpu = now, cpu
        return sample

    def next_due(self) -> int | None:
        """Return when the next request is due, ``NOW``, or ``None`` when there is none."""
        if self.sequences is not None:
            if not self.sequences.available:
                return None
            if self.sequences.closing:
                return NOW
        if self._level.rate:
            return self._backlog.popleft() if self._backlog else None
        if self._stopping or not self._unsent:
            return None
        self._unsent -= 1
        return NOW

    def answered(self, latency_ns: int, responses: int, first_ns: int) -> None:
        """Count a request that was answered well."""
        sample = self._sample if not self._until else Sample()
        sample.latencies.record(latency_ns)
        sample.responses += responses
        if self._plan.decoupled:
            sample.first_responses.record(first_ns)

    def failed(self, message: str) -> None:
        """Count a request that failed."""
        if self._until:
            return
        failures = self._sample.failures
        failures[message] = failures.get(message, 0) + 1

    def lost(self, lane: Lane) -> None:
        """Replace a connection that has ended."""
        if lane in self._lanes:
            self._lanes.remove(lane)
            if not self._stopping:
                self._spawn(lane.limit)

    def checked(self) -> None:
        """Say so if this was all; what is left of sequences is ended before."""
        if self._unsent and not self._stopping:
            return
        if self._backlog or any(lane.in_flight for lane in self._lanes):
            return
        if self.sequences is None or not self._ends(self.sequences):
            self.finished.set()

    def _ends(self, sequences: Sequences) -> bool:
        """Send the last requests of the sequences, which do not count; whether there are some."""
        self._until = self._until or time.perf_counter_ns()
        sequences.closing = True
        for lane in list(self._lanes):
            lane.fill()
        return any(lane.in_flight for lane in self._lanes)

    def _limits(self) -> list[int]:
        """Return how many requests may be in flight on each connection."""
        if self._plan.protocol == "http":
            return [1] * (self._level.concurrency or 1)
        total = self._level.concurrency or _STREAMS_OF_A_RATE
        return [share for share in shares(total, self._plan.connections) if share]

    def _spawn(self, limit: int) -> None:
        task = asyncio.get_running_loop().create_task(self._reconnect(limit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reconnect(self, limit: int) -> None:
        if (lane := await self._connect(limit)) is not None:
            lane.fill()

    async def _connect(self, limit: int) -> Lane | None:
        """Connect once; on failure count it, wait and leave the rest to a further attempt."""
        kind = _lane_kind(self._plan)
        lane: Lane | None = None
        try:
            lane = await self._connected(lambda: kind(self, self._plan, limit))
            await lane.connected
        except OSError as error:
            self._fail_next(f"cannot connect to {self._plan.address}: {error}")
            await asyncio.sleep(_RETRY_SECONDS)
            if not self._stopping and self._unsent:
                self._spawn(limit)
            return None
        self._lanes.append(lane)
        return lane

    async def _connected(self, factory: Callable[[], Lane]) -> Lane:
        loop, plan = asyncio.get_running_loop(), self._plan
        if plan.socket_path:
            _, lane = await loop.create_unix_connection(factory, plan.socket_path)
        else:
            _, lane = await loop.create_connection(factory, plan.host, plan.port, ssl=self._tls)
        return lane

    def _fail_next(self, message: str) -> None:
        """Fail a request for a connection that could not be made; of a rate every due one."""
        while self.next_due() is not None:
            self.failed(message)
            if not self._level.rate:
                break
        self.checked()

    def _schedule(self, due: int) -> None:
        at = asyncio.get_running_loop().time() + (self._begin + due - time.perf_counter_ns()) / 1e9
        self._timer = asyncio.get_running_loop().call_at(at, self._arrive, due)

    def _arrive(self, due: int) -> None:
        """Queue every request that is due by now and send what fits."""
        if self._stopping:
            return
        elapsed = time.perf_counter_ns() - self._begin
        while due <= elapsed and self._unsent:
            self._sample.late += elapsed - due > _LATE_NS
            self._backlog.append(self._begin + due)
            self._unsent -= 1
            due = next(self._arrivals)
        for lane in self._lanes:
            if not self._backlog:
                break
            if lane.free:
                lane.fill()
        if self._backlog and self._plan.protocol == "http":
            self._grow()
        if self._unsent:
            self._schedule(due)

    def _grow(self) -> None:
        """Open connections for the requests that wait, as far as there may be."""
        missing = min(
            len(self._backlog) - len(self._tasks),
            self._plan.connections - len(self._lanes) - len(self._tasks),
        )
        for _ in range(missing):
            self._spawn(1)


def _lane_kind(plan: Plan) -> type[Lane]:
    if plan.protocol == "http":
        return HttpLane
    return StreamLane if plan.streaming else GrpcLane


def _sequences(plan: Plan, level: Level) -> Sequences | None:
    if plan.sequences is None:
        return None
    live = level.concurrency or shares(plan.sequences.live, level.processes)[level.index]
    return Sequences(plan.sequences, live, level.index, level.processes)


def _arrivals(level: Level) -> Iterator[int]:
    if level.intervals:
        return arrivals.given(level.intervals, level.index, level.processes)
    if level.poisson:
        return arrivals.poisson(level.rate, level.processes, level.index)
    return arrivals.constant(level.rate, level.index, level.processes)
