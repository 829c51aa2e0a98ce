"""Batches, limits, timeouts, levels and the end of requests that are answered by streams."""

import asyncio
import gc
import time

import pytest

from inferd.errors import DeadlineExceeded, QueueFull, QueueTimeout, ShuttingDown
from inferd.scheduling.policy import BatchPolicy, PriorityPolicy, QueuePolicy
from tests.scheduling.decoupled_rig import read, y


class TestQueue:
    """Batches, limits, timeouts, levels and the end."""

    async def test_requests_of_one_turn_are_one_batch(self, decoupled):
        """Each has its own sender and its own end."""
        world = decoupled()
        streams = [world.ask(value) for value in range(4)]
        await world.started()
        for value in (3, 1, 0, 2):
            world.hand.senders.pop(value).send(y(value * 10), final=True)

        assert [await read(stream) for stream in streams] == [[0], [10], [20], [30]]
        assert world.hand.batches == [[0, 1, 2, 3]]
        await world.idle()
        assert sorted(world.statistics.batches) == [4]
        assert world.statistics.inference_count == 4

    async def test_a_full_queue(self, decoupled):
        """The request is refused at once, and the queued ones are answered."""
        queue = PriorityPolicy(default=QueuePolicy(max_size=1))
        world = decoupled(policy=BatchPolicy(1, True, priorities=queue))
        world.hand.gate.clear()
        first = world.ask(0)
        await world.started()
        second = world.ask(1)
        with pytest.raises(QueueFull):
            world.ask(2)
        world.accepted += 1  # counted, too
        world.hand.script = lambda batch: [batch.inputs["X"]]
        world.hand.gate.set()
        assert await read(second) == [1]
        world.hand.senders.clear()

        assert await read(first) == [0]
        assert world.failures() == {"REJECTED": 1}

    @pytest.mark.parametrize(
        ("policy", "more", "error"),
        [
            (QueuePolicy(timeout_ns=1_000_000), {}, QueueTimeout),
            (QueuePolicy(), {"deadline_ns": 2_000_000}, DeadlineExceeded),
        ],
    )
    async def test_a_request_that_waits_too_long(self, decoupled, policy, more, error):
        """Its one reply is the error, and it is not executed."""
        levels = PriorityPolicy(2, 1, QueuePolicy(), {2: policy})
        world = decoupled(policy=BatchPolicy(1, True, priorities=levels))
        world.hand.gate.clear()
        first = world.ask(0, priority=1)
        await world.started()
        if more:
            more = {"deadline_ns": time.monotonic_ns() + more["deadline_ns"]}
        late = world.ask(1, priority=2, **more)
        (told,) = await read(late)
        assert told[0] == error.__name__
        world.hand.gate.set()
        world.hand.senders.pop(0).finish()

        assert await read(first) == [None]
        assert world.hand.batches == [[0]]
        assert world.failures() == {"REJECTED": 1}
        assert world.responses("fail") == [0]

    async def test_a_request_that_comes_after_its_deadline(self, decoupled):
        """It is told, and not executed although the instance is free."""
        world = decoupled()
        ((error, _),) = await read(world.ask(0, deadline_ns=1))

        assert error == "DeadlineExceeded"
        assert world.hand.batches == []

    async def test_levels_are_served_in_order(self, decoupled):
        """Whoever came first."""
        levels = PriorityPolicy(3, 2)
        world = decoupled(policy=BatchPolicy(1, True, priorities=levels))
        world.hand.gate.clear()
        first = world.ask(0)
        await world.started()
        others = [world.ask(level, priority=level) for level in (3, 2, 1)]
        world.hand.gate.set()
        for _ in range(3):
            await world.started()
        for value in range(4):
            world.hand.senders.pop(value).finish()

        assert [await read(stream) for stream in (first, *others)] == [[None]] * 4
        assert world.hand.batches == [[0], [1], [2], [3]]

    async def test_streams_are_in_no_order(self, decoupled):
        """One that is rejected is told so while an older one goes on."""
        queue = PriorityPolicy(default=QueuePolicy(allow_override=True))
        world = decoupled(policy=BatchPolicy(1, True, priorities=queue, preserves_order=True))
        world.hand.gate.clear()
        first = world.ask(0)
        await world.started()
        ((error, _),) = await read(world.ask(1, timeout_us=1000))
        assert error == "QueueTimeout"
        world.ask(2).close()
        world.hand.gate.set()
        world.hand.senders.pop(0).finish()

        assert await read(first) == [None]

    async def test_closing_waits_for_open_streams(self, decoupled):
        """New requests are refused; the instance is closed once, after the last response."""
        world = decoupled()
        stream, sender = await world.asked(0)
        closing = asyncio.create_task(world.scheduler.close())
        await asyncio.sleep(0)
        with pytest.raises(ShuttingDown):
            world.ask(1)
        sender.send(y(1))
        assert await read(stream, 1) == [1]
        assert world.hand.closed == 0
        sender.send(y(2), final=True)

        await asyncio.wait_for(closing, 10)
        assert world.hand.closed == 1
        assert await read(stream) == [2]

    async def test_a_request_that_is_over_is_freed_at_once(self, decoupled):
        """Its tensors do not wait for the garbage collector."""
        world = decoupled()
        gc.collect()
        gc.disable()
        try:
            stream, sender = await world.asked(0)
            sender.finish()
            assert await read(stream) == [None]
            left = world.ask(1)
            left.close()
            del stream, sender, left
            await world.idle()
            await world.until(lambda: all(buffer() is None for buffer in world._buffers))
        finally:
            gc.enable()

    async def test_times_are_counted_once_per_request_and_response(self, decoupled):
        """From arrival to end; the first response's from the call of the backend."""
        world = decoupled()
        before_ns = time.monotonic_ns()
        stream, sender = await world.asked(0)
        for value in range(3):
            sender.send(y(value))
        sender.finish()
        assert await read(stream) == [0, 1, 2, None]
        await world.idle()
        passed_ns = time.monotonic_ns() - before_ns
        statistics = world.statistics

        assert 0 < statistics.success.ns <= passed_ns
        assert statistics.compute_infer.count == 1
        computed = [found.compute_infer for _, found in sorted(statistics.responses.items())]
        assert [duration.count for duration in computed] == [1, 1, 1, 0]
        assert 0 <= sum(duration.ns for duration in computed) <= passed_ns
