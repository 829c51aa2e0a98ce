"""The shell: batches per turn, exactly one outcome per request, whatever happens."""

import asyncio

import pytest

from inferd.errors import BackendError, ShuttingDown
from inferd.scheduling.inline import inline_policy
from inferd.scheduling.policy import BatchPolicy

DYNAMIC = BatchPolicy(4, True)


async def test_requests_of_one_turn_are_one_batch(rigs):
    """Without any queue delay."""
    rig = rigs()
    answers = await asyncio.gather(*(rig.infer(value) for value in range(4)))

    assert answers == [1, 2, 3, 4]
    assert rig.instance.sizes == [4]


async def test_without_dynamic_batching_each_request_is_executed_alone(rigs):
    """As Triton's default scheduler does."""
    rig = rigs(policy=BatchPolicy(4, False))
    await asyncio.gather(*(rig.infer(value) for value in range(3)))

    assert rig.instance.sizes == [1, 1, 1]


async def test_the_next_batch_forms_while_one_executes(rigs):
    """What arrives meanwhile waits and goes together."""
    rig = rigs()
    rig.instance.hold()
    first = rig.start(0)
    await rig.started()
    others = [rig.start(value) for value in (1, 2)]
    await asyncio.sleep(0)
    rig.instance.open()

    assert await asyncio.gather(first, *others) == [1, 2, 3]
    assert rig.instance.sizes == [1, 2]


async def test_a_queue_delay_waits_for_a_fuller_batch(rigs):
    """Requests of later turns join until the delay is over."""
    rig = rigs(policy=BatchPolicy(2, True, max_queue_delay_ns=60_000_000_000))
    first = rig.start(0)
    for _ in range(5):
        await asyncio.sleep(0)
    assert rig.instance.sizes == []
    second = rig.start(1)

    assert await asyncio.wait_for(asyncio.gather(first, second), 10) == [1, 2]
    assert rig.instance.sizes == [2]


async def test_a_lone_request_is_executed_when_its_delay_is_over(rigs):
    """Nobody has to come for it."""
    rig = rigs(policy=BatchPolicy(2, True, max_queue_delay_ns=1_000_000))

    assert await asyncio.wait_for(rig.infer(1), 10) == 2


async def test_two_instances_execute_at_the_same_time(rigs):
    """Each on its thread."""
    rig = rigs(policy=BatchPolicy(1, False), instances=2)
    for instance in rig.instances:
        instance.hold()
    tasks = [rig.start(value) for value in range(2)]
    for instance in rig.instances:
        await rig.started(instance)
    for instance in rig.instances:
        instance.open()

    assert await asyncio.gather(*tasks) == [1, 2]


async def test_a_batch_is_formed_when_an_instance_is_free(rigs):
    """Not before: what comes while both execute goes to the first that is done, together."""
    rig = rigs(policy=BatchPolicy(4, True), instances=2)
    for instance in rig.instances:
        instance.hold()
    tasks = [rig.start(0)]
    await rig.started()
    tasks.append(rig.start(1))
    await rig.started(rig.instances[1])
    for value in (2, 3, 4):
        tasks.append(rig.start(value))
        await asyncio.sleep(0)
    rig.instances[1].release()
    await rig.started(rig.instances[1])
    for instance in rig.instances:
        instance.open()

    assert await asyncio.gather(*tasks) == [1, 2, 3, 4, 5]
    assert [instance.sizes for instance in rig.instances] == [[1], [1, 3]]


async def test_a_request_cancelled_in_the_queue_is_not_executed(rigs):
    """The others are answered."""
    rig = rigs()
    rig.instance.hold()
    first = rig.start(0)
    await rig.started()
    second, third = rig.start(1), rig.start(2)
    await asyncio.sleep(0)
    second.cancel()
    rig.instance.open()

    assert await asyncio.gather(first, third) == [1, 3]
    assert second.cancelled()
    assert rig.instance.sizes == [1, 1]
    assert rig.statistics.failures["CANCELED"] == 1
    assert rig.statistics.pending == 0


async def test_a_request_taken_back_is_counted_as_cancelled(rigs):
    """Queued or executing, the others are answered."""
    rig = rigs()
    rig.instance.hold()

    def submit(value):
        return rig.scheduler.submit(rig.make.request(value), asyncio.Future())

    executing = submit(0)
    await rig.started()
    queued, kept = submit(1), submit(2)
    rig.scheduler.take_back(queued)
    rig.scheduler.take_back(executing)
    rig.instance.open()

    await kept.future
    assert queued.future.cancelled()
    assert executing.future.cancelled()
    assert rig.instance.sizes == [1, 1]
    assert rig.statistics.pending == 0


