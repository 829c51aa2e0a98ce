"""What the scheduler says of itself: who waits, what executes, why batches closed."""

import asyncio
import time

import pytest

from inferd.errors import BackendError
from inferd.scheduling.policy import BatchPolicy, PriorityPolicy, QueuePolicy
from inferd.scheduling.snapshot import InstanceState

MINUTE_NS = 60_000_000_000


def recent(rig):
    """Return (reason, size, requests, failed) of the batches, oldest first."""
    batches = rig.scheduler.snapshot().batches.recent
    return [(one.reason, one.size, one.requests, one.failed) for one in reversed(batches)]


async def test_a_scheduler_at_rest(rigs):
    """Its instances are free, nothing waits and nothing was executed."""
    found = rigs(instances=2).scheduler.snapshot()

    assert (found.inflight, found.levels, found.inline) == (0, [], False)
    assert found.instances == [InstanceState(False), InstanceState(False)]
    assert (found.batches.executing, found.batches.closes, found.batches.recent) == ([], {}, [])
    assert found.sequences is None
    assert found.steps == ()


async def test_what_waits_and_what_executes(rigs):
    """With how long it has done so."""
    rig = rigs(instances=2)
    rig.instances[1].hold()
    rig.instances[0].hold()
    begun_ns = time.monotonic_ns()
    first = rig.start(0, rows=3)
    await rig.until(lambda: rig.scheduler.inflight)
    await rig.until(lambda: sum(one.busy for one in rig.scheduler.snapshot().instances) == 1)
    second = rig.start(1)
    await rig.until(lambda: rig.scheduler.inflight == 2)
    await rig.until(lambda: all(one.busy for one in rig.scheduler.snapshot().instances))
    third, fourth = rig.start(2), rig.start(3)
    await rig.until(lambda: rig.scheduler.inflight == 4)
    found = rig.scheduler.snapshot()
    limit_us = (time.monotonic_ns() - begun_ns) // 1000

    (level,) = found.levels
    assert (level.level, level.waiting, level.delayed) == (1, 2, 0)
    executing = found.batches.executing
    assert {(one.instance, one.size, one.requests, one.reason) for one in executing} in (
        {(0, 3, 1, "idle"), (1, 1, 1, "idle")},
        {(1, 3, 1, "idle"), (0, 1, 1, "idle")},
    )
    assert 0 <= level.oldest_wait_us <= max(one.elapsed_us for one in executing) <= limit_us
    assert found.batches.closes == {}
    for instance in rig.instances:
        instance.open()
    assert await asyncio.gather(first, second, third, fourth) == [1, 2, 3, 4]
    after = rig.scheduler.snapshot()
    assert (after.inflight, after.levels, after.batches.executing) == (0, [], [])
    assert sum(after.batches.sizes.values()) == sum(after.batches.closes.values()) == 3


async def test_requests_wait_by_priority_level(rigs):
    """Delayed ones are counted apart and among the waiting."""
    priorities = PriorityPolicy(2, 2, by_level={1: QueuePolicy(timeout_ns=1, delays=True)})
    rig = rigs(policy=BatchPolicy(1, True, priorities=priorities), max_batch_size=1)
    rig.instance.hold()
    tasks = [rig.start(0)]
    await rig.started()
    tasks += [rig.start(1, priority=level) for level in (2, 1, 2)]
    await rig.until(lambda: rig.scheduler.inflight == 4)
    await rig.until(lambda: rig.scheduler.snapshot().levels[0].delayed)
    levels = rig.scheduler.snapshot().levels

    assert [(one.level, one.waiting, one.delayed) for one in levels] == [(1, 1, 1), (2, 2, 0)]
    rig.instance.open()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("policy", "rows", "reasons"),
    [
        (BatchPolicy(4, True), [2, 2], ["full"]),
        (BatchPolicy(4, True), [1], ["idle"]),
        (BatchPolicy(4, True, MINUTE_NS, frozenset([2])), [1, 1], ["preferred"]),
        (BatchPolicy(4, True, 1), [1], ["delay"]),
        (BatchPolicy(4, False), [1, 1], ["full", "full"]),
    ],
)
async def test_why_a_batch_closed(rigs, policy, rows, reasons):
    """Each reason is recorded with its batch and counted in the statistics."""
    rig = rigs(policy=policy)
    await asyncio.gather(*(rig.infer(0, rows=one) for one in rows))

    assert [one[0] for one in recent(rig)] == reasons
    assert rig.statistics.batch_closes == {reasons[0]: len(reasons)}


async def test_times_of_a_batch(rigs):
    """Each request's own time in the queue, and a start on the wall's clock."""
    rig = rigs(policy=BatchPolicy(2, True, MINUTE_NS))
    before_ms = time.time_ns() // 1_000_000
    first = rig.start(0)
    await rig.until(lambda: rig.scheduler.inflight)
    assert await asyncio.gather(first, rig.start(1)) == [1, 2]
    (batch,) = rig.scheduler.snapshot().batches.recent

    assert before_ms <= batch.started_ms + 1
    assert batch.started_ms <= time.time_ns() // 1_000_000 + 1
    assert batch.queue_us[0] >= batch.queue_us[1] >= 0
    assert batch.instance == 0


async def test_a_failed_batch_has_its_size_and_its_failures(rigs):
    """Though it counts as no execution."""
    rig = rigs()
    rig.instance.error = BackendError("no")
    await asyncio.gather(rig.infer(0, rows=2), rig.infer(1), return_exceptions=True)

    assert recent(rig) == [("idle", 3, 2, 2)]
    assert rig.statistics.execution_count == 0


async def test_batches_on_the_loop_are_remembered_too(rigs):
    """A fast model says that it runs inline."""
    rig = rigs()
    while not rig.scheduler.runs_inline:
        await rig.infer(0)
    count = sum(rig.statistics.batch_closes.values())
    await rig.infer(0)
    found = rig.scheduler.snapshot()

    assert found.inline
    assert found.batches.executing == []
    assert sum(found.batches.closes.values()) == count + 1
