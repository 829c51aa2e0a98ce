"""Sequences on instances that are released by hand."""

import asyncio
import logging
import random
import time

import numpy as np
import pytest

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingState,
)
from inferd.errors import BackendError, DeadlineExceeded, InvalidRequest, QueueTimeout, ShuttingDown
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequence_state import SequenceStates
from inferd.scheduling.sequences import SequenceTable
from inferd.scheduling.snapshot import InstanceState, Sequences
from inferd.scheduling.statistics import ModelStatistics

LONG_NS = (2**64 - 1) * 1000
SHORT_NS = 20_000_000


@pytest.fixture(name="build")
async def _build(make):
    """A function that makes a scheduler over fake instances; all are closed at the end."""
    built = []
    tables = {}

    def build(lanes=None, idle_ns=LONG_NS, instances=1, batching=None):
        fakes = [make.instance() for _ in range(instances)]
        batching = batching or ModelSequenceBatching()
        table = SequenceTable("m", lanes or [DirectLane(1) for _ in fakes], idle_ns)
        scheduler = SequenceScheduler(
            table,
            SequenceAssembler(
                Assembler(make.signature(), 1),
                SequenceControls.from_config("m", batching, batches=True),
                SequenceStates.from_config("m", batching, batches=True, read=bytes),
                model_name="m",
            ),
            fakes,
            statistics := ModelStatistics(),
            name="m",
        )
        built.append((scheduler, fakes))
        tables[scheduler] = table
        return scheduler, fakes, statistics

    build.tables = tables
    yield build
    for scheduler, fakes in built:
        for fake in fakes:
            fake.open()
        await asyncio.wait_for(scheduler.close(), 10)
        assert scheduler.inflight == 0
        assert [fake.closed for fake in fakes] == [1] * len(fakes)


@pytest.fixture(name="ask")
def _ask(make):
    """Make a request of a sequence."""

    def ask(key, value=0, flags="", **more):
        return make.request(
            value, sequence_id=key, sequence_start="s" in flags, sequence_end="e" in flags, **more
        )

    return ask


def value_of(answer):
    """Return the number an answer is full of."""
    return int(answer.outputs[0].array()[0, 0])


async def executing(instance):
    """Wait until an instance has begun to execute."""
    assert await asyncio.to_thread(instance.started.acquire, timeout=10)


class TestExecution:
    """Batches."""

    async def test_each_sequence_has_one_instance_and_keeps_its_order(self, build, ask):
        """Two sequences run beside each other."""
        scheduler, instances, statistics = build(instances=2)
        answers = await asyncio.gather(
            *(scheduler.infer(ask(key, n, "s" if n == 0 else "")) for n in range(3) for key in "ab")
        )

        assert [value_of(one) for one in answers] == [1, 1, 2, 2, 3, 3]
        assert [instance.sizes for instance in instances] == [[1, 1, 1], [1, 1, 1]]
        assert statistics.success.count == 6

    async def test_the_requests_of_one_turn_are_one_batch(self, build, ask):
        """Of different sequences."""
        scheduler, (instance,), statistics = build([DirectLane(4)])
        answers = await asyncio.gather(
            *(scheduler.infer(ask(key, key, "se")) for key in range(1, 5))
        )

        assert [value_of(one) for one in answers] == [2, 3, 4, 5]
        assert instance.sizes == [4]
        assert list(statistics.batches) == [4]

    async def test_fillers_are_not_counted(self, build, ask):
        """A batch of two rows of which one is empty is one inference."""
        scheduler, (instance,), statistics = build([DirectLane(4)])
        await asyncio.gather(*(scheduler.infer(ask(key, 0, "s")) for key in "ab"))
        answer = await scheduler.infer(ask("b", 7))

        assert value_of(answer) == 8
        assert instance.sizes == [2, 2]
        assert statistics.inference_count == statistics.success.count == 3
        assert statistics.pending == 0

    async def test_more_sequences_than_places_take_turns(self, build, ask):
        """In the order they came."""
        scheduler, (instance,), _ = build([DirectLane(2)])
        answers = await asyncio.gather(
            *(scheduler.infer(ask(key, key, "se")) for key in range(1, 6))
        )

        assert [value_of(one) for one in answers] == [2, 3, 4, 5, 6]
        assert instance.sizes == [2, 2, 1]

    async def test_the_oldest_strategy_waits_for_others(self, build, ask):
        """Until its delay is over."""
        lane = OldestLane(OldestPolicy(8, 4, max_queue_delay_ns=5_000_000))
        scheduler, (instance,), _ = build([lane])
        answer = await scheduler.infer(ask(1, 3, "s"))

        assert value_of(answer) == 4
        assert instance.sizes == [1]

    async def test_a_fast_model_runs_on_the_loop(self, build, ask):
        """After it has shown that it is fast; a long queue does not keep the loop."""
        scheduler, _, _ = build()
        await scheduler.infer(ask(1, 0, "s"))
        for value in range(20):
            await scheduler.infer(ask(1, value))
        answers = await asyncio.gather(*(scheduler.infer(ask(1, n)) for n in range(300)))

        assert scheduler.runs_inline
        assert [value_of(one) for one in answers] == list(range(1, 301))

    async def test_state_goes_from_step_to_step(self, build, ask):
        """What the state output was is the next state input."""
        state = ModelSequenceBatchingState(
            input_name="OLD", output_name="NEW", data_type=DataType.TYPE_INT32, dims=[2]
        )
        batching = ModelSequenceBatching(state=[state])
        scheduler, (instance,), _ = build([DirectLane(2)], batching=batching)

        def accumulate(batch):
            total = batch.inputs["X"] + batch.inputs["OLD"]
            return [total for _ in batch.output_names]

        instance.execute = accumulate
        found = {1: [], 2: []}
        for step in range(3):
            answers = await asyncio.gather(
                *(scheduler.infer(ask(key, key, "" if step else "s")) for key in found)
            )
            for key, answer in zip(found, answers, strict=True):
                found[key].append(value_of(answer))

        assert found == {1: [1, 2, 3], 2: [2, 4, 6]}
        assert value_of(await scheduler.infer(ask(2, 5, "s"))) == 5


