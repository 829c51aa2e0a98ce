"""The replies to one request, between a backend's threads and its client."""

import asyncio
import gc
import threading
import time
import weakref
from functools import partial

import hypothesis.strategies as st
import pytest
from hypothesis import given

from inferd.errors import BackendError
from inferd.scheduling.replies import ROOM, Reply
from tests.scheduling.replying import END, Wire, is_blocked, response, seen, wire_waits


async def test_replies_come_in_the_order_they_were_sent():
    """And with them what the listener is told."""
    wire = Wire()
    sent = [response(number) for number in range(5)]
    for one in sent:
        assert wire.send(one)
    wire.send(None, final=True)

    assert await wire.receive(6) == [*(Reply(one, False) for one in sent), END]
    assert [timed.reply.answer for timed in wire.told] == [*sent, None]


async def test_a_client_that_waits_gets_a_reply_when_it_comes():
    """Whether it was there before or not."""
    wire = Wire()
    waiting = wire.loop.create_task(wire.stream.receive())
    await asyncio.sleep(0)
    await asyncio.to_thread(wire.send, response(1))

    assert (await asyncio.wait_for(waiting, 10)).answer.id == "1"


async def test_there_is_room_for_sixteen_replies(threads):
    """The seventeenth waits until the client has dealt with the first: it asks for the second."""
    wire = Wire()
    for number in range(ROOM):
        assert wire.stream.has_room
        wire.send(response(number))
    assert not wire.stream.has_room
    late = threads.submit(wire.send, response(ROOM))
    await wire.receive(1)

    assert await is_blocked(late, wire)
    await wire.receive(1)
    assert await asyncio.wait_for(asyncio.wrap_future(late), 10)
    assert not wire.stream.has_room
    assert [reply.answer.id for reply in await wire.receive(ROOM - 1)] == [
        str(number) for number in range(2, ROOM + 1)
    ]


async def test_a_thread_that_waits_for_room_goes_on_when_the_client_leaves(threads):
    """Its reply is dropped, and so is what comes later."""
    wire = Wire(room=1)
    wire.send(response())
    late = threads.submit(wire.send, response(1))
    await wire_waits(wire)
    wire.stream.close()

    assert not await asyncio.wait_for(asyncio.wrap_future(late), 10)
    assert not wire.stream._replies
    assert wire.stream.has_room
    assert not wire.send(response(2))
    assert wire.left == 1


async def test_the_final_reply_does_not_wait():
    """A backend without room can end its request."""
    wire = Wire(room=1)
    wire.send(response())
    assert not wire.stream.has_room
    wire.send(BackendError("gone"), final=True)

    assert [reply.final for reply in await wire.receive(2)] == [False, True]


async def test_nothing_comes_after_the_final_reply():
    """Neither another reply nor another end, even when the client is gone."""
    wire = Wire()
    wire.send(response(), final=True)

    for closed in (False, True):
        if closed:
            wire.stream.close()
        for final in (False, True):
            with pytest.raises(RuntimeError):
                wire.send(None, final)
    await asyncio.sleep(0)
    assert len(wire.told) == 1


async def test_a_thread_that_waits_for_room_is_too_late_after_the_final_reply(threads):
    """Its reply would come after the end."""
    wire = Wire(room=1)
    wire.send(response())
    late = threads.submit(wire.send, response(1))
    await wire_waits(wire)
    wire.send(None, final=True)

    with pytest.raises(RuntimeError):
        await asyncio.wait_for(asyncio.wrap_future(late), 10)
    assert seen(await wire.receive(2)) == [("0", False), (None, True)]


async def test_the_end_of_a_request_whose_client_is_gone_is_told_to_the_listener():
    """It is over then, for the server, too."""
    wire = Wire()
    wire.stream.close()
    assert wire.stream.cancelled
    assert not wire.send(None, final=True)
    await asyncio.sleep(0)

    assert [timed.reply for timed in wire.told] == [END]


async def test_a_client_that_leaves_after_the_end_takes_nothing_back():
    """Nor does one that leaves twice."""
    wire = Wire()
    wire.send(None, final=True)
    await wire.receive(1)
    wire.stream.close()
    assert wire.left == 0
    other = Wire()
    other.stream.close()
    other.stream.close()

    assert other.left == 1


async def test_what_the_server_tells_comes_before_the_backend():
    """The first final reply counts."""
    wire = Wire()
    error = BackendError("queue")
    wire.stream.put(Reply(error, final=True))
    wire.stream.put(Reply(response(), final=True))
    wire.send(None, final=True)

    assert await wire.receive(1) == [Reply(error, final=True)]
    assert not wire.stream._replies


