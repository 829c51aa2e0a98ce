"""The levels a run measures, and in which order."""

from collections.abc import Callable
from dataclasses import dataclass

from inferd.cli.benchmark.options import Range
from inferd.cli.benchmark.plan import Level
from inferd.cli.benchmark.search import Search, binary, counted, linear
from inferd.cli.clients.client import UsageError


@dataclass(frozen=True, slots=True)
class Extent:
    """
    The levels that are measured.

    Attributes:
        range: Their values; ``None`` for a rate given by its intervals.
        make: Makes the level of a value.
        is_binary: Whether the largest value within the threshold is searched.
    """

    range: Range | None
    make: Callable[[float], Level]
    is_binary: bool = False

    def search(self) -> Search:
        """Return the search of the levels."""
        found = self.range
        if found is None:
            return linear([self.make(0)])
        if self.is_binary:
            return binary(found.start, found.end, found.step, self.make)
        if not found.end:
            return counted(found.start, found.step, self.make)
        return linear(self.levels())

    def levels(self) -> list[Level]:
        """Return the levels where they are known."""
        values = [0.0] if self.range is None else self.range.values()
        return [self.make(value) for value in values]


def extent(
    concurrency: Range | None,
    rates: Range | None,
    intervals: tuple[int, ...],
    *,
    poisson: bool = False,
    is_binary: bool = False,
) -> Extent:
    """
    Return the levels of the options; one request in flight when none is given.

    Args:
        concurrency: The requests in flight.
        rates: The requests per second, instead.
        intervals: The intervals between requests in nanoseconds, instead; else empty.
        poisson: Whether the intervals of a rate are exponential.
        is_binary: Whether the largest value within the threshold is searched.

    Raises:
        UsageError: A binary search lacks an end.
    """
    if intervals:
        rate = 1e9 * len(intervals) / sum(intervals)
        return Extent(None, lambda _: Level(rate=rate, intervals=intervals))
    found = rates or concurrency or Range(1, 1, 1, has_end=False)
    if is_binary and not (found.has_end and found.end):
        raise UsageError("--binary-search needs the start and the end of a range")
    if rates is not None:
        return Extent(rates, lambda rate: Level(rate=rate, poisson=poisson), is_binary)
    return Extent(found, lambda value: Level(concurrency=int(value)), is_binary)
