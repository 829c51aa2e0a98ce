"""
Which level is measured next: one after the other, or those of a binary search.

A search is a generator that yields levels and is sent whether the last one met the latency
threshold.
"""

import itertools
from collections.abc import Callable, Generator, Iterable

from inferd.cli.benchmark.plan import Level

Search = Generator[Level, bool, None]


def linear(levels: Iterable[Level]) -> Search:
    """Search level after level, up to the first that is above the threshold."""
    for level in levels:
        if not (yield level):
            return


def counted(start: float, step: float, make: Callable[[float], Level]) -> Search:
    """Search upwards without an end, up to the first level that is above the threshold."""
    return linear(make(start + index * step) for index in itertools.count())


def binary(start: float, end: float, step: float, make: Callable[[float], Level]) -> Search:
    """
    Search the largest level within the threshold, as perf_analyzer does.

    Both ends are measured first; then the middle of what is between the largest value that met
    the threshold and the smallest that did not, until they are no more than ``step`` apart.

    Args:
        start: The smallest value.
        end: The largest one.
        step: How exact the answer is.
        make: Makes the level of a value.
    """
    if not (yield make(start)) or start == end or (yield make(end)):
        return
    while end - start > step:
        middle = (start + end) / 2
        if isinstance(start, int):
            middle = int(middle)
        if (yield make(middle)):
            start = middle
        else:
            end = middle