async def test_a_receive_that_is_cancelled_makes_room_once():
    """A client that asks with a timeout gets no more room than another."""
    wire = Wire(room=2)
    wire.send(response(0))
    await wire.receive(1)
    for _ in range(3):
        waiting = wire.loop.create_task(wire.stream.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    wire.send(response(1))
    assert wire.stream.has_room
    wire.send(response(2))

    assert not wire.stream.has_room
    assert [reply.answer.id for reply in await wire.receive(2)] == ["1", "2"]


async def test_every_reply_of_many_threads_arrives_once(threads):
    """In the order of each thread, with little room."""
    wire = Wire(room=2)

    def produce(thread):
        for number in range(50):
            assert wire.send(response(f"{thread}:{number}"))

    produced = [threads.submit(produce, thread) for thread in range(8)]
    got = [reply.answer.id for reply in await wire.receive(400)]
    await asyncio.gather(*map(asyncio.wrap_future, produced))

    for thread in range(8):
        assert [one for one in got if one.startswith(f"{thread}:")] == [
            f"{thread}:{number}" for number in range(50)
        ]
    assert all(timed.infer_ns >= 0 and timed.output_ns >= 0 for timed in wire.told)


async def test_a_reply_is_not_overtaken_by_the_end():
    """Between entering and being posted, no other reply gets in."""
    wire = Wire()
    posting, goes_on = threading.Event(), threading.Event()

    def slow(_):
        posting.set()
        assert goes_on.wait(10)

    first = wire.loop.run_in_executor(None, wire.stream.enter, Reply(response(), False), slow)
    assert await asyncio.to_thread(posting.wait, 10)

    assert not wire.stream._changed.acquire(blocking=False)
    goes_on.set()
    await first
    wire.send(None, final=True)
    assert wire.stream.ended


async def test_the_end_is_told_when_its_thread_is_done_with_the_loop():
    """The loop may be closed after it."""
    wire = Wire()
    delivering, goes_on, order = threading.Event(), threading.Event(), []
    wire.stream.call_on_reply(lambda _: order.append("told"))

    def slow(timed):
        wire.loop.call_soon_threadsafe(deliver, timed)
        assert delivering.wait(10)
        order.append("done")

    def deliver(timed):
        delivering.set()
        wire.stream.deliver(timed)
        goes_on.set()

    await wire.loop.run_in_executor(None, wire.stream.enter, END, slow)
    assert await asyncio.to_thread(goes_on.wait, 10)

    assert order == ["done", "told"]


async def test_durations_begin_with_the_execution():
    """Without one there is none; the first execution is kept."""
    wire = Wire()
    before_ns = time.monotonic_ns()
    wire.send(response())
    wire.stream.begin(before_ns, before_ns + 1)
    wire.stream.begin(before_ns + 2, before_ns + 3)
    wire.send(response())
    await wire.receive(2)
    first, second = wire.told

    assert first.infer_ns == 0
    assert 0 <= second.infer_ns <= time.monotonic_ns() - before_ns
    assert (wire.stream.start_ns, wire.stream.gathered_ns) == (before_ns, before_ns + 1)


@pytest.mark.parametrize("ending", ["final", "close", "put"])
async def test_a_request_is_free_when_it_is_over(ending):
    """Stream and request hold each other until then, without the garbage collector after it."""

    class Waiting:
        """A request that knows its stream."""

    def nothing(*_):
        """Keep what it is bound to."""

    wire = Wire()
    waiting = Waiting()
    waiting.stream = wire.stream
    wire.stream.call_on_close(partial(nothing, waiting))
    if ending != "put":
        wire.stream.call_on_reply(partial(nothing, waiting))
    gone = weakref.ref(waiting)
    gc.disable()
    try:
        if ending == "put":
            wire.stream.put(END)
        else:
            if ending == "close":
                wire.stream.close()
            wire.send(None, final=True)
            await asyncio.sleep(0)
        del waiting
        assert gone() is None
    finally:
        gc.enable()


OPERATIONS = st.sampled_from(["send", "end", "put", "receive", "impatient", "close"])


@given(room=st.integers(1, 3), operations=st.lists(OPERATIONS, max_size=30))
def test_whatever_happens_replies_come_once_and_in_order(room, operations):
    """And there is room for as many as there should be."""
    asyncio.run(_follow(room, operations))


async def _follow(room, operations):
    """Do what can be done without waiting, beside a list of what is to come."""
    wire = Wire(room)
    expected, on_way, left = [], 0, 0
    taken = over = closed = ended = False
    for number, operation in enumerate(operations):
        free = closed or on_way < room
        assert wire.stream.has_room == free
        if operation in ("send", "end") and not ended and (free or operation == "end"):
            ended = operation == "end"
            assert wire.send(response(number), final=ended) == (not closed)
            await asyncio.sleep(0)
            on_way += not closed or ended
            if not over:
                expected.append((str(number), ended))
            over = over or ended
        elif operation == "put" and not over:
            wire.stream.put(Reply(response(number), final=True))
            expected.append((str(number), True))
            over = True
        elif operation == "receive" and expected:
            on_way, taken = on_way - taken, True
            assert seen(await wire.receive(1)) == [expected.pop(0)]
        elif operation == "impatient" and not over and not expected:
            on_way, taken = on_way - taken, False
            waiting = wire.loop.create_task(wire.stream.receive())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        elif operation == "close":
            left += not over
            wire.stream.close()
            expected, over, closed = [], True, True
    assert wire.stream.cancelled == closed
    assert wire.stream.ended == ended
    assert wire.left == left
    assert len(wire.stream._replies) == len(expected)
