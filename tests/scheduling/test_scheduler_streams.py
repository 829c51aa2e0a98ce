"""What clients and backends of decoupled models can do: nothing is lost, doubled or left."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferd.errors import BackendError, InvalidRequest
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.replies import ROOM
from tests.scheduling.decoupled_rig import read, y

DROPPED = ("BackendError", "model 'm' dropped a request without a final response")


class TestClients:
    """What clients do."""

    async def test_one_that_leaves_the_queue(self, decoupled):
        """Its request is never executed, and the others are answered."""
        world = decoupled(policy=BatchPolicy(1, False))
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

    async def test_one_that_leaves_before_anything_is_executed(self, decoupled):
        """Nothing is left to drain."""
        world = decoupled()
        world.ask(0).close()
        await asyncio.wait_for(world.scheduler.drain(), 10)

        assert world.hand.batches == []

    async def test_one_that_leaves_during_the_execution(self, decoupled):
        """The backend is told, and what it sends is dropped; the others of its batch go on."""
        world = decoupled()
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

    async def test_one_that_leaves_while_the_backend_waits_for_room(self, decoupled):
        """The backend goes on, and sees why."""
        world = decoupled()
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

    async def test_one_that_leaves_after_the_end(self, decoupled):
        """Its request was a success, whether or not it has read everything."""
        world = decoupled()
        stream, sender = await world.asked(0)
        sender.send(y(1), final=True)
        await world.idle()
        stream.close()

        assert world.statistics.success.count == 1
        assert world.failures() == {}

    async def test_one_that_reads_slowly_blocks_nobody_else(self, decoupled):
        """Another instance answers others, while the slow one's backend waits."""
        world = decoupled(instances=2, policy=BatchPolicy(1, False))

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

    async def test_ones_that_come_and_go_in_a_storm(self, decoupled):
        """Who stays gets everything in order, whoever else leaves."""
        world = decoupled(instances=3)
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

    async def test_one_that_answers_after_it_has_returned(self, decoupled):
        """Its instance takes the next request meanwhile; streams end in any order."""
        world = decoupled()
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
    async def test_one_that_raises(self, decoupled, sent, error, told):
        """Its requests end with the error after what was sent, and the instance goes on."""
        world = decoupled()

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

    async def test_one_that_fails_a_request_of_a_batch(self, decoupled):
        """The others are answered."""
        world = decoupled()

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

    async def test_one_that_drops_its_senders(self, decoupled):
        """At once or after some responses; the client is told."""
        world = decoupled()
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

    async def test_one_that_never_ends_a_request(self, decoupled):
        """Draining waits for it, also when the client has left, and no longer."""
        world = decoupled()
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

    async def test_one_that_sends_from_several_threads(self, decoupled):
        """Every response arrives once, while the client reads and the instance executes."""
        world = decoupled()
        stream, sender = await world.asked(0)
        with ThreadPoolExecutor(8) as threads:
            sent = [threads.submit(sender.send, y(value)) for value in range(100)]
            got = await read(stream, 100)
            assert all(one.result() for one in sent)
        sender.finish()

        assert sorted(got) == list(range(100))
        assert await read(stream) == [None]
        assert world.responses("success") == [1] * 100 + [0]

    async def test_one_that_sends_after_the_end(self, decoupled):
        """It is told, from the thread or in the execution, and the client is not."""
        world = decoupled()
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

    async def test_one_that_executes_a_request_again_without_being_iterative(self, decoupled):
        """The request fails; the others of its batch do not."""
        world = decoupled()

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
