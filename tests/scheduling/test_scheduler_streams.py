"""What clients and backends of decoupled models can do: nothing is lost, doubled or left."""

import asyncio
import gc
import logging
import random
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inferd.backend import Instance
from inferd.errors import (
    BackendError,
    DeadlineExceeded,
    InferdError,
    InvalidRequest,
    QueueFull,
    QueueTimeout,
    ShuttingDown,
)
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.policy import BatchPolicy, PriorityPolicy, QueuePolicy
from inferd.scheduling.replies import ROOM
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.statistics import ModelStatistics

DROPPED = ("BackendError", "model 'm' dropped a request without a final response")


class Hand(Instance):
    """
    A decoupled instance whose senders the test uses; executions may be held, too.

    Attributes:
        senders: First element of a request -> its sender, until the test takes it.
        batches: The first elements of each batch.
        script: Called with each batch in place of returning nothing, when set.
        closed: How often it was closed.
    """

    def __init__(self):
        self.senders = {}
        self.batches = []
        self.script = None
        self.closed = 0
        self.started = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def execute(self, batch):
        """Keep the senders, wait if held, do what the script says."""
        values = [int(request.inputs["X"].array()[0, 0]) for request in batch.requests]
        self.batches.append(values)
        if self.script is None:
            self.senders.update(zip(values, batch.senders, strict=True))
        self.started.release()
        if not self.gate.wait(30):
            raise TimeoutError("the test did not release the instance")
        return () if self.script is None else self.script(batch)

    def close(self):
        """Count the calls."""
        self.closed += 1


class World:
    """
    The scheduler of a decoupled model, its instances, and what has been asked of it.

    Attributes:
        instances: The instances.
        scheduler: What is asked.
        statistics: What it counted.
        accepted: How many requests were not refused at once.
    """

    def __init__(self, make, *, instances=1, policy=None):
        self.instances = [Hand() for _ in range(instances)]
        self.statistics = ModelStatistics()
        self.scheduler = Scheduler(
            policy or BatchPolicy(4, True),
            Assembler(make.signature(), 1),
            self.instances,
            self.statistics,
            name="m",
            decoupled=True,
        )
        self.accepted = 0
        self._buffers = []

    @property
    def hand(self):
        """The first instance."""
        return self.instances[0]

    def ask(self, value, **more):
        """Send a request; return its stream."""
        array = np.full((1, 2), value, "<i4")
        self._buffers.append(weakref.ref(array))
        request = InferRequest("m", {"X": Tensor("X", "INT32", array.shape, array=array)}, **more)
        request.batch_size = 1
        stream = self.scheduler.stream(request)
        self.accepted += 1
        return stream

    async def asked(self, value, **more):
        """Send a request that is executed alone and at once; return its stream and sender."""
        stream = self.ask(value, **more)
        await self.until(lambda: value in self.hand.senders)
        return stream, self.hand.senders.pop(value)

    async def started(self, index=0):
        """Wait until an instance has begun its next execution."""
        assert await asyncio.to_thread(self.instances[index].started.acquire, timeout=10)

    async def until(self, holds):
        """Let the loop turn until something holds."""
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - what is waited for is a plain counter
                await asyncio.sleep(0)

    async def idle(self):
        """Wait until nothing is on its way."""
        await self.until(lambda: not self.scheduler.inflight)

    def failures(self):
        """Return the reasons of failures that were counted."""
        return {reason: count for reason, count in self.statistics.failures.items() if count}

    def responses(self, kind):
        """Return how many responses of a kind were counted at each place."""
        return [
            getattr(found, kind).count for _, found in sorted(self.statistics.responses.items())
        ]

    async def close(self):
        """Free everything."""
        for hand in self.instances:
            hand.gate.set()
            hand.senders.clear()
        if not self.hand.closed:
            await asyncio.wait_for(self.scheduler.close(), 10)

    def leftovers(self):
        """Return what should not be there once all is closed."""
        gc.collect()
        counted = self.statistics.success.count + sum(self.statistics.failures.values())
        found = {
            "tasks": len(asyncio.all_tasks() - {asyncio.current_task()}),
            "inflight": self.scheduler.inflight,
            "pending": self.statistics.pending,
            "uncounted": self.accepted - counted,
            "failures": self.statistics.fail.count - sum(self.statistics.failures.values()),
            "buffers": sum(buffer() is not None for buffer in self._buffers),
            "open instances": sum(hand.closed != 1 for hand in self.instances),
        }
        return {what: number for what, number in found.items() if number}


