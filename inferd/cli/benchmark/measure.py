"""Measures levels of load on one server or, in turns, on two."""

import contextlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from inferd.cli.benchmark.options import Measuring
from inferd.cli.benchmark.plan import Level, parts
from inferd.cli.benchmark.processes import LoadProcesses
from inferd.cli.benchmark.sample import Sample, Window, is_stable, latency, merged
from inferd.cli.benchmark.search import Search
from inferd.cli.benchmark.server_side import ServerSide
from inferd.cli.benchmark.target import Target
from inferd.cli.clients.client import ClientError

_SETTLING_NS = 250_000_000

Progress = Callable[[Target, Level, int, Sample], None]
"""Called with every sample: the server, the level, the number of the window, the window so far."""


@dataclass(slots=True)
class Result:
    """
    What one level showed.

    Attributes:
        target: The server.
        level: The load.
        sample: The counts and latencies that count.
        processes: How many processes made the load.
        server: The server's own statistics of that time; ``None`` where it has none.
        windows: The requests per second of every window.
        stable: Whether the last three windows differed little; ``None`` where nobody asked.
        meets: Whether the latency is within the threshold.
    """

    target: Target
    level: Level
    sample: Sample
    processes: int = 1
    server: ServerSide | None = None
    windows: list[float] = field(default_factory=list)
    stable: bool | None = None
    meets: bool = True


class Measurement:
    """
    Measures level after level and keeps what it has when it is interrupted.

    Args:
        processes: They make the load.
        measuring: How long.
        progress: Is told of every sample.

    Attributes:
        results: What was measured so far, in order.
    """

    def __init__(self, processes: LoadProcesses, measuring: Measuring, progress: Progress) -> None:
        self.results: list[Result] = []
        self._processes = processes
        self._measuring = measuring
        self._progress = progress

    async def sweep(self, target: Target, search: Search) -> None:
        """Measure a server at the levels a search asks for."""
        with contextlib.suppress(StopIteration):
            level = next(search)
            while True:
                await self._warm_up(target, level)
                if self._measuring.requests:
                    result = await self._counted(target, level)
                else:
                    result = await self._windows(target, level, self._measuring.trials)
                result.meets = not self._is_above_threshold(result)
                level = search.send(result.meets)

    async def compare(self, targets: list[Target], levels: list[Level]) -> None:
        """Measure servers in turns, window by window, at every level."""
        for level in levels:
            for target in targets:
                await self._warm_up(target, level)
            for _ in range(self._measuring.rounds):
                for target in targets:
                    if self._measuring.requests:
                        await self._counted(target, level)
                    else:
                        await self._windows(target, level, 1)

    def _is_above_threshold(self, result: Result) -> bool:
        threshold = self._measuring.threshold_ns
        return 0 < threshold < latency(result.sample, self._measuring.percentile)

    async def _warm_up(self, target: Target, level: Level) -> None:
        if self._measuring.warmup:
            warm = replace(level, requests=self._measuring.warmup)
            async for _ in self._processes.run(target.plan, warm):
                pass

    async def _counted(self, target: Target, level: Level) -> Result:
        """Measure a number of requests, all of them."""
        limited = replace(level, requests=self._measuring.requests)
        before = await target.statistics()
        processes = parts(target.plan, level, self._processes.count)
        window = Window(processes)
        result = Result(target, level, window.sample, processes)
        self.results.append(result)
        async for index, sample in self._processes.run(target.plan, limited):
            window.add(index, sample)
            self._progress(target, level, 0, window.sample)
            if window.is_over(self._measuring.interval_ns):
                _refuse_failure(window.sample)
        result.server = _since(await target.statistics(), before)
        result.windows = [window.sample.rate]
        _refuse_failure(result.sample)
        return result

    async def _windows(self, target: Target, level: Level, most: int) -> Result:
        """Measure windows until the last three are stable, or ``most`` of them."""
        done: list[Sample] = []
        readings: list[ServerSide | None] = []
        processes = parts(target.plan, level, self._processes.count)
        settling, window = Window(processes), Window(processes)
        result = Result(target, level, settling.sample, processes)
        self.results.append(result)
        async for index, sample in self._processes.run(target.plan, level):
            if not readings:
                settling.add(index, sample)
                if settling.is_over(_SETTLING_NS):
                    readings.append(await target.statistics())
                continue
            if result.stable is not None or len(done) == most:
                continue
            window.add(index, sample)
            self._progress(target, level, len(done), window.sample)
            if not done:
                result.sample = window.sample
            if not window.is_over(self._measuring.interval_ns, self._measuring.window_requests):
                continue
            readings.append(await target.statistics())
            done.append(window.sample)
            _refuse_failure(window.sample)
            window = Window(processes)
            kept = min(len(done), 3)
            result.sample = merged(done[-3:])
            result.server = _since(readings[-1], readings[-1 - kept])
            result.windows.append(done[-1].rate)
            if is_stable(done, self._measuring.stability, self._measuring.percentile):
                result.stable = True
            elif len(done) == most and most > 1:
                result.stable = False
            if result.stable or len(done) == most:
                self._processes.stop()
        return result


def _since(after: ServerSide | None, before: ServerSide | None) -> ServerSide | None:
    return None if after is None or before is None else after.since(before)


def _refuse_failure(sample: Sample) -> None:
    """
    Give up when nothing but failures came.

    Raises:
        ClientError: With the commonest message.
    """
    if sample.failures and not sample.answered:
        message, count = max(sample.failures.items(), key=lambda item: item[1])
        raise ClientError(f"all {sample.failed} requests failed; {count} with: {message}")


def median(results: list[Result], value: Callable[[Result], float]) -> float:
    """Return the median of a value over results."""
    return statistics.median(map(value, results))
