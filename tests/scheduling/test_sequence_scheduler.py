"""Sequences on instances that are released by hand."""

import asyncio
import logging
import random

import numpy as np
import pytest

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingState,
)
from inferd.errors import BackendError, InvalidRequest, QueueTimeout, ShuttingDown
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.snapshot import InstanceState, Sequences
from tests.scheduling.sequence_rig import SHORT_NS, executing, value_of


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


async def test_what_sequences_wait_and_execute_is_shown(build, ask):
    """Places per instance, the backlog, and the batch that executes with its filled rows."""
    scheduler, (instance,), statistics = build([DirectLane(2)])
    at_rest = scheduler.snapshot()
    assert (at_rest.levels, at_rest.sequences, at_rest.batches.recent) == ([], Sequences(0, 0), [])

    def submit(*step):
        return scheduler.submit(ask(*step), asyncio.Future())

    first = [submit(key, key, "s") for key in (1, 2)]
    await asyncio.gather(*(step.future for step in first))
    instance.hold()
    steps = [submit(2, 7, "e")]
    await executing(instance)
    await executing(instance)
    steps += [submit(3, 8, "se"), submit(1, 9, "e")]
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