@pytest.fixture(name="worlds")
async def _worlds(make, monkeypatch):
    """Make worlds; at the end of the test each is closed and nothing of it may be left."""
    # pytest keeps what is logged, and a traceback keeps the tensors of its frames.
    monkeypatch.setattr(logging.getLogger("inferd.scheduling.execution"), "disabled", True)
    made = []

    def world(**more):
        made.append(World(make, **more))
        return made[-1]

    yield world
    for one in made:
        await one.close()
        assert one.leftovers() == {}


def y(value):
    """Return the outputs of one row."""
    return {"Y": np.full((1, 2), value, "<i4")}


async def read(stream, count=None):
    """Receive replies: values, ``(error, text)``, ``None`` for the mere end; all of them."""
    told = []
    async with asyncio.timeout(10):
        while count is None or len(told) < count:
            answer, final = await stream.receive()
            if isinstance(answer, InferResponse):
                answer = int(answer.outputs[0].array()[0, 0])
            elif isinstance(answer, InferdError):
                answer = (type(answer).__name__, answer.message)
            told.append(answer)
            if final:
                break
    return told


class TestClients:
    """What clients do."""

    async def test_one_that_leaves_the_queue(self, worlds):
        """Its request is never executed, and the others are answered."""
        world = worlds(policy=BatchPolicy(1, False))
        world.hand.gate.clear()
        first, second, third = (world.ask(value) for value in range(3))
        await world.started()
        second.close()
        assert world.failures() == {"CANCELED": 1}
        assert world.statistics.pending == 1
        world.hand.gate.set()
        await world.started()
        for value in (0, 2):
            world.hand.senders.pop(value).send(y(value), final=True)

        assert [await read(stream) for stream in (first, third)] == [[0], [2]]
        assert world.hand.batches == [[0], [2]]

    async def test_one_that_leaves_before_anything_is_executed(self, worlds):
        """Nothing is left to drain."""
        world = worlds()
        world.ask(0).close()
        await asyncio.wait_for(world.scheduler.drain(), 10)

        assert world.hand.batches == []

    async def test_one_that_leaves_during_the_execution(self, worlds):
        """The backend is told, and what it sends is dropped; the others of its batch go on."""
        world = worlds()
        world.hand.gate.clear()
        streams = [world.ask(value) for value in range(2)]
        await world.started()
        gone, kept = (world.hand.senders.pop(value) for value in range(2))
        streams[0].close()
        assert (gone.is_cancelled, kept.is_cancelled) == (True, False)
        assert not gone.send(y(9))
        assert kept.send(y(1))
        world.hand.gate.set()
        kept.finish()
        gone.finish()

        assert await read(streams[1]) == [1, None]
        await world.idle()
        assert world.failures() == {"CANCELED": 1}
        assert world.statistics.success.count == 1
        assert world.responses("cancel") == [1, 0]

    async def test_one_that_leaves_while_the_backend_waits_for_room(self, worlds):
        """The backend goes on, and sees why."""
        world = worlds()
        stream, sender = await world.asked(0)
        for value in range(ROOM):
            assert sender.send(y(value))
        assert not sender.has_room
        waiting = asyncio.create_task(asyncio.to_thread(sender.send, y(99)))
        await world.until(lambda: stream._changed._waiters)
        stream.close()

        assert await asyncio.wait_for(waiting, 10) is False
        assert sender.is_cancelled
        sender.finish()
        del sender
        await world.idle()
        assert world.failures() == {"CANCELED": 1}

    async def test_one_that_leaves_after_the_end(self, worlds):
        """Its request was a success, whether or not it has read everything."""
        world = worlds()
        stream, sender = await world.asked(0)
        sender.send(y(1), final=True)
        await world.idle()
        stream.close()

        assert world.statistics.success.count == 1
        assert world.failures() == {}

    async def test_one_that_reads_slowly_blocks_nobody_else(self, worlds):
        """Another instance answers others, while the slow one's backend waits."""
        world = worlds(instances=2, policy=BatchPolicy(1, False))

        def endless(batch):
            (sender,) = batch.senders
            for value in range(1000):
                if not sender.send(y(value)):
                    break
            return ()

        for hand in world.instances:
            hand.script = endless
        slow = world.ask(0)
        await world.started()
        await world.until(lambda: slow._changed._waiters)
        world.instances[1].script = lambda batch: [batch.inputs["X"] + 1]
        for value in range(20):
            assert await read(world.ask(value)) == [value + 1]
        assert world.statistics.success.count == 20
        assert await read(slow, 40) == list(range(40))
        slow.close()
        await world.idle()
        assert world.failures() == {"CANCELED": 1}

    async def test_ones_that_come_and_go_in_a_storm(self, worlds):
        """Who stays gets everything in order, whoever else leaves."""
        world = worlds(instances=3)
        chance = random.Random(7)
        threads = ThreadPoolExecutor(8)

        def answer(sender, count):
            for value in range(count):
                if not sender.send(y(value)):
                    break
            sender.finish()

        def script(batch):
            for request, sender in zip(batch.requests, batch.senders, strict=True):
                threads.submit(answer, sender, int(request.inputs["X"].array()[0, 0]))
            return ()

        async def client(count, leaves_after):
            stream = world.ask(count)
            if leaves_after is None:
                assert await read(stream) == [*range(count), None]
                return
            got = await read(stream, leaves_after) if leaves_after else []
            assert got == [*range(count), None][:leaves_after]
            stream.close()

        for hand in world.instances:
            hand.script = script
        with threads:
            await asyncio.gather(
                *(
                    client(chance.randrange(60), chance.choice([None, None, 0, 1, 20]))
                    for _ in range(200)
                )
            )
            await world.idle()


