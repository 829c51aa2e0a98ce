"""Requests of iterative sequences: executed again until their backend has enough."""

import asyncio
import random

import pytest

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlInput,
    ModelSequenceBatchingControlKind,
    ModelSequenceBatchingState,
)
from inferd.errors import InvalidRequest
from tests.scheduling.iterating import streamed, unary, until

KIND = ModelSequenceBatchingControlKind


class TestAnswers:
    """What clients get."""

    @pytest.mark.parametrize("inline", [False, True])
    async def test_one_answer_comes_at_the_end(self, iterating, make, inline):
        """What the iterations before it returned is not sent."""
        scheduler = iterating(inline=inline)

        assert await unary(scheduler, make.request(4)) == [0]
        assert scheduler.counting.instance.sizes == [1, 1, 1, 1]
        assert scheduler._statistics.success.count == 1

    async def test_a_decoupled_model_answers_in_each_iteration(self, iterating, make):
        """In order, the last one is final."""
        scheduler = iterating(decoupled=True)

        assert await streamed(scheduler, make.request(4)) == [3, 2, 1, 0]
        await until(lambda: not scheduler.inflight)
        assert scheduler._statistics.success.count == 1
        assert len(scheduler.counting.instance.sizes) == 4

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_a_request_may_be_executed_once(self, iterating, make, decoupled):
        """Then it is like any other."""
        scheduler = iterating(decoupled=decoupled)
        collect = streamed if decoupled else unary

        assert await collect(scheduler, make.request(1)) == [0]

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_requests_are_iterated_together(self, iterating, make, decoupled):
        """A short one leaves early, and one that waits for a place gets it."""
        scheduler = iterating(decoupled=decoupled)
        collect = streamed if decoupled else unary
        counts = [4, 1, 2, 3, 2]
        answers = await asyncio.gather(*(collect(scheduler, make.request(n)) for n in counts))

        expected = [list(reversed(range(n))) if decoupled else [0] for n in counts]
        assert answers == expected
        assert len(scheduler.counting.instance.sizes) < sum(counts)

    @pytest.mark.parametrize("text", [False, True])
    async def test_the_model_sees_where_a_sequence_stands(self, iterating, make, text):
        """START in the first iteration only, and one correlation id in all of them."""
        kind = DataType.TYPE_STRING if text else DataType.TYPE_UINT64
        corrid = ModelSequenceBatchingControl(kind=KIND.CONTROL_SEQUENCE_CORRID, data_type=kind)
        flags = [
            (name, ModelSequenceBatchingControl(kind=kind, int32_false_true=[0, 1]))
            for name, kind in (
                ("START", KIND.CONTROL_SEQUENCE_START),
                ("END", KIND.CONTROL_SEQUENCE_END),
            )
        ]
        batching = ModelSequenceBatching(
            control_input=[
                ModelSequenceBatchingControlInput(name=name, control=[one])
                for name, one in (*flags, ("CORRID", corrid))
            ]
        )
        scheduler = iterating(batching=batching)
        await unary(scheduler, make.request(3))
        await unary(scheduler, make.request(1))
        first, second = (b"1", b"2") if text else (1, 2)

        assert scheduler.counting.seen == [
            (1, 0, first, 2),
            (0, 0, first, 1),
            (0, 0, first, 0),
            (1, 0, second, 0),
        ]

    async def test_an_explicit_id_needs_its_flags(self, iterating, make):
        """START at first, and END ends it once it is not rescheduled."""
        scheduler = iterating()
        with pytest.raises(InvalidRequest, match="START"):
            await scheduler.infer(make.request(2, sequence_id=5))
        await unary(scheduler, make.request(2, sequence_id=5, sequence_start=True))
        await unary(scheduler, make.request(3, sequence_id=5))
        assert len(scheduler._table) == 1
        await unary(scheduler, make.request(2, sequence_id=5, sequence_end=True))

        assert len(scheduler._table) == 0
        assert len(scheduler.counting.seen) == 7

    async def test_state_is_carried_from_iteration_to_iteration(self, iterating, make):
        """And a new request starts without it."""
        state = ModelSequenceBatchingState(
            input_name="OLD", output_name="NEW", data_type=DataType.TYPE_INT32, dims=[2]
        )
        scheduler = iterating(batching=ModelSequenceBatching(state=[state]))

        def accumulate(batch):
            total = batch.inputs["X"] + batch.inputs["OLD"]
            if total[0, 0] < 9:
                batch.reschedule(0)
            return [total for _ in batch.output_names]

        scheduler.counting.instance.execute = accumulate
        assert [await unary(scheduler, make.request(n)) for n in (3, 2)] == [[9], [10]]

    async def test_decoupled_state_is_carried_too(self, iterating, make):
        """It is sent with the responses and not shown."""
        state = ModelSequenceBatchingState(
            input_name="OLD", output_name="NEW", data_type=DataType.TYPE_INT32, dims=[2]
        )
        scheduler = iterating(decoupled=True, batching=ModelSequenceBatching(state=[state]))

        def accumulate(batch):
            total = batch.inputs["X"] + batch.inputs["OLD"]
            batch.senders[0].send({"Y": total, "NEW": total}, final=bool(total[0, 0] >= 9))
            if total[0, 0] < 9:
                batch.reschedule(0)
            return []

        scheduler.counting.instance.execute = accumulate
        assert await streamed(scheduler, make.request(3)) == [3, 6, 9]


@pytest.mark.parametrize("decoupled", [False, True])
async def test_hundreds_of_requests_with_random_cancels(iterating, make, decoupled):
    """Every one is answered right or cancelled, and no place stays taken."""
    scheduler = iterating(decoupled=decoupled)
    collect = streamed if decoupled else unary
    chance = random.Random(11)
    outcomes = []

    async def client():
        count = 1 + chance.randrange(6)
        task = asyncio.ensure_future(collect(scheduler, make.request(count)))
        if chance.random() < 0.3:
            for _ in range(chance.randrange(200)):
                await asyncio.sleep(0)
            task.cancel()
        (answer,) = await asyncio.gather(task, return_exceptions=True)
        cancelled = isinstance(answer, asyncio.CancelledError)
        assert cancelled or answer == (list(reversed(range(count))) if decoupled else [0])
        outcomes.append(cancelled)

    async with asyncio.timeout(60):
        await asyncio.gather(*(client() for _ in range(400)))
        await until(lambda: not scheduler.inflight)

    statistics = scheduler._statistics
    assert (len(outcomes), len(scheduler._table)) == (400, 0)
    assert 0 < outcomes.count(True) < 400
    assert statistics.success.count >= outcomes.count(False)
    assert statistics.success.count + statistics.failures["CANCELED"] == 400
