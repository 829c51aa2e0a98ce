"""Iterative requests that end before their last execution, and those that may not iterate."""

import asyncio
import gc
import time

import pytest

from inferd.errors import BackendError, DeadlineExceeded, InvalidRequest
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_slots import DirectLane
from tests.scheduling.iterating import begun, streamed, unary, until

REFUSED = r"^Request is released with TRITONSERVER_REQUEST_RELEASE_RESCHEDULE, but"


class TestEnds:
    """Requests that end before their last iteration."""

    async def test_a_client_that_leaves_between_iterations(self, iterating, make):
        """Its place is free, the backend is not called for it again, and it is counted once."""
        scheduler = iterating(lane=lambda: DirectLane(2))
        instance = scheduler.counting.instance
        instance.hold()
        gone = asyncio.ensure_future(unary(scheduler, make.request(9)))
        await begun(scheduler)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        instance.open()
        await until(lambda: not scheduler.inflight)

        assert len(scheduler.counting.seen) == 1
        assert scheduler._statistics.failures["CANCELED"] == 1
        assert await unary(scheduler, make.request(2)) == [0]

    async def test_a_stream_that_is_closed_while_it_executes(self, iterating, make):
        """Nothing is executed again."""
        scheduler = iterating(decoupled=True)
        instance = scheduler.counting.instance
        instance.hold()
        source = scheduler.stream(make.request(9))
        await begun(scheduler)
        source.close()
        instance.open()
        await until(lambda: not scheduler.inflight)

        assert len(scheduler.counting.seen) == 1
        assert scheduler._statistics.failures["CANCELED"] == 1

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_one_that_is_taken_back_while_it_is_queued_again(
        self, iterating, make, decoupled
    ):
        """While another one executes; it has one outcome."""
        scheduler = iterating(decoupled=decoupled, lane=lambda: OldestLane(OldestPolicy(2, 1)))
        instance = scheduler.counting.instance
        instance.hold()
        collect = streamed if decoupled else unary
        gone = asyncio.ensure_future(collect(scheduler, make.request(9)))
        await begun(scheduler)
        other = asyncio.ensure_future(collect(scheduler, make.request(1)))
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
    async def test_a_deadline_that_passes_while_it_is_queued_again(
        self, iterating, make, decoupled
    ):
        """Is told at once, although it was executed before."""
        scheduler = iterating(decoupled=decoupled, lane=lambda: OldestLane(OldestPolicy(2, 1)))
        instance = scheduler.counting.instance
        instance.hold()
        collect = streamed if decoupled else unary
        deadline_ns = time.monotonic_ns() + 200_000_000
        late = asyncio.ensure_future(collect(scheduler, make.request(9, deadline_ns=deadline_ns)))
        await begun(scheduler)
        other = asyncio.ensure_future(collect(scheduler, make.request(1)))
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
    async def test_an_error_in_an_iteration_ends_it(self, iterating, make, decoupled):
        """Whether the backend reschedules it or not."""
        scheduler = iterating(decoupled=decoupled)
        scheduler.counting.fail_at = 2
        with pytest.raises(BackendError, match="broken"):
            await (streamed if decoupled else unary)(scheduler, make.request(5))
        await until(lambda: not scheduler.inflight)

        assert len(scheduler.counting.seen) == 3
        assert scheduler._statistics.failures["BACKEND"] == 1
        assert len(scheduler._table) == 0

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_an_exception_in_an_iteration_ends_it(self, iterating, make, decoupled):
        """Although it was rescheduled before."""
        scheduler = iterating(decoupled=decoupled)

        def execute(batch):
            batch.reschedule(0)
            raise ZeroDivisionError

        scheduler.counting.instance.execute = execute
        with pytest.raises(BackendError, match="internal error"):
            await (streamed if decoupled else unary)(scheduler, make.request(5))
        await until(lambda: not scheduler.inflight)

        assert len(scheduler._table) == 0

    @pytest.mark.parametrize("decoupled", [False, True])
    async def test_draining_waits_for_the_last_iteration(self, iterating, make, decoupled):
        """What was accepted is answered in full."""
        scheduler = iterating(decoupled=decoupled)
        instance = scheduler.counting.instance
        instance.hold()
        collect = streamed if decoupled else unary
        answers = [asyncio.ensure_future(collect(scheduler, make.request(n))) for n in (3, 5, 2, 4)]
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
    async def test_the_request_fails(self, iterating, make, decoupled):
        """And its sequence goes on."""
        scheduler = iterating(iterative=False, decoupled=decoupled)
        collect = streamed if decoupled else unary
        with pytest.raises(BackendError, match=REFUSED):
            await collect(scheduler, make.request(2, sequence_id=5, sequence_start=True))

        assert await collect(scheduler, make.request(1, sequence_id=5, sequence_end=True)) == [0]
        assert scheduler._statistics.failures["BACKEND"] == 1

    async def test_a_filled_row_fails_nobody(self, iterating, make):
        """A backend that reschedules all rows has the one request of the batch refused only."""
        scheduler = iterating(iterative=False, decoupled=True, lane=lambda: DirectLane(2))
        for key in (5, 6):
            await streamed(scheduler, make.request(1, sequence_id=key, sequence_start=True))
        scheduler.counting.reschedule_fillers = True

        assert await streamed(scheduler, make.request(1, sequence_id=6, sequence_end=True)) == [0]
        assert await streamed(scheduler, make.request(1, sequence_id=5, sequence_end=True)) == [0]

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

    async def test_a_request_needs_a_correlation_id(self, iterating, make):
        """As in any model whose sequences are not iterative."""
        with pytest.raises(InvalidRequest, match="must specify a non-zero or non-empty corr"):
            await iterating(iterative=False).infer(make.request(1))