class TestBackends:
    """What backends do."""

    async def test_one_that_answers_after_it_has_returned(self, worlds):
        """Its instance takes the next request meanwhile; streams end in any order."""
        world = worlds()
        first, sender = await world.asked(0)
        second, other = await world.asked(1)
        assert world.scheduler.inflight >= 2
        other.send(y(10), final=True)
        assert await read(second) == [10]
        sender.send(y(1))
        sender.send(y(2))
        sender.finish()

        assert await read(first) == [1, 2, None]
        await world.idle()
        assert world.statistics.success.count == 2
        assert world.statistics.execution_count == 2
        assert world.responses("success") == [2, 1, 0]
        assert world.responses("empty_response") == [0, 0, 1]

    @pytest.mark.parametrize("sent", [0, 2])
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (BackendError, ("BackendError", "gone")),
            (ValueError, ("BackendError", "internal error")),
            (SystemExit, ("BackendError", "internal error")),
        ],
    )
    async def test_one_that_raises(self, worlds, sent, error, told):
        """Its requests end with the error after what was sent, and the instance goes on."""
        world = worlds()

        def script(batch):
            for sender in batch.senders:
                for value in range(sent):
                    sender.send(y(value))
            raise error("gone")

        world.hand.script = script
        streams = [world.ask(value) for value in range(2)]

        assert [await read(stream) for stream in streams] == [[*range(sent), told]] * 2
        world.hand.script = lambda batch: [batch.inputs["X"]]
        assert await read(world.ask(5)) == [5]
        assert world.failures() == {"BACKEND": 2}
        assert world.responses("fail") == [0] * sent + [2]

    async def test_one_that_fails_a_request_of_a_batch(self, worlds):
        """The others are answered."""
        world = worlds()

        def script(batch):
            batch.fail(0, InvalidRequest("bad pixel"))
            return [batch.inputs["X"]]

        world.hand.script = script
        streams = [world.ask(value) for value in range(3)]

        assert [await read(stream) for stream in streams] == [
            [("InvalidRequest", "bad pixel")],
            [1],
            [2],
        ]
        assert world.failures() == {"OTHER": 1}

    async def test_one_that_drops_its_senders(self, worlds):
        """At once or after some responses; the client is told."""
        world = worlds()
        world.hand.script = lambda batch: ()
        assert await read(world.ask(0)) == [DROPPED]
        world.hand.script = lambda batch: [sender.send(y(1)) for sender in batch.senders][:0]
        assert await read(world.ask(0)) == [1, DROPPED]
        world.hand.script = None
        stream, sender = await world.asked(2)
        sender.send(y(3))
        del sender

        assert await read(stream) == [3, DROPPED]
        await world.idle()
        assert world.failures() == {"BACKEND": 3}

    async def test_one_that_never_ends_a_request(self, worlds):
        """Draining waits for it, also when the client has left, and no longer."""
        world = worlds()
        stream, sender = await world.asked(0)
        draining = asyncio.create_task(world.scheduler.drain())
        sender.send(y(1))
        assert await read(stream, 1) == [1]
        await world.until(lambda: world.scheduler.inflight == 1)
        assert not draining.done()
        stream.close()
        assert not draining.done()
        sender.finish()

        await asyncio.wait_for(draining, 10)
        assert world.failures() == {"CANCELED": 1}

    async def test_one_that_sends_from_several_threads(self, worlds):
        """Every response arrives once, while the client reads and the instance executes."""
        world = worlds()
        stream, sender = await world.asked(0)
        with ThreadPoolExecutor(8) as threads:
            sent = [threads.submit(sender.send, y(value)) for value in range(100)]
            got = await read(stream, 100)
            assert all(one.result() for one in sent)
        sender.finish()

        assert sorted(got) == list(range(100))
        assert await read(stream) == [None]
        assert world.responses("success") == [1] * 100 + [0]

    async def test_one_that_sends_after_the_end(self, worlds):
        """It is told, from the thread or in the execution, and the client is not."""
        world = worlds()
        stream, sender = await world.asked(0)
        sender.send(y(1), final=True)
        with pytest.raises(BackendError, match="model 'm' sent a response after the final one"):
            sender.send(y(2))

        def script(batch):
            batch.senders[0].finish()
            batch.senders[0].send(y(3))

        world.hand.script = script
        assert await read(world.ask(1)) == [None]
        assert await read(stream) == [1]
        await world.idle()
        assert world.statistics.success.count == 2
        assert world.failures() == {}

    async def test_one_that_executes_a_request_again_without_being_iterative(self, worlds):
        """The request fails; the others of its batch do not."""
        world = worlds()

        def script(batch):
            batch.reschedule(0)
            return [batch.inputs["X"]]

        world.hand.script = script
        streams = [world.ask(value) for value in range(2)]
        ((error, text),) = await read(streams[0])

        assert error == "BackendError"
        assert text.endswith("batching of model 'm' is not iterative")
        assert await read(streams[1]) == [1]
        assert world.failures() == {"BACKEND": 1}


