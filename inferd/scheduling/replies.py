"""
The replies to one request of a decoupled model, between the backend's threads and the client.

A backend puts replies in from any thread; the client takes one after the other on the event
loop. Between them is room for a few: who puts in more waits, so that a client that reads
slowly slows its own request down and takes no memory.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol

from inferd.errors import InferdError
from inferd.protocol.messages import InferRequest, InferResponse

ROOM: Final = 16
"""Replies that may be on their way to the client; the one it is taking counts."""


class Reply(NamedTuple):
    """
    What a client is told of its request, once or many times.

    Attributes:
        answer: A response or an error; ``None`` when there is only the end to tell.
        final: Whether it is the last one.
    """

    answer: InferResponse | InferdError | None
    final: bool


class ReplySource(Protocol):
    """Where a client's replies come from."""

    async def receive(self) -> Reply:
        """Return the next reply; not to be called after the final one."""

    def close(self) -> None:
        """Take the request back unless it is over."""


class OneReply:
    """
    The reply of a request that has exactly one.

    Args:
        answer: What the answer is awaited of; not begun before :meth:`receive`.
    """

    __slots__ = ("_answer",)

    def __init__(self, answer: Coroutine[Any, Any, InferResponse]) -> None:
        self._answer = answer

    async def receive(self) -> Reply:
        """Return the answer, or the error that met it; cancelling it takes the request back."""
        try:
            return Reply(await self._answer, final=True)
        except InferdError as error:
            return Reply(error, final=True)

    def close(self) -> None:
        """Forget a request that was not begun."""
        self._answer.close()


class MappedReplies:
    """
    Replies with something done to every response.

    Args:
        source: Where they come from.
        change: What is done.
    """

    __slots__ = ("_change", "_source")

    def __init__(
        self, source: ReplySource, change: Callable[[InferResponse], InferResponse]
    ) -> None:
        self._source = source
        self._change = change

    async def receive(self) -> Reply:
        """Return the next reply; an error of the change becomes the final one."""
        answer, final = await self._source.receive()
        if not isinstance(answer, InferResponse):
            return Reply(answer, final)
        try:
            return Reply(self._change(answer), final)
        except InferdError as error:
            self._source.close()
            return Reply(error, final=True)

    def close(self) -> None:
        """Take the request back unless it is over."""
        self._source.close()


class Timed(NamedTuple):
    """
    A reply and what it took.

    Attributes:
        reply: The reply.
        infer_ns: Nanoseconds since the reply before it, or since the backend was called.
        output_ns: Nanoseconds it waited for room.
    """

    reply: Reply
    infer_ns: int
    output_ns: int


class ReplyStream:
    """
    The replies to one request.

    Args:
        request: The request.
        room: Replies that may be on their way.

    Attributes:
        request: The request.
        start_ns: When its first execution began, monotonic; 0 before.
        gathered_ns: When the backend was called for it first.
        cancelled: Whether the client is gone.
        ended: Whether the backend has sent the final reply.
    """

    __slots__ = (
        "_changed",
        "_last_ns",
        "_on_close",
        "_on_reply",
        "_on_way",
        "_over",
        "_replies",
        "_room",
        "_taken",
        "_waiter",
        "cancelled",
        "ended",
        "gathered_ns",
        "request",
        "start_ns",
    )

    def __init__(self, request: InferRequest, room: int = ROOM) -> None:
        self.request = request
        self.start_ns = self.gathered_ns = self._last_ns = 0
        self.cancelled = self.ended = False
        self._room = room
        self._on_way = 0
        self._changed = threading.Condition()
        self._replies: deque[Reply] = deque()
        self._taken = self._over = False
        self._waiter: asyncio.Future[None] | None = None
        self._on_reply: Callable[[Timed], None] = _ignore
        self._on_close: Callable[[], None] = _ignore

    def call_on_close(self, call: Callable[[], None]) -> None:
        """Have ``call`` called on the loop when the client leaves before the end."""
        self._on_close = call

    def call_on_reply(self, call: Callable[[Timed], None]) -> None:
        """Have ``call`` called on the loop with each reply of the backend."""
        self._on_reply = call

    @property
    def has_room(self) -> bool:
        """Whether :meth:`enter` would not wait."""
        return self.cancelled or self._on_way < self._room

    def begin(self, start_ns: int, gathered_ns: int) -> None:
        """Note when an execution began and when the backend was called. Any thread."""
        if not self.start_ns:
            self.start_ns, self.gathered_ns = start_ns, gathered_ns
        self._last_ns = gathered_ns

    def enter(self, reply: Reply, post: Callable[[Timed], object]) -> bool:
        """
        Wait for room for a reply of the backend; any thread but the loop's.

        A final reply does not wait: it takes no more room than the request did.

        Args:
            reply: The reply.
            post: Has :meth:`deliver` called on the loop; not called when nobody waits. No
                reply overtakes another, whichever threads they come from.

        Returns:
            Whether somebody waits for more.

        Raises:
            RuntimeError: There was a final reply before.
        """
        asked_ns = time.monotonic_ns()
        with self._changed:
            if self.ended:
                raise RuntimeError("there was a final reply before")
            if reply.final:
                self.ended = True
                self._changed.notify_all()
            elif not self._wait_for_room():
                return False
            self._on_way += 1
            # It was asked for before the last one where threads wait for room together.
            infer_ns = max(asked_ns - (self._last_ns or asked_ns), 0)
            self._last_ns = time.monotonic_ns()
            post(Timed(reply, infer_ns, self._last_ns - asked_ns))
        return not self.cancelled

    def _wait_for_room(self) -> bool:
        """Wait, with the lock held; ``False`` when nobody waits for the reply any more."""
        while not self.has_room:
            self._changed.wait()
            if self.ended and not self.cancelled:
                raise RuntimeError("there was a final reply meanwhile")
        return not self.cancelled

    def deliver(self, timed: Timed) -> None:
        """Have a reply of the backend received and counted. On the loop."""
        self.put(timed.reply)
        if not timed.reply.final:
            self._on_reply(timed)
            return
        # Whoever posts it needs the loop until the lock is free; after this it may be closed.
        with self._changed:
            on_reply, self._on_reply = self._on_reply, _ignore
        on_reply(timed)

    def put(self, reply: Reply) -> None:
        """Have a reply received; what comes after the final one is dropped. On the loop."""
        if self._over:
            return
        self._over = reply.final
        if self._over:
            # It holds the request, which holds this.
            self._on_close = _ignore
        self._replies.append(reply)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Reply:
        """Return the next reply; the one before has been dealt with and makes room."""
        if self._taken:
            self._taken = False
            with self._changed:
                self._on_way -= 1
                self._changed.notify_all()
        while not self._replies:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._taken = True
        return self._replies.popleft()

    def close(self) -> None:
        """Take the request back unless it is over; whoever waits for room goes on."""
        with self._changed:
            self.cancelled = True
            self._changed.notify_all()
        self._replies.clear()
        if not self._over:
            self._over = True
            on_close, self._on_close = self._on_close, _ignore
            on_close()


def _ignore(*_: object) -> None:
    return None