class TestRefusals:
    """Requests that are not executed."""

    async def test_a_request_without_start(self, build, ask):
        """And nothing is executed."""
        scheduler, (instance,), _ = build()
        with pytest.raises(InvalidRequest, match="START"):
            await scheduler.infer(ask(5))

        assert instance.sizes == []
        assert scheduler.inflight == 0
        assert not scheduler.runs_inline

    async def test_a_start_of_a_running_sequence_is_logged(self, build, ask, caplog):
        """It is not refused."""
        scheduler, _, _ = build()
        await scheduler.infer(ask(5, 1, "s"))
        with caplog.at_level(logging.WARNING):
            answer = await scheduler.infer(ask(5, 2, "s"))

        assert value_of(answer) == 3
        assert (
            "sequence 5 for model 'm' has a conflict. The previous sequence did not end before "
            "this sequence start. Previous sequence will be terminated early." in caplog.text
        )

    async def test_after_drain(self, build, ask):
        """What was accepted is answered, also when it waits behind a sequence that never ends."""
        scheduler, _, _ = build()
        await scheduler.infer(ask(1, 0, "s"))
        waiting = asyncio.ensure_future(scheduler.infer(ask(2, 1, "s")))
        await asyncio.sleep(0)
        await asyncio.wait_for(scheduler.drain(), 10)

        assert value_of(await waiting) == 2
        with pytest.raises(ShuttingDown):
            await scheduler.infer(ask(3, 0, "s"))

    async def test_a_backlogged_sequence_times_out(self, build, ask):
        """While the sequence before it executes."""
        scheduler, (instance,), statistics = build(idle_ns=SHORT_NS)
        instance.hold()
        first = asyncio.ensure_future(scheduler.infer(ask(1, 0, "s")))
        await executing(instance)
        with pytest.raises(QueueTimeout, match="timeout of the corresponding sequence has been"):
            await scheduler.infer(ask(2, 0, "s"))

        assert statistics.failures["REJECTED"] == 1
        instance.open()
        assert value_of(await first) == 1

    async def test_a_vanished_client_keeps_its_place_for_the_idle_time_only(self, build, ask):
        """The next sequence gets it without another request."""
        scheduler, _, _ = build(idle_ns=SHORT_NS)
        await scheduler.infer(ask(1, 0, "s"))

        assert value_of(await scheduler.infer(ask(2, 4, "se"))) == 5
        with pytest.raises(InvalidRequest, match="START"):
            await scheduler.infer(ask(1))


class TestFailures:
    """Backends that fail and clients that go."""

    @pytest.mark.parametrize("flags", ["s", "se"])
    async def test_a_failed_step_is_answered_and_the_sequence_goes_on(self, build, ask, flags):
        """A failed END frees its place all the same."""
        scheduler, (instance,), statistics = build()
        instance.error = BackendError("broken")
        with pytest.raises(BackendError, match="broken"):
            await scheduler.infer(ask(1, 0, flags))
        instance.error = None
        follower = ask(2, 0, "s") if flags == "se" else ask(1, 0)

        assert value_of(await scheduler.infer(follower)) == 1
        assert statistics.failures["BACKEND"] == 1

    async def test_an_error_that_is_not_the_backends_is_counted_apart(self, build, ask):
        """Such as an input the backend finds invalid."""
        scheduler, (instance,), statistics = build()
        instance.error = InvalidRequest("odd")
        with pytest.raises(InvalidRequest, match="odd"):
            await scheduler.infer(ask(1, 0, "s"))
        assert statistics.failures["OTHER"] == 1

    async def test_a_cancelled_request_is_not_executed(self, build, ask):
        """Neither is it counted as pending; its END frees the place."""
        scheduler, (instance,), statistics = build()
        instance.hold()
        first = asyncio.ensure_future(scheduler.infer(ask(1, 0, "s")))
        end = asyncio.ensure_future(scheduler.infer(ask(1, 0, "e")))
        other = asyncio.ensure_future(scheduler.infer(ask(2, 0, "se")))
        await executing(instance)
        end.cancel()
        with pytest.raises(asyncio.CancelledError):
            await end
        instance.open()

        assert [value_of(one) for one in await asyncio.gather(first, other)] == [1, 1]
        assert instance.sizes == [1, 1]
        assert statistics.failures["CANCELED"] == 1

    async def test_a_request_cancelled_while_it_executes_is_dropped(self, build, ask):
        """The sequence goes on."""
        scheduler, (instance,), statistics = build()
        instance.hold()
        first = asyncio.ensure_future(scheduler.infer(ask(1, 0, "s")))
        await executing(instance)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        instance.open()

        assert value_of(await scheduler.infer(ask(1, 3))) == 4
        assert statistics.failures["CANCELED"] == 1


