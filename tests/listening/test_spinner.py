"""The loop stays awake after an answer, and goes on doing everything else."""

import asyncio

import pytest

from inferd.listening.spinner import Spinner


class Clock:
    """A clock that stands still, and counts how often it is looked at."""

    def __init__(self):
        self.now_ns = 0
        self.looks = 0

    def __call__(self):
        """Return the time."""
        self.looks += 1
        return self.now_ns

    async def looks_in_turns(self, turns):
        """Return how often it is looked at during some turns of the loop."""
        before = self.looks
        for _ in range(turns):
            await asyncio.sleep(0)
        return self.looks - before


@pytest.fixture
def clock():
    """At 0."""
    return Clock()


async def test_nothing_is_done_without_a_window(clock):
    """The loop sleeps as it always did."""
    spinner = Spinner(0, clock_ns=clock)
    spinner.heard()
    spinner.answered()
    assert await clock.looks_in_turns(5) == clock.looks == 0


async def test_the_loop_turns_for_the_window_and_sleeps_then(clock):
    """One look at the clock per turn."""
    spinner = Spinner(20, clock_ns=clock)
    spinner.answered()
    assert await clock.looks_in_turns(5) == 5
    clock.now_ns = 20_000
    assert await clock.looks_in_turns(5) == 1


async def test_answers_meanwhile_only_prolong_it(clock):
    """Still one look per turn."""
    spinner = Spinner(20, clock_ns=clock)
    spinner.answered()
    clock.now_ns = 15_000
    spinner.answered()
    clock.now_ns = 20_000
    assert await clock.looks_in_turns(5) == 5
    clock.now_ns = 35_000
    assert await clock.looks_in_turns(5) == 1


async def test_a_client_that_was_heard_is_waited_for_again(clock):
    """One that was not is not, the next time."""
    spinner = Spinner(20, clock_ns=clock)
    for heard in (True, False):
        spinner.answered()
        if heard:
            spinner.heard()
        clock.now_ns += 20_000
        assert await clock.looks_in_turns(5) == 1
    spinner.answered()
    assert await clock.looks_in_turns(5) == 0
