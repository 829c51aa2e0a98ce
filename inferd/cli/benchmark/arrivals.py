"""
When the requests of a request rate are due.

Every process gets its share: of constant and given intervals each ``processes``-th request, of
a Poisson process a Poisson process of its own with a part of the rate.
"""

import itertools
import random
from collections.abc import Iterator, Sequence

_SECOND = 1_000_000_000


def constant(rate: float, index: int, processes: int) -> Iterator[int]:
    """
    Yield the nanoseconds after the start at which one process's requests are due.

    Args:
        rate: Requests per second of all processes.
        index: Which of the processes.
        processes: How many there are.
    """
    for number in itertools.count(index, processes):
        yield int(number * _SECOND / rate)


def given(intervals: Sequence[int], index: int, processes: int) -> Iterator[int]:
    """
    Yield the due times, in nanoseconds after the start, of intervals that begin again.

    Args:
        intervals: The time from each request to the next, in nanoseconds.
        index: Which of the processes.
        processes: How many there are.
    """
    due = 0
    for number, interval in enumerate(itertools.cycle(intervals)):
        if number % processes == index:
            yield due
        due += interval


def poisson(rate: float, processes: int, seed: int) -> Iterator[int]:
    """
    Yield the due times, in nanoseconds after the start, with exponential intervals.

    Args:
        rate: Requests per second of all processes.
        processes: How many share the rate.
        seed: Makes the sequence; different for each process.
    """
    source = random.Random(seed)
    due = 0.0
    while True:
        due += source.expovariate(rate / processes)
        yield int(due * _SECOND)
