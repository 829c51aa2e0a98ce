"""The response cache around a scheduler."""

import asyncio
import gc
import threading

import numpy as np
import pytest

from inferd.errors import BackendError, QueueFull, QueueTimeout, ShuttingDown
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling import cached
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.cache import ResponseCache
from inferd.scheduling.cached import LARGE_BYTES, CachedScheduler
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.statistics import ModelStatistics
from tests.scheduling.cached_rig import World, turns

REASONS = {"REJECTED": 0, "CANCELED": 0, "BACKEND": 0, "OTHER": 0}


@pytest.fixture(name="world")
async def _world():
    """A cache of 100,000 bytes around a scheduler that is answered by hand."""
    return World()


async def test_a_repeated_request_is_answered_without_an_execution(world, make):
    """With its own id, and counted as a hit that was a success."""
    first = await world.start(make.request(1, id="a"))
    world.inner.answer()
    second = await world.start(make.request(1, id="b"))

    assert ((await first).id, (await second).id) == ("a", "b")
    assert bytes((await second).outputs[0].raw()) == bytes(8)
    assert len(world.inner.asked) == 1
    assert world.counts() == (1, 1, 1)
    assert world.statistics.uses_cache


async def test_another_request_is_executed(world, make):
    """Only identical ones are shared."""
    for value in (1, 2):
        task = await world.start(make.request(value))
        world.inner.answer()
        await task

    assert world.counts() == (0, 0, 2)


async def test_the_times_run_from_the_arrival(world, make):
    """As those of every success do."""
    for received_ns in (0, 1):
        task = await world.start(make.request(received_ns=received_ns))
        if not received_ns:
            world.inner.answer()
        await task
    statistics = world.statistics

    assert statistics.success.ns > statistics.cache_hit.ns > 0
    assert statistics.cache_miss.ns > 0


async def test_identical_requests_at_the_same_time_are_one_execution(world, make):
    """Each gets the answer with its own id; those that joined are hits."""
    tasks = [await world.start(make.request(1, id=str(i))) for i in range(5)]
    assert len(world.inner.asked) == 1
    world.inner.answer()
    answers = await asyncio.gather(*tasks)

    assert [answer.id for answer in answers] == list("01234")
    assert world.counts() == (4, 4, 1)


