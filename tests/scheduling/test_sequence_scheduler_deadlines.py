"""Requests of sequences whose deadline passes."""

import asyncio
import time

import pytest

from inferd.errors import DeadlineExceeded, QueueTimeout
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from tests.scheduling.sequence_rig import LONG_NS, SHORT_NS, executing, value_of


class TestDeadlines:
    """A request whose deadline passes while it waits."""

    async def test_it_is_rejected_while_the_sequence_executes(self, build, ask):
        """At its deadline; the sequence goes on without it."""
        scheduler, (instance,), statistics = build()
        instance.hold()
        loop = asyncio.get_running_loop()
        first = loop.create_task(scheduler.infer(ask(1, 0, "s")))
        await executing(instance)
        deadline_ns = time.monotonic_ns() + 2_000_000
        late = loop.create_task(scheduler.infer(ask(1, 1, deadline_ns=deadline_ns)))
        last = loop.create_task(scheduler.infer(ask(1, 2, "e")))
        with pytest.raises(DeadlineExceeded, match=r"^Request deadline exceeded before"):
            await asyncio.wait_for(late, 10)
        assert not first.done()
        instance.open()

        assert [value_of(one) for one in await asyncio.gather(first, last)] == [1, 3]
        assert instance.sizes == [1, 1]
        assert statistics.failures["REJECTED"] == 1
        assert statistics.pending == 0

    async def test_one_that_comes_too_late_is_not_executed(self, build, ask):
        """Although its place is free."""
        scheduler, (instance,), _ = build()
        await scheduler.infer(ask(1, 0, "s", deadline_ns=LONG_NS))
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(scheduler.infer(ask(1, 1, deadline_ns=1)), 10)

        assert value_of(await scheduler.infer(ask(1, 2))) == 3
        assert instance.sizes == [1, 1]

    async def test_a_batch_does_not_wait_beyond_a_deadline(self, build, ask):
        """With as much time to spare as the longest of the latest executions took."""
        lane = OldestLane(OldestPolicy(8, 4, max_queue_delay_ns=LONG_NS))
        scheduler, (instance,), _ = build([lane])
        scheduler._estimate.observe(3_600_000_000_000)
        deadline_ns = time.monotonic_ns() + 3_600_100_000_000
        requests = (ask(1, 3, "s"), ask(2, 4, "s", deadline_ns=deadline_ns))
        answers = await asyncio.wait_for(
            asyncio.gather(*(scheduler.infer(one) for one in requests)), 10
        )

        assert [value_of(one) for one in answers] == [4, 5]
        assert instance.sizes == [2]

    async def test_one_in_the_backlog_is_rejected(self, build, ask):
        """Its sequence has no place yet; the next START of it is answered."""
        scheduler, _, statistics = build()
        await scheduler.infer(ask(1, 0, "s"))
        deadline_ns = time.monotonic_ns() + 2_000_000
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(scheduler.infer(ask(2, 0, "se", deadline_ns=deadline_ns)), 10)
        await scheduler.infer(ask(1, 0, "e"))

        assert value_of(await scheduler.infer(ask(2, 5, "se"))) == 6
        assert statistics.failures["REJECTED"] == 1

    async def test_one_whose_sequence_timed_out_is_not_rejected_again(self, build, ask):
        """Whatever its deadline."""
        scheduler, (instance,), statistics = build(idle_ns=SHORT_NS)
        instance.hold()
        first = asyncio.ensure_future(scheduler.infer(ask(1, 0, "s")))
        await executing(instance)
        deadline_ns = time.monotonic_ns() + 2 * SHORT_NS
        with pytest.raises(QueueTimeout, match="timeout of the corresponding sequence"):
            await asyncio.wait_for(scheduler.infer(ask(2, 0, "s", deadline_ns=deadline_ns)), 10)
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(scheduler.infer(ask(1, 0, deadline_ns=deadline_ns)), 10)
        instance.open()
        await first

        assert statistics.failures["REJECTED"] == 2
        assert statistics.pending == 0

    async def test_one_that_was_taken_back_is_not_rejected(self, build, ask):
        """It has one outcome."""
        scheduler, (instance,), statistics = build()
        instance.hold()
        loop = asyncio.get_running_loop()
        first = loop.create_task(scheduler.infer(ask(1, 0, "s")))
        await executing(instance)
        deadline_ns = time.monotonic_ns() + 20_000_000
        gone = loop.create_task(scheduler.infer(ask(1, 1, deadline_ns=deadline_ns)))
        late = loop.create_task(scheduler.infer(ask(1, 2, deadline_ns=deadline_ns)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(late, 10)
        instance.open()
        await first

        assert gone.cancelled()
        assert (statistics.failures["CANCELED"], statistics.failures["REJECTED"]) == (1, 1)
