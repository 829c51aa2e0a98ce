"""Deadlines that pass, on a real loop."""

import asyncio
import time

import pytest

from inferd.scheduling.deadline_watch import DeadlineWatch

HOUR_NS = 3_600_000_000_000


@pytest.fixture(name="watch")
async def _watch():
    """A watch whose ``seen`` queue gets what is due."""
    seen = asyncio.Queue()
    watch = DeadlineWatch(
        lambda: [seen.put_nowait(entry) for entry in watch.take_due(time.monotonic_ns())]
    )
    yield watch, seen
    watch.close()
    watch.close()


async def test_the_earliest_deadline_is_met_first(watch):
    """Also when it is added last."""
    watch, seen = watch
    now_ns = time.monotonic_ns()
    for name, at_ns in (("never", HOUR_NS), ("second", 20_000_000), ("first", 5_000_000)):
        watch.add(name, now_ns + at_ns)

    async with asyncio.timeout(10):
        assert [await seen.get(), await seen.get()] == ["first", "second"]
    assert time.monotonic_ns() >= now_ns + 20_000_000
    assert seen.empty()


async def test_a_deadline_that_has_passed_is_met_at_once(watch):
    """The next turn of the loop is soon enough."""
    watch, seen = watch
    watch.add("late", 1)

    async with asyncio.timeout(10):
        assert await seen.get() == "late"


async def test_what_was_removed_is_not_seen(watch):
    """The others are."""
    watch, seen = watch
    now_ns = time.monotonic_ns()
    watch.add("gone", now_ns + 1_000_000)
    watch.add("there", now_ns + 2_000_000)
    watch.remove_all(["gone"])

    async with asyncio.timeout(10):
        assert await seen.get() == "there"
    assert seen.empty()
