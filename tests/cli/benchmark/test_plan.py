"""Tests of how load is split between processes."""

from hypothesis import given
from hypothesis import strategies as st

from inferd.cli.benchmark.plan import Level, Plan, shares, split


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_shares_are_even(total, parts):
    """Nothing is lost and no process has more than one more than another."""
    found = shares(total, parts)
    assert sum(found) == total
    assert max(found) - min(found) <= 1


@given(st.integers(1, 100), st.integers(0, 100), st.integers(1, 8))
def test_concurrency_and_count_are_split(concurrency, requests, processes):
    """The parts of a level add up to it, each says whose it is."""
    parts = split(Level(concurrency=concurrency, requests=requests), processes)
    assert sum(part.concurrency for part in parts) == concurrency
    assert sum(part.requests or 0 for part in parts) == requests
    assert [part.index for part in parts] == list(range(processes))


def test_rate_is_not_divided():
    """Every process knows the whole rate, and takes its part of the arrivals."""
    parts = split(Level(rate=10.0, poisson=True), 2)
    assert [(part.rate, part.poisson, part.processes) for part in parts] == [(10.0, True, 2)] * 2


def test_authority_of_an_ipv6_address():
    """IPv6 addresses are written in brackets."""
    assert Plan("http", "::1", 80, ()).authority == "[::1]:80"
    assert Plan("http", "box", 80, ()).authority == "box:80"
