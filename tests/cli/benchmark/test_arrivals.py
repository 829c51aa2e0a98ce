"""Tests of when the requests of a rate are due."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.cli.benchmark import arrivals
from inferd.cli.benchmark.arrivals import constant, poisson


@given(st.floats(0.1, 1e6), st.integers(1, 8))
def test_processes_share_constant_arrivals(rate, processes):
    """All processes' arrivals together are evenly spaced at the rate."""
    due = sorted(
        time for index in range(processes) for time in islice(constant(rate, index, processes), 5)
    )
    assert due == [int(number * 1e9 / rate) for number in range(5 * processes)]


def test_constant_arrivals_do_not_drift():
    """The 3,000th of 3 requests per second is due after exactly 1,000 seconds."""
    assert next(islice(constant(3.0, 0, 1), 3000, None)) == 1_000_000_000_000


@pytest.mark.parametrize("processes", [1, 4])
def test_poisson_arrivals_have_the_rate(processes):
    """Exponential intervals average to the process's share of the rate."""
    last = list(islice(poisson(1000.0, processes, 7), 20_000))[-1]
    assert last / 1e9 == pytest.approx(20.0 * processes, rel=0.05)


def test_poisson_arrivals_ascend_and_depend_on_the_seed():
    """Processes with different seeds send at different times, each in order."""
    first, second = (list(islice(poisson(100.0, 2, seed), 50)) for seed in (1, 2))
    assert first == sorted(first)
    assert first != second
    assert first == list(islice(poisson(100.0, 2, 1), 50))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_given_intervals_begin_again(processes):
    """All processes' arrivals together have the intervals of the file, again and again."""
    due = sorted(
        time
        for index in range(processes)
        for time in islice(arrivals.given((5, 0, 7), index, processes), 6 // processes)
    )
    assert due == [0, 5, 5, 12, 17, 17]