class TestQueue:
    """Batches, limits, timeouts, levels and the end."""

    async def test_requests_of_one_turn_are_one_batch(self, worlds):
        """Each has its own sender and its own end."""
        world = worlds()
        streams = [world.ask(value) for value in range(4)]
        await world.started()
        for value in (3, 1, 0, 2):
            world.hand.senders.pop(value).send(y(value * 10), final=True)

        assert [await read(stream) for stream in streams] == [[0], [10], [20], [30]]
        assert world.hand.batches == [[0, 1, 2, 3]]
        await world.idle()
        assert sorted(world.statistics.batches) == [4]
        assert world.statistics.inference_count == 4

    async def test_a_full_queue(self, worlds):
        """The request is refused at once, and the queued ones are answered."""
        queue = PriorityPolicy(default=QueuePolicy(max_size=1))
        world = worlds(policy=BatchPolicy(1, True, priorities=queue))
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
    async def test_a_request_that_waits_too_long(self, worlds, policy, more, error):
        """Its one reply is the error, and it is not executed."""
        levels = PriorityPolicy(2, 1, QueuePolicy(), {2: policy})
        world = worlds(policy=BatchPolicy(1, True, priorities=levels))
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

    async def test_a_request_that_comes_after_its_deadline(self, worlds):
        """It is told, and not executed although the instance is free."""
        world = worlds()
        ((error, _),) = await read(world.ask(0, deadline_ns=1))

        assert error == "DeadlineExceeded"
        assert world.hand.batches == []

    async def test_levels_are_served_in_order(self, worlds):
        """Whoever came first."""
        levels = PriorityPolicy(3, 2)
        world = worlds(policy=BatchPolicy(1, True, priorities=levels))
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

    async def test_streams_are_in_no_order(self, worlds):
        """One that is rejected is told so while an older one goes on."""
        queue = PriorityPolicy(default=QueuePolicy(allow_override=True))
        world = worlds(policy=BatchPolicy(1, True, priorities=queue, preserves_order=True))
        world.hand.gate.clear()
        first = world.ask(0)
        await world.started()
        ((error, _),) = await read(world.ask(1, timeout_us=1000))
        assert error == "QueueTimeout"
        world.ask(2).close()
        world.hand.gate.set()
        world.hand.senders.pop(0).finish()

        assert await read(first) == [None]

    async def test_closing_waits_for_open_streams(self, worlds):
        """New requests are refused; the instance is closed once, after the last response."""
        world = worlds()
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

    async def test_a_request_that_is_over_is_freed_at_once(self, worlds):
        """Its tensors do not wait for the garbage collector."""
        world = worlds()
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

    async def test_times_are_counted_once_per_request_and_response(self, worlds):
        """From arrival to end; the first response's from the call of the backend."""
        world = worlds()
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
