"""Tests of how load is split between processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.cli.benchmark.plan import Level, Plan, SequencePlan, parts, shares, split


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_shares_are_even(total, parts):
    """Nothing is lost and no process has more than one more than another."""
    found = shares(total, parts)
    assert sum(found) == total
    assert max(found) - min(found) <= 1


@given(st.integers(1, 100), st.integers(0, 100), st.integers(1, 8))
def test_concurrency_and_count_are_split(concurrency, requests, processes):
    """The parts of a level add up to it, each says whose it is."""
    found = split(Level(concurrency=concurrency, requests=requests), processes)
    assert sum(part.concurrency for part in found) == concurrency
    assert sum(part.requests or 0 for part in found) == requests
    assert [part.index for part in found] == list(range(processes))


def test_rate_is_not_divided():
    """Every process knows the whole rate, and takes its part of the arrivals."""
    found = split(Level(rate=10.0, poisson=True, intervals=(1,)), 2)
    assert [(part.rate, part.poisson, part.processes) for part in found] == [(10.0, True, 2)] * 2
    assert [part.intervals for part in found] == [(1,)] * 2


def test_authority_of_an_ipv6_address():
    """IPv6 addresses are written in brackets."""
    assert Plan("http", "::1", 80, ()).authority == "[::1]:80"
    assert Plan("http", "box", 80, ()).authority == "box:80"


def test_address_of_a_socket():
    """A Unix domain socket is called by its path; the protocols see a host all the same."""
    plan = Plan("http", "", 0, (), socket_path="/run/s")
    assert (plan.address, plan.authority) == ("unix:/run/s", "localhost")
    assert Plan("http", "box", 80, ()).address == "box:80"


@pytest.mark.parametrize(
    ("level", "live", "busy"),
    [
        (Level(3), None, 3),
        (Level(8), None, 4),
        (Level(rate=1.0), None, 4),
        (Level(rate=1.0), 2, 2),
        (Level(3), 1, 3),
    ],
)
def test_processes_without_anything_to_send_are_left_out(level, live, busy):
    """No more processes make load than there are requests or sequences at a time."""
    sequences = SequencePlan((), live=live) if live else None
    assert parts(Plan("grpc", "box", 1, (), sequences=sequences), level, 4) == busy