async def test_a_turn_may_be_ended_by_who_knows_that_nothing_more_comes(rigs):
    """What it queued executes at once; a turn that queued nothing executes nothing."""
    rig = rigs(inline=inline_policy("inline"))
    rig.scheduler.end_turn()
    future = asyncio.Future()
    rig.scheduler.submit(rig.make.request(3), future)
    assert not future.done()
    rig.scheduler.end_turn()
    assert future.done()
    await asyncio.sleep(0)
    assert rig.instance.sizes == [1]


async def test_a_request_cancelled_during_execution_leaves_its_batch_alone(rigs):
    """Its answer is dropped, the others arrive."""
    rig = rigs()
    rig.instance.hold()
    tasks = [rig.start(value) for value in range(3)]
    await rig.started()
    tasks[1].cancel()
    await asyncio.sleep(0)
    rig.instance.open()

    assert [await tasks[0], await tasks[2]] == [1, 3]
    assert tasks[1].cancelled()
    assert rig.instance.sizes == [3]
    assert rig.statistics.failures["CANCELED"] == 1
    assert rig.statistics.success.count == 2


async def test_a_failing_execution_fails_only_its_own_requests(rigs):
    """The scheduler goes on."""
    rig = rigs()
    rig.instance.error = BackendError("no")
    failed = await asyncio.gather(rig.infer(0), rig.infer(1), return_exceptions=True)
    rig.instance.error = None

    assert [str(error) for error in failed] == ["no", "no"]
    assert await rig.infer(5) == 6
    assert rig.statistics.failures["BACKEND"] == 2


async def test_statistics_count_what_happened(rigs):
    """Requests, rows and executions."""
    rig = rigs()
    await asyncio.gather(rig.infer(0, rows=2), rig.infer(1))
    await rig.infer(2)
    statistics = rig.statistics

    assert statistics.success.count == 3
    assert (statistics.inference_count, statistics.execution_count) == (4, 2)
    assert sorted(statistics.batches) == [1, 3]
    assert statistics.last_inference_ms > 0


async def test_a_fast_model_ends_up_inline(rigs):
    """After enough executions no thread is involved, and answers stay right."""
    rig = rigs()
    async with asyncio.timeout(30):
        # One execution that the machine holds up begins the count anew.
        while not rig.scheduler.runs_inline:
            assert await rig.infer(1) == 2
    assert await rig.infer(2) == 3


async def test_an_inline_backlog_does_not_starve_the_loop(rigs):
    """Long queues of a fast model yield in between, and everybody is answered."""
    rig = rigs(policy=BatchPolicy(1, False))
    for value in range(20):
        await rig.infer(value)
    answers = await asyncio.gather(*(rig.infer(value) for value in range(500)))

    assert answers == list(range(1, 501))


async def test_drain_answers_what_was_accepted_and_refuses_the_rest(rigs):
    """Nothing is lost at shutdown."""
    rig = rigs()
    rig.instance.hold()
    accepted = [rig.start(value) for value in range(6)]
    await rig.started()
    draining = asyncio.get_running_loop().create_task(rig.scheduler.drain())
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        await rig.infer(9)
    assert not draining.done()
    rig.instance.open()

    assert await asyncio.gather(*accepted) == [1, 2, 3, 4, 5, 6]
    await asyncio.wait_for(draining, 10)


async def test_draining_an_idle_scheduler_returns_at_once(rigs):
    """There is nothing to wait for."""
    await asyncio.wait_for(rigs().scheduler.drain(), 1)


async def test_draining_ends_when_the_last_queued_request_is_cancelled(rigs):
    """A request nobody waits for holds nothing up."""
    rig = rigs(policy=BatchPolicy(2, True, max_queue_delay_ns=60_000_000_000))
    task = rig.start(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    draining = asyncio.get_running_loop().create_task(rig.scheduler.drain())
    task.cancel()

    await asyncio.wait_for(draining, 10)


async def test_close_closes_every_instance_once(rigs):
    """After the last execution."""
    rig = rigs(instances=2)
    await rig.infer(1)
    await rig.scheduler.close()

    assert [instance.closed for instance in rig.instances] == [1, 1]
