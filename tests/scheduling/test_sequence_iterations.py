"""Requests of iterative sequences: executed again until their backend has enough."""

import asyncio
import gc
import random
import time

import numpy as np
import pytest

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlInput,
    ModelSequenceBatchingControlKind,
    ModelSequenceBatchingState,
)
from inferd.errors import BackendError, DeadlineExceeded, InvalidRequest
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.inline import PinnedPolicy
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequence_state import SequenceStates
from inferd.scheduling.sequences import SequenceTable
from inferd.scheduling.statistics import ModelStatistics

KIND = ModelSequenceBatchingControlKind
LONG_NS = (2**64 - 1) * 1000
REFUSED = r"^Request is released with TRITONSERVER_REQUEST_RELEASE_RESCHEDULE, but"
LANES = {"direct": lambda: DirectLane(3), "oldest": lambda: OldestLane(OldestPolicy(3, 3))}


class Counting:
    """
    Counts each request down to zero, one iteration per count, as a fake instance's ``execute``.

    Attributes:
        instance: The fake instance.
        left: Id of a request -> the request, and how often it is still to be answered.
        seen: (START, END, CORRID, count left) of each request and iteration.
        fail_at: Counts left at which a request fails.
        reschedule_fillers: Whether rows that only fill a slot are rescheduled, too.
    """

    def __init__(self, instance):
        self.instance = instance
        self.left = {}
        self.seen = []
        self.fail_at = None
        self.reschedule_fillers = False

    def __call__(self, batch):
        """Answer what is left, and have what is not zero executed again."""
        self.instance.sizes.append(batch.size)
        self.instance.started.release()
        if self.instance._held:
            assert self.instance._gate.acquire(timeout=30)
        outputs = np.zeros((batch.size, 2), np.int32)
        for index, request in enumerate(batch.requests):
            if request.sequence_id in (0, ""):
                if self.reschedule_fillers:
                    batch.reschedule(index)
                continue
            outputs[index] = self._count_down(batch, index, request)
        if batch.senders:
            return []
        return [outputs for _ in batch.output_names]

    def _count_down(self, batch, index, request):
        given = int(batch.inputs["X"][index, 0])
        _, before = self.left.get(id(request), (request, given))
        left = before - 1
        # The request is kept, so that no other one gets its id.
        self.left[id(request)] = request, left
        controls = (batch.inputs.get(name) for name in ("START", "END", "CORRID"))
        self.seen.append((*(None if one is None else one[index].item() for one in controls), left))
        if left == self.fail_at:
            error = BackendError("broken")
            batch.senders[index].fail(error) if batch.senders else batch.fail(index, error)
        elif batch.senders:
            answer = np.full((1, 2), left, np.int32)
            batch.senders[index].send({"Y": answer}, final=not left)
        if left:
            batch.reschedule(index)
        return left


@pytest.fixture(name="build", params=["direct", "oldest"])
async def _build(request, make):
    """A function that makes a scheduler over a counting instance; closed at the end."""
    built = []

    def build(*, iterative=True, decoupled=False, inline=False, batching=None, lane=None):
        fake = make.instance()
        counting = fake.execute = Counting(fake)
        batching = batching or ModelSequenceBatching()
        lane = (lane or LANES[request.param])()
        assembler = SequenceAssembler(
            Assembler(make.signature(), 1),
            SequenceControls.from_config("m", batching, batches=True),
            SequenceStates.from_config("m", batching, batches=True, read=bytes),
            model_name="m",
        )
        table = SequenceTable("m", [lane], LONG_NS, iterative=iterative)
        scheduler = SequenceScheduler(
            table,
            assembler,
            [fake],
            ModelStatistics(),
            name="m",
            decoupled=decoupled,
            inline=PinnedPolicy(True) if inline else None,
        )
        built.append((scheduler, fake, table, lane, lane.room))
        scheduler.counting = counting
        return scheduler

    yield build
    for scheduler, fake, table, lane, room in built:
        fake.open()
        await asyncio.wait_for(scheduler.close(), 10)
        assert (scheduler.inflight, scheduler._statistics.pending) == (0, 0)
        assert len(table) == table.backlog == 0
        assert lane.room == room


