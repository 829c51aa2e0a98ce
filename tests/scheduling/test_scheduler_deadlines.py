"""The shell under deadlines: what cannot be answered in time is rejected, not executed."""

import asyncio
import time

import pytest

from inferd.errors import DeadlineExceeded, QueueTimeout
from inferd.scheduling.estimate import WINDOW
from inferd.scheduling.policy import BatchPolicy, PriorityPolicy, QueuePolicy

MS = 1_000_000
HOUR_NS = 3_600_000 * MS
LIMITED = PriorityPolicy(default=QueuePolicy(max_size=8, timeout_ns=HOUR_NS))


def within(ms):
    """Return the deadline that is so many milliseconds from now."""
    return time.monotonic_ns() + ms * MS


@pytest.mark.parametrize("priorities", [PriorityPolicy(), LIMITED], ids=["plain", "limited"])
class TestInTheQueue:
    """A request whose deadline passes while it waits."""

    async def test_it_is_rejected_while_a_batch_executes(self, rigs, priorities):
        """At its deadline, however long the execution takes; the work is not done."""
        rig = rigs(policy=BatchPolicy(4, True, priorities=priorities))
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        second, third = rig.start(1, deadline_ns=within(2)), rig.start(2)
        with pytest.raises(DeadlineExceeded, match=r"^Request deadline exceeded before"):
            await asyncio.wait_for(second, 10)
        assert not first.done()
        assert rig.statistics.pending == 1
        rig.instance.open()

        assert await asyncio.gather(first, third) == [1, 3]
        assert rig.instance.sizes == [1, 1]
        assert rig.statistics.failures["REJECTED"] == 1
        assert (rig.statistics.success.count, rig.statistics.pending) == (2, 0)

    async def test_an_earlier_deadline_may_come_later(self, rigs, priorities):
        """It is not forgotten for the one that was waited for before."""
        rig = rigs(policy=BatchPolicy(4, True, priorities=priorities))
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        patient = rig.start(1, deadline_ns=within(60_000))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(rig.infer(2, deadline_ns=within(2)), 10)
        rig.instance.open()

        assert await asyncio.gather(first, patient) == [1, 2]

    async def test_one_that_comes_too_late_is_not_executed(self, rigs, priorities):
        """Although an instance is free."""
        rig = rigs(policy=BatchPolicy(4, True, priorities=priorities))
        late, timely = rig.start(0, deadline_ns=1), rig.start(1, deadline_ns=within(60_000))

        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(late, 10)
        assert await timely == 2
        assert rig.instance.sizes == [1]

    async def test_draining_ends_when_the_last_request_is_too_late(self, rigs, priorities):
        """Nobody is left to answer."""
        rig = rigs(policy=BatchPolicy(4, True, HOUR_NS, priorities=priorities))
        task = rig.start(0, deadline_ns=1)
        await asyncio.sleep(0)
        await asyncio.wait_for(rig.scheduler.drain(), 10)

        with pytest.raises(DeadlineExceeded):
            await task


class TestWaitingForOthers:
    """A batch that waits for the queue delay."""

    async def test_it_closes_in_time_for_a_deadline(self, rigs):
        """All its requests are answered, hours before the delay is over."""
        rig = rigs(policy=BatchPolicy(4, True, 4 * HOUR_NS))
        rig.scheduler._heed_deadlines()
        rig.scheduler._estimate.observe(HOUR_NS)
        tasks = [rig.start(0), rig.start(1, deadline_ns=within(3_600_100))]

        assert await asyncio.wait_for(asyncio.gather(*tasks), 10) == [1, 2]
        assert rig.instance.sizes == [2]

    async def test_a_timeout_is_still_one(self, rigs):
        """Also of a request with a deadline."""
        policy = PriorityPolicy(default=QueuePolicy(timeout_ns=2 * MS))
        rig = rigs(policy=BatchPolicy(4, True, HOUR_NS, priorities=policy))

        with pytest.raises(QueueTimeout, match=r"^Request timeout expired$") as raised:
            await asyncio.wait_for(rig.infer(0, deadline_ns=within(60_000)), 10)
        assert not isinstance(raised.value, DeadlineExceeded)


class TestHopeless:
    """A request that no execution could answer in time."""

    async def slow(self, rigs):
        """Return a rig whose latest executions are known to have taken an hour each."""
        rig = rigs()
        await rig.infer(0, deadline_ns=within(60_000))
        for _ in range(2 * WINDOW):
            rig.scheduler._estimate.observe(HOUR_NS)
        return rig

    async def test_it_is_rejected_before_its_deadline(self, rigs):
        """Its client learns at once that there is nothing to wait for; others are answered."""
        rig = await self.slow(rigs)

        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(rig.infer(0, deadline_ns=within(60_000)), 10)
        assert len(rig.instance.sizes) == 1
        assert await rig.infer(0, deadline_ns=within(7_200_000)) == 1
        assert await rig.infer(1) == 2

    async def test_it_is_rejected_while_a_batch_executes(self, rigs):
        """Waiting for the instance could not help."""
        rig = await self.slow(rigs)
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        await rig.started()
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(rig.infer(0, deadline_ns=within(60_000)), 10)
        rig.instance.open()

        assert await first == 1

    async def test_it_is_tried_again_after_some_rejections(self, rigs):
        """A model that has become faster is not refused for ever."""
        rig = await self.slow(rigs)
        answered = rejected = 0
        while not answered and rejected < 100:
            try:
                answered = await rig.infer(0, deadline_ns=within(60_000))
            except DeadlineExceeded:
                rejected += 1

        assert answered == 1
        assert 10 < rejected < 50
        assert await rig.infer(1, deadline_ns=within(60_000)) == 2


class TestOutcomes:
    """How it is told and counted."""

    async def test_a_request_taken_back_at_its_deadline_counts_as_rejected(self, rigs):
        """A frontend's timer may be faster than the queue's."""
        rig = rigs()
        rig.instance.hold()
        first = rig.start(0)
        await rig.started()
        deadline_ns = within(3)
        second = rig.start(1, deadline_ns=deadline_ns)
        third = rig.start(2, deadline_ns=within(60_000))
        await asyncio.sleep(0)
        while time.monotonic_ns() < deadline_ns:
            pass
        second.cancel()
        third.cancel()
        await asyncio.wait([second, third])
        assert (second.cancelled(), third.cancelled()) == (True, True)
        rig.instance.open()
        await first

        assert rig.statistics.failures["REJECTED"] == 1
        assert rig.statistics.failures["CANCELED"] == 1

    async def test_answers_in_order_do_not_wait_for_it(self, rigs):
        """What came after it is answered."""
        rig = rigs(policy=BatchPolicy(1, False, preserves_order=True))
        late, timely = rig.start(0, deadline_ns=1), rig.start(1)

        assert await asyncio.wait_for(timely, 10) == 2
        assert isinstance(late.exception(), DeadlineExceeded)

    async def test_the_execution_sees_the_deadline(self, rigs, make):
        """A backend may stop when nobody waits any more."""
        rig = rigs(max_batch_size=4)
        seen = []
        execute = rig.instance.execute
        rig.instance.execute = lambda batch: seen.append(batch.deadline_ns) or execute(batch)
        deadline_ns = within(60_000)
        await asyncio.gather(*(rig.start(0, deadline_ns=deadline_ns + more) for more in (0, 5, 3)))
        await rig.infer(0)

        assert seen == [deadline_ns + 5, 0]