@pytest.mark.parametrize("oldest", [False, True])
async def test_a_thousand_interleaved_sequences_with_random_cancels(build, ask, oldest):
    """Every request is answered once or cancelled, in order, and no place stays taken."""
    policy = OldestPolicy(50, 4)
    lanes = [OldestLane(policy) if oldest else DirectLane(4) for _ in range(2)]
    scheduler, instances, statistics = build(lanes, instances=2)
    chance = random.Random(7)
    outcomes = []

    async def client(key):
        steps = [
            asyncio.ensure_future(
                scheduler.infer(ask(key, 10 * key + n, "s" if n == 0 else "e" if n == 3 else ""))
            )
            for n in range(4)
        ]
        for _ in range(1 + chance.randrange(20)):
            await asyncio.sleep(0)
        for step in steps:
            if chance.random() < 0.2:
                step.cancel()
        answers = await asyncio.gather(*steps, return_exceptions=True)
        for number, answer in enumerate(answers):
            cancelled = isinstance(answer, asyncio.CancelledError)
            assert cancelled or value_of(answer) == 10 * key + number + 1
            outcomes.append(cancelled)

    async with asyncio.timeout(60):
        await asyncio.gather(*(client(key) for key in range(1, 1001)))
        while scheduler.inflight:  # noqa: ASYNC110 - what is waited for is a plain counter
            await asyncio.sleep(0)
        assert build.tables[scheduler].expires_ns is None, "a sequence still has a place"
        await scheduler.drain()

    assert len(outcomes) == 4000
    assert asyncio.all_tasks() == {asyncio.current_task()}
    # A client may cancel when its answer is on the way: that counts as answered.
    assert statistics.success.count >= outcomes.count(False)
    assert statistics.success.count + statistics.failures["CANCELED"] == 4000
    assert scheduler.inflight == statistics.pending == 0
    assert all(np.array(instance.sizes).max() <= 4 for instance in instances)


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


async def test_what_sequences_wait_and_execute_is_shown(build, ask):
    """Places per instance, the backlog, and the batch that executes with its filled rows."""
    scheduler, (instance,), statistics = build([DirectLane(2)])
    at_rest = scheduler.snapshot()
    assert (at_rest.levels, at_rest.sequences, at_rest.batches.recent) == ([], Sequences(0, 0), [])
    first = [scheduler.submit(ask(key, key, "s")) for key in (1, 2)]
    await asyncio.gather(*(step.future for step in first))
    instance.hold()
    steps = [scheduler.submit(ask(2, 7, "e"))]
    await executing(instance)
    await executing(instance)
    steps += [scheduler.submit(ask(3, 8, "se")), scheduler.submit(ask(1, 9, "e"))]
    found = scheduler.snapshot()

    assert found.sequences == Sequences(live=3, backlog=1)
    assert found.instances == [InstanceState(busy=True, slots_used=2)]
    assert [(one.level, one.waiting) for one in found.levels] == [(1, 2)]
    (batch,) = found.batches.executing
    assert (batch.size, batch.requests, batch.reason) == (2, 1, "idle")
    instance.open()
    await asyncio.gather(*(step.future for step in steps))
    batches = scheduler.snapshot().batches
    assert batches.executing == []
    assert [(one.reason, one.size, one.requests) for one in batches.recent[-2:]] == [
        ("idle", 2, 1), ("full", 2, 2)
    ]  # fmt: skip
    assert statistics.batch_closes == batches.closes


async def test_failures_of_filled_rows_are_nobodys(build, ask):
    """A batch fails for the requests in it."""
    scheduler, (instance,), _ = build([DirectLane(2)])
    await asyncio.gather(*(scheduler.infer(ask(key, 0, "s")) for key in (1, 2)))
    instance.error = BackendError("no")
    with pytest.raises(BackendError):
        await scheduler.infer(ask(2))
    batch = scheduler.snapshot().batches.recent[0]

    assert (batch.size, batch.requests, batch.failed, len(batch.queue_us)) == (2, 1, 1, 1)
