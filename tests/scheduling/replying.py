"""A stream of replies between a backend's threads and its client, and how tests read it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferd.protocol.messages import InferRequest, InferResponse
from inferd.scheduling.replies import ROOM, Reply, ReplyStream

END = Reply(None, final=True)


class Wire:
    """
    A stream, and the way from a backend's threads to the loop.

    Attributes:
        stream: The stream.
        told: What the listener was told of the backend's replies.
        left: How often it was told that the client left.
    """

    def __init__(self, room=ROOM):
        self.loop = asyncio.get_running_loop()
        self.stream = ReplyStream(InferRequest("m", {}), room)
        self.told = []
        self.left = 0
        self.stream.call_on_reply(self.told.append)
        self.stream.call_on_close(self._leave)

    def _leave(self):
        self.left += 1

    def send(self, answer, final=False):
        """Send a reply from a backend's thread."""
        return self.stream.enter(Reply(answer, final), self._post)

    def _post(self, timed):
        self.loop.call_soon_threadsafe(self.stream.deliver, timed)

    async def receive(self, count):
        """Receive a number of replies."""
        async with asyncio.timeout(10):
            return [await self.stream.receive() for _ in range(count)]


@pytest.fixture(name="threads")
def _threads():
    """Threads of a backend."""
    with ThreadPoolExecutor(8) as executor:
        yield executor


def response(number=0):
    """Return a response that can be told from others."""
    return InferResponse("m", "1", (), id=str(number))


def seen(replies):
    """Return replies as they can be compared: a response by its id."""
    return [
        (one.answer.id if isinstance(one.answer, InferResponse) else one.answer, one.final)
        for one in replies
    ]


async def is_blocked(thread, wire):
    """Whether a thread waits for room; it has had the time to get there."""
    await wire_waits(wire)
    return not thread.done()


async def wire_waits(wire, threads=1):
    """Wait until so many threads wait for room."""
    waiters = wire.stream._changed._waiters
    async with asyncio.timeout(10):
        while len(waiters) < threads:  # noqa: ASYNC110 - what is waited for is a plain counter
            await asyncio.sleep(0)