async def test_an_error_reaches_everyone_and_is_not_kept(world, make):
    """The next request is executed; every failure is counted, the first by the scheduler."""
    tasks = [await world.start(make.request(1)) for _ in range(3)]
    world.inner.asked[0].set_exception(BackendError("no"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    again = await world.start(make.request(1))
    world.inner.answer()
    await again

    assert [str(outcome) for outcome in outcomes] == ["no"] * 3
    assert world.statistics.failures == REASONS | {"BACKEND": 2}
    assert world.counts() == (0, 0, 1)


@pytest.mark.parametrize(
    ("error", "reason"), [(QueueFull("full"), "REJECTED"), (ShuttingDown("stop"), "OTHER")]
)
async def test_failures_of_those_who_joined_have_their_reason(world, make, error, reason):
    """The same as the scheduler counts."""
    tasks = [await world.start(make.request(1)) for _ in range(2)]
    world.inner.asked[0].set_exception(error)
    await asyncio.gather(*tasks, return_exceptions=True)

    assert world.statistics.failures == REASONS | {reason: 1}


async def test_a_timeout_is_that_of_its_request_alone(world, make):
    """Those who joined it are executed again, as one."""
    tasks = [await world.start(make.request(1)) for _ in range(3)]
    world.inner.asked[0].set_exception(QueueTimeout("late"))
    await turns()
    assert len(world.inner.asked) == 2
    world.inner.answer()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(outcomes[0], QueueTimeout)
    assert [type(outcome) for outcome in outcomes[1:]] == [InferResponse] * 2
    assert world.counts() == (1, 1, 1)


async def test_the_first_client_that_leaves_fails_nobody(world, make):
    """The execution goes on for the others, and is counted once."""
    first = await world.start(make.request(1))
    second = await world.start(make.request(1, id="b"))
    first.cancel()
    await turns()
    assert world.inner.cancelled == 0
    world.inner.answer()

    assert (await second).id == "b"
    assert first.cancelled()
    assert world.counts() == (1, 1, 1)
    assert world.statistics.failures == REASONS


async def test_another_client_that_leaves_fails_nobody(world, make):
    """It is counted as cancelled."""
    first = await world.start(make.request(1, id="a"))
    second = await world.start(make.request(1))
    second.cancel()
    await turns()
    world.inner.answer()

    assert (await first).id == "a"
    assert world.statistics.failures == REASONS | {"CANCELED": 1}


async def test_the_last_client_that_leaves_takes_the_request_back(world, make):
    """An identical request that comes then has an execution of its own."""
    tasks = [await world.start(make.request(1)) for _ in range(2)]
    for task in tasks:
        task.cancel()
    last = asyncio.create_task(world.scheduler.infer(make.request(1)))
    await turns()

    assert (world.inner.cancelled, len(world.inner.asked)) == (1, 2)
    assert world.statistics.failures == REASONS | {"CANCELED": 1}
    joined = await world.start(make.request(1))
    world.inner.answer()
    await asyncio.gather(last, joined)
    assert world.counts() == (1, 1, 1)


async def test_a_request_that_is_taken_back_at_once_has_reached_the_scheduler(world, make):
    """So that it is counted there."""
    task = asyncio.create_task(world.scheduler.infer(make.request(1)))
    await asyncio.sleep(0)
    task.cancel()
    await turns()

    assert world.inner.cancelled == 1


async def test_an_error_that_nobody_waits_for_is_no_noise(world, make, caplog):
    """The client left in the very moment it came."""
    task = await world.start(make.request(1))
    world.inner.asked[0].set_exception(BackendError("no"))
    task.cancel()
    await turns()
    del task
    world.inner.asked.clear()
    gc.collect()

    assert caplog.records == []


async def test_a_reloaded_model_starts_anew(world, make):
    """Even while the old one still answers; closing it forgets what it kept."""
    old = world.scheduler
    task = await world.start(make.request(1))
    world.inner.answer()
    await task
    world.scheduler = world.load()
    task = await world.start(make.request(1))
    world.inner.answer()
    await task
    assert len(world.inner.asked) == 2
    assert len(world.cache) == 2

    await old.close()
    assert len(world.cache) == 1
    assert world.inner.closed == 1


async def test_what_the_answers_come_from_counts(world, make):
    """And where that cannot be said, nothing is kept or counted as a hit or a miss."""
    origins = iter([1, 1, 2, 1, None, None])
    world.scheduler = CachedScheduler(
        world.inner,
        world.cache,
        world.statistics,
        name="m",
        version=1,
        sources=origins.__next__,
    )
    for executions in (1, 1, 2, 2, 3, 4):
        task = await world.start(make.request(1))
        if world.inner.inflight:
            world.inner.answer()
        await task
        assert len(world.inner.asked) == executions

    assert world.counts() == (2, 2, 2)


async def test_a_close_waits_for_answers_on_their_way(world, make, monkeypatch):
    """Nothing is kept for a model that is gone."""
    begun, go_on = threading.Event(), threading.Event()

    def keep(*arguments, original=cached._keep):
        begun.set()
        assert go_on.wait(30)
        return original(*arguments)

    monkeypatch.setattr(cached, "_keep", keep)
    task = await world.start(make.request(1))
    world.inner.answer(size=LARGE_BYTES + 1)
    await asyncio.to_thread(begun.wait, 30)
    closing = asyncio.create_task(world.scheduler.close())
    await turns()
    assert not closing.done()
    go_on.set()
    await closing
    await task

    assert len(world.cache) == 0
    assert world.scheduler.inflight == 0


@pytest.mark.parametrize(("size", "kept"), [(100, True), (200_000, False)])
async def test_an_answer_too_large_for_the_cache_is_given_all_the_same(world, make, size, kept):
    """And counts as a miss every time."""
    for _ in range(2):
        task = await world.start(make.request(1))
        if not world.inner.asked[-1].done():
            world.inner.answer(size=size)
        assert (await task).outputs[0].shape == (size,)

    assert len(world.inner.asked) == (1 if kept else 2)
    assert world.statistics.cache_miss.count == (1 if kept else 2)


@pytest.mark.parametrize(("over", "on_thread"), [(0, False), (1, True)])
async def test_large_inputs_are_digested_off_the_event_loop(
    world, make, monkeypatch, over, on_thread
):
    """The loop stays free for others."""
    threads = []

    def digest(*arguments, original=cached.digest):
        threads.append(threading.current_thread() is not threading.main_thread())
        return original(*arguments)

    monkeypatch.setattr(cached, "digest", digest)
    request = make.request(1)
    size = LARGE_BYTES + over
    request.inputs["X"] = Tensor("X", "INT8", (size,), array=np.zeros(size, "i1"))
    task = await world.start(request)
    async with asyncio.timeout(30):
        await world.inner.called.wait()
    world.inner.answer()
    await task

    assert threads == [on_thread]


@pytest.mark.parametrize(("over", "on_thread"), [(0, False), (1, True)])
async def test_large_answers_are_copied_off_the_event_loop(
    world, make, monkeypatch, over, on_thread
):
    """As large inputs are digested."""
    threads = []

    def keep(*arguments, original=cached._keep):
        threads.append(threading.current_thread() is not threading.main_thread())
        return original(*arguments)

    monkeypatch.setattr(cached, "_keep", keep)
    task = await world.start(make.request(1))
    world.inner.answer(size=LARGE_BYTES + over)
    await task

    assert threads == [on_thread]


async def test_it_goes_around_the_real_scheduler(make):
    """Executions, successes and hits add up; the kept answer is not the batch."""
    statistics = ModelStatistics()
    cache = ResponseCache(100_000)
    instance = make.instance()
    policy = BatchPolicy(max_rows=4, combines=True)
    inner = Scheduler(policy, Assembler(make.signature(), 1), [instance], statistics, name="m")
    scheduler = CachedScheduler(inner, cache, statistics, name="m", version=1)
    for _ in range(2):
        answers = await asyncio.gather(
            *(scheduler.infer(make.request(value % 3, id=str(value))) for value in range(9))
        )
        assert [answer.outputs[0].array()[0, 0] for answer in answers] == [1, 2, 3] * 3
        assert [answer.id for answer in answers] == [str(value) for value in range(9)]
        assert {type(answer.outputs[0].raw()) for answer in answers} == {bytes}
    inflight, snapshot = scheduler.inflight, scheduler.snapshot()
    await scheduler.close()

    assert inflight == snapshot.inflight == 0
    assert sum(batch.size for batch in snapshot.batches.recent) == 3
    assert sum(instance.sizes) == statistics.inference_count == 3
    assert statistics.success.count == statistics.queue.count == 18
    assert statistics.compute_infer.count == statistics.cache_miss.count == 3
    assert statistics.cache_hit.count == 15
    assert instance.closed == 1