@pytest.fixture(name="ask")
def _ask(make):
    """Make a request that is executed ``count`` times."""

    def ask(count, **more):
        return make.request(count, **more)

    return ask


async def unary(scheduler, request):
    """Return the answer, as a list of one."""
    response = await scheduler.infer(request)
    return [int(response.outputs[0].array()[0, 0])]


async def streamed(scheduler, request):
    """Return all answers."""
    source = scheduler.stream(request)
    values = []
    try:
        while True:
            answer, final = await source.receive()
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                values.append(int(answer.outputs[0].array()[0, 0]))
            if final:
                return values
    finally:
        source.close()


async def begun(scheduler, count=1):
    """Wait until so many executions have begun."""
    for _ in range(count):
        assert await asyncio.to_thread(scheduler.counting.instance.started.acquire, timeout=10)


async def until(holds):
    """Let the loop turn until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for is a plain counter
            await asyncio.sleep(0)


class TestAnswers:
    """What clients get."""

    @pytest.mark.parametrize("inline", [False, True])
    async def test_one_answer_comes_at_the_end(self, build, ask, inline):
        """What the iterations before it returned is not sent."""
        scheduler = build(inline=inline)

        assert await unary(scheduler, ask(4)) == [0]
        assert scheduler.counting.instance.sizes == [1, 1, 1, 1]
        assert scheduler._statistics.success.count == 1

    async def test_a_decoupled_model_answers_in_each_iteration(self, build, ask):
        """In order, the last one is final."""
        scheduler = build(decoupled=True)

        assert await streamed(scheduler, ask(4)) == [3, 2, 1, 0]
        await until(lambda: not scheduler.inflight)
        assert scheduler._statistics.success.count == 1
        assert len(scheduler.counting.instance.sizes) == 4

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_a_request_may_be_executed_once(self, build, ask, decoupled):
        """Then it is like any other."""
        scheduler = build(decoupled=decoupled)
        collect = streamed if decoupled else unary

        assert await collect(scheduler, ask(1)) == [0]

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_requests_are_iterated_together(self, build, ask, decoupled):
        """A short one leaves early, and one that waits for a place gets it."""
        scheduler = build(decoupled=decoupled)
        collect = streamed if decoupled else unary
        counts = [4, 1, 2, 3, 2]
        answers = await asyncio.gather(*(collect(scheduler, ask(n)) for n in counts))

        expected = [list(reversed(range(n))) if decoupled else [0] for n in counts]
        assert answers == expected
        assert len(scheduler.counting.instance.sizes) < sum(counts)

    @pytest.mark.parametrize("text", [False, True])
    async def test_the_model_sees_where_a_sequence_stands(self, build, ask, text):
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
        scheduler = build(batching=batching)
        await unary(scheduler, ask(3))
        await unary(scheduler, ask(1))
        first, second = (b"1", b"2") if text else (1, 2)

        assert scheduler.counting.seen == [
            (1, 0, first, 2),
            (0, 0, first, 1),
            (0, 0, first, 0),
            (1, 0, second, 0),
        ]

    async def test_an_explicit_id_needs_its_flags(self, build, ask):
        """START at first, and END ends it once it is not rescheduled."""
        scheduler = build()
        with pytest.raises(InvalidRequest, match="START"):
            await scheduler.infer(ask(2, sequence_id=5))
        await unary(scheduler, ask(2, sequence_id=5, sequence_start=True))
        await unary(scheduler, ask(3, sequence_id=5))
        assert len(scheduler._table) == 1
        await unary(scheduler, ask(2, sequence_id=5, sequence_end=True))

        assert len(scheduler._table) == 0
        assert len(scheduler.counting.seen) == 7

    async def test_state_is_carried_from_iteration_to_iteration(self, build, ask):
        """And a new request starts without it."""
        state = ModelSequenceBatchingState(
            input_name="OLD", output_name="NEW", data_type=DataType.TYPE_INT32, dims=[2]
        )
        scheduler = build(batching=ModelSequenceBatching(state=[state]))

        def accumulate(batch):
            total = batch.inputs["X"] + batch.inputs["OLD"]
            if total[0, 0] < 9:
                batch.reschedule(0)
            return [total for _ in batch.output_names]

        scheduler.counting.instance.execute = accumulate
        assert [await unary(scheduler, ask(n)) for n in (3, 2)] == [[9], [10]]

    async def test_decoupled_state_is_carried_too(self, build, ask):
        """It is sent with the responses and not shown."""
        state = ModelSequenceBatchingState(
            input_name="OLD", output_name="NEW", data_type=DataType.TYPE_INT32, dims=[2]
        )
        scheduler = build(decoupled=True, batching=ModelSequenceBatching(state=[state]))

        def accumulate(batch):
            total = batch.inputs["X"] + batch.inputs["OLD"]
            batch.senders[0].send({"Y": total, "NEW": total}, final=bool(total[0, 0] >= 9))
            if total[0, 0] < 9:
                batch.reschedule(0)
            return []

        scheduler.counting.instance.execute = accumulate
        assert await streamed(scheduler, ask(3)) == [3, 6, 9]


class TestEnds:
    """Requests that end before their last iteration."""

    async def test_a_client_that_leaves_between_iterations(self, build, ask):
        """Its place is free, the backend is not called for it again, and it is counted once."""
        scheduler = build(lane=lambda: DirectLane(2))
        instance = scheduler.counting.instance
        instance.hold()
        gone = asyncio.ensure_future(unary(scheduler, ask(9)))
        await begun(scheduler)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        instance.open()
        await until(lambda: not scheduler.inflight)

        assert len(scheduler.counting.seen) == 1
        assert scheduler._statistics.failures["CANCELED"] == 1
        assert await unary(scheduler, ask(2)) == [0]

    async def test_a_stream_that_is_closed_while_it_executes(self, build, ask):
        """Nothing is executed again."""
        scheduler = build(decoupled=True)
        instance = scheduler.counting.instance
        instance.hold()
        source = scheduler.stream(ask(9))
        await begun(scheduler)
        source.close()
        instance.open()
        await until(lambda: not scheduler.inflight)

        assert len(scheduler.counting.seen) == 1
        assert scheduler._statistics.failures["CANCELED"] == 1

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_one_that_is_taken_back_while_it_is_queued_again(self, build, ask, decoupled):
        """While another one executes; it has one outcome."""
        scheduler = build(decoupled=decoupled, lane=lambda: OldestLane(OldestPolicy(2, 1)))
        instance = scheduler.counting.instance
        instance.hold()
        collect = streamed if decoupled else unary
        gone = asyncio.ensure_future(collect(scheduler, ask(9)))
        await begun(scheduler)
        other = asyncio.ensure_future(collect(scheduler, ask(1)))
        await until(lambda: scheduler._table.queued == 1)
        instance.release()
        await begun(scheduler)
        assert scheduler._table.queued == 1
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        gc.disable()
        try:
            instance.open()
            assert await other == [0]
            await until(lambda: not scheduler.inflight)
        finally:
            gc.enable()

        assert len(scheduler.counting.seen) == 2
        assert scheduler._statistics.failures["CANCELED"] == 1
        assert scheduler._statistics.success.count == 1

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_a_deadline_that_passes_while_it_is_queued_again(self, build, ask, decoupled):
        """Is told at once, although it was executed before."""
        scheduler = build(decoupled=decoupled, lane=lambda: OldestLane(OldestPolicy(2, 1)))
        instance = scheduler.counting.instance
        instance.hold()
        collect = streamed if decoupled else unary
        deadline_ns = time.monotonic_ns() + 200_000_000
        late = asyncio.ensure_future(collect(scheduler, ask(9, deadline_ns=deadline_ns)))
        await begun(scheduler)
        other = asyncio.ensure_future(collect(scheduler, ask(1)))
        await until(lambda: scheduler._table.queued == 1)
        instance.release()
        await begun(scheduler)
        with pytest.raises(DeadlineExceeded, match=r"^Request deadline exceeded before"):
            await asyncio.wait_for(late, 10)
        assert not other.done()
        instance.open()

        assert await other == [0]
        assert len(scheduler.counting.seen) == 2
        assert scheduler._statistics.failures["REJECTED"] == 1

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_an_error_in_an_iteration_ends_it(self, build, ask, decoupled):
        """Whether the backend reschedules it or not."""
        scheduler = build(decoupled=decoupled)
        scheduler.counting.fail_at = 2
        with pytest.raises(BackendError, match="broken"):
            await (streamed if decoupled else unary)(scheduler, ask(5))
        await until(lambda: not scheduler.inflight)

        assert len(scheduler.counting.seen) == 3
        assert scheduler._statistics.failures["BACKEND"] == 1
        assert len(scheduler._table) == 0

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_an_exception_in_an_iteration_ends_it(self, build, ask, decoupled):
        """Although it was rescheduled before."""
        scheduler = build(decoupled=decoupled)

        def execute(batch):
            batch.reschedule(0)
            raise ZeroDivisionError

        scheduler.counting.instance.execute = execute
        with pytest.raises(BackendError, match="internal error"):
            await (streamed if decoupled else unary)(scheduler, ask(5))
        await until(lambda: not scheduler.inflight)

        assert len(scheduler._table) == 0

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_draining_waits_for_the_last_iteration(self, build, ask, decoupled):
        """What was accepted is answered in full."""
        scheduler = build(decoupled=decoupled)
        instance = scheduler.counting.instance
        instance.hold()
        collect = streamed if decoupled else unary
        answers = [asyncio.ensure_future(collect(scheduler, ask(n))) for n in (3, 5, 2, 4)]
        await begun(scheduler)
        drained = asyncio.ensure_future(scheduler.drain())
        await asyncio.sleep(0)
        assert not drained.done()
        instance.open()
        await asyncio.wait_for(drained, 10)

        expected = [list(reversed(range(n))) if decoupled else [0] for n in (3, 5, 2, 4)]
        assert await asyncio.gather(*answers) == expected


class TestRefusals:
    """Rescheduling where nothing iterates."""

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_the_request_fails(self, build, ask, decoupled):
        """And its sequence goes on."""
        scheduler = build(iterative=False, decoupled=decoupled)
        collect = streamed if decoupled else unary
        with pytest.raises(BackendError, match=REFUSED):
            await collect(scheduler, ask(2, sequence_id=5, sequence_start=True))

        assert await collect(scheduler, ask(1, sequence_id=5, sequence_end=True)) == [0]
        assert scheduler._statistics.failures["BACKEND"] == 1

    async def test_a_filled_row_fails_nobody(self, build, ask):
        """A backend that reschedules all rows has the one request of the batch refused only."""
        scheduler = build(iterative=False, decoupled=True, lane=lambda: DirectLane(2))
        for key in (5, 6):
            await streamed(scheduler, ask(1, sequence_id=key, sequence_start=True))
        scheduler.counting.reschedule_fillers = True

        assert await streamed(scheduler, ask(1, sequence_id=6, sequence_end=True)) == [0]
        assert await streamed(scheduler, ask(1, sequence_id=5, sequence_end=True)) == [0]

    async def test_a_model_without_sequences_cannot_reschedule(self, rigs):
        """Only the request that is rescheduled fails."""
        rig = rigs()

        def execute(batch):
            batch.reschedule(0)
            return [batch.inputs["X"] + 1]

        rig.instance.execute = execute
        refused, answered = await asyncio.gather(rig.start(1), rig.start(2), return_exceptions=True)

        assert str(refused).startswith(REFUSED.removeprefix("^").removesuffix(", but"))
        assert answered == 3

    async def test_a_request_needs_a_correlation_id(self, build, ask):
        """As in any model whose sequences are not iterative."""
        with pytest.raises(InvalidRequest, match="must specify a non-zero or non-empty corr"):
            await build(iterative=False).infer(ask(1))


@pytest.mark.parametrize("decoupled", [False, True])
async def test_hundreds_of_requests_with_random_cancels(build, ask, decoupled):
    """Every one is answered right or cancelled, and no place stays taken."""
    scheduler = build(decoupled=decoupled)
    collect = streamed if decoupled else unary
    chance = random.Random(11)
    outcomes = []

    async def client():
        count = 1 + chance.randrange(6)
        task = asyncio.ensure_future(collect(scheduler, ask(count)))
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
