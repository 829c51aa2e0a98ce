"""
One HTTP connection, whose inference requests take the fast lane.

It owns the transport. Inference requests whose JSON is short run side by side, as many as
the client sent, and are answered in order; anything else waits until the connection is
idle, and what follows waits for it.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, cast

from inferd.frontends.http import inference
from inferd.frontends.http.fastlane import replies
from inferd.frontends.http.fastlane.application import ApplicationHandler, SharedTransport
from inferd.frontends.http.fastlane.framing import (
    Event,
    Expectation,
    Framer,
    Inference,
    Passage,
    Refusal,
)
from inferd.frontends.http.fastlane.lane import Lane, failure
from inferd.frontends.http.fastlane.slots import Slot
from inferd.frontends.http.fastlane.watch import BUSY, Sight, Watch
from inferd.frontends.http.inference import Queue
from inferd.listening.writing import write_all
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Buffer

MAX_PIPELINED: Final = 32
"""The most requests of one connection in the lane at a time."""

_PIPELINED_BYTES: Final = 1 << 20
"""No further request is begun while those in the lane have bodies of so many bytes."""

_BUFFER_BYTES: Final = 1 << 16
"""Reading pauses when so many bytes wait for earlier requests to be answered."""

_JOIN_BYTES: Final = 1 << 16
"""Answers that together are at most this long are copied into one piece."""

_LINGER_SECONDS: Final = 2.0
"""How long a refused client may go on sending, so that the answer gets through."""


_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """
    One connection.

    Args:
        lane: What its connections share.
    """

    __slots__ = (
        "_application",
        "_application_busy",
        "_application_holds",
        "_ended",
        "_flushing",
        "_framer",
        "_held",
        "_lane",
        "_linger",
        "_loop",
        "_queued",
        "_reading",
        "_received",
        "_size",
        "_slots",
        "_stalled",
        "_transport",
        "_watch",
        "_writable",
        "application_wrote",
    )

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._loop = asyncio.get_running_loop()
        self._framer = Framer(lane.max_body, lane.limits)
        self._transport: asyncio.Transport | None = None
        self._application: ApplicationHandler | None = None
        self._application_busy = False
        self._application_holds = False
        self._slots: deque[Slot] = deque()
        self._size = 0
        self._held: Event | None = None
        self._ended = False
        self._flushing = False
        self._queued: Queue | None = None
        self._reading = True
        self._stalled = False
        self._writable = True
        self._linger: asyncio.TimerHandle | None = None
        self._received = 0
        self._watch = Watch(lane.limits)
        self.application_wrote = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no base class
        self._lane.connections.add(self)
        end = transport.get_extra_info("socket")
        if end is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what nobody waits for any more."""
        self._ended = True
        self._transport = None
        self._lane.connections.discard(self)
        if self._linger is not None:
            self._linger.cancel()
        self.cancel()
        if self._application is not None:
            self._application.connection_lost(exc)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel the requests in the lane, and return them."""
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for slot in self._slots:
            slot.take_back()
            self._leave(slot)
        return tasks

    def close(self) -> None:
        """Close once everything that was answered is written."""
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def look(self, now_ns: int) -> None:
        """End the connection if the client took too long; called now and then."""
        if self._transport is None:
            return
        sight = self._sight(self._transport)
        if not self._watch.is_over(sight, now_ns):
            return
        if sight.stage == "sending":
            self._transport.abort()
        elif sight.stage == "idle":
            self.close()
        else:
            text = f"Timeout while waiting for the rest of the request's {sight.stage}"
            self._end_with(replies.message(408, text))

    def _sight(self, transport: asyncio.Transport) -> Sight:
        unsent = transport.get_write_buffer_size()
        if unsent:
            return Sight("sending", unsent)
        if self._ended or self._slots or self._held is not None or not self._reading:
            return BUSY
        framer = self._framer
        if framer.in_body:
            return Sight("body", self._received)
        if self._application_busy:
            return BUSY
        return Sight("head" if framer.buffered else "idle", framer.heads)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._received += len(data)
        if self._ended and not self._framer.passing:
            return
        self._framer.receive(data)
        self._advance()
        if self._queued is not None:
            self._end_turn(self._queued)

    def pause_writing(self) -> None:
        """Begin no further request until the client has read its answers."""
        self._writable = False
        if self._application is not None:
            self._application.pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable = True
        if self._application is not None:
            self._application.resume_writing()
        self._advance()

    def hold_reading(self, holds: bool) -> None:
        """Pause or resume the reading on behalf of the application."""
        self._application_holds = holds
        self._pace()

    def application_answered(self, *, keep_alive: bool) -> None:
        """Go on after the application's answer; without keep-alive it closes by itself."""
        if not keep_alive:
            self._ended = True
            return
        self._application_busy = False
        self._advance()

    def application_closed(self) -> None:
        """Close on behalf of the application, unless that has no say any more."""
        if self._application is not None:
            self.close()

    def _end_turn(self, queue: Queue) -> None:
        """Execute at once what was just queued, if it is all that the clients wait for."""
        self._queued = None
        if len(self._slots) == 1 and len(self._lane.connections) == 1:
            queue.end_turn()

    def _advance(self) -> None:
        """Act on what was received, as far as that is possible now."""
        is_stalled = False
        while self._transport is not None:
            if not self._may_act():
                is_stalled = True
                break
            event = self._held if self._held is not None else self._framer.next_event()
            self._held = None
            if event is None:
                break
            if not self._act(event):
                self._held = event
                is_stalled = True
                break
        self._stalled = is_stalled
        self._pace()

    def _may_act(self) -> bool:
        if self._framer.passing and self._held is None:
            return True
        if self._ended or self._application_busy or not self._writable:
            return False
        if not self._slots:
            return True
        return (
            self._slots[-1].event.is_prompt
            and len(self._slots) < MAX_PIPELINED
            and self._size < _PIPELINED_BYTES
        )

    def _pace(self) -> None:
        """Pause or resume the reading."""
        reads = not self._application_holds and not (
            self._stalled and self._framer.buffered >= _BUFFER_BYTES
        )
        if reads == self._reading or self._transport is None:
            return
        self._reading = reads
        if reads:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _act(self, event: Event) -> bool:
        """Act on what comes next; return whether it was its turn."""
        if isinstance(event, Inference):
            return self._infer(event)
        if self._slots:
            return False
        if isinstance(event, Passage):
            self._pass(event)
        elif isinstance(event, Expectation):
            self._write((_CONTINUE,))
        else:
            self._refuse(event)
        return True

    def _infer(self, event: Inference) -> bool:
        if self._slots and not event.is_prompt:
            return False
        slot = Slot(event, self)
        self._slots.append(slot)
        self._size += len(event.body)
        self._ended = slot.closes
        drain = self._lane.drain
        if drain.begun:
            slot.reply = replies.message(503, "Server exiting")
            self._flush_soon()
            return True
        drain.enter()
        slot.is_open = True
        if event.is_prompt:
            self._start(slot)
        else:
            slot.task = self._loop.create_task(self._serve(slot))
        return True

    def _start(self, slot: Slot) -> None:
        """Begin a prompt request, without a task where that is possible."""
        try:
            slot.decoded, started = self._lane.start(slot.event, slot)
        except Exception as error:
            slot.reply = failure(error, slot.event.head.route.name)
            self._leave(slot)
            self._flush_soon()
            return
        if started is not None:
            slot.queued(started)
            self._queued = started[0]
        else:
            slot.task = self._loop.create_task(self._serve(slot))

    async def _serve(self, slot: Slot) -> None:
        self._settle(slot, await self._lane.reply(slot.event, slot.decoded))

    def answer(self, slot: Slot, response: InferResponse) -> None:
        """Take the answer of a started request."""
        assert slot.decoded is not None
        if inference.is_long(response, slot.decoded):
            slot.task = self._loop.create_task(self._write_long(slot, response))
        else:
            self._settle(slot, self._lane.answer(response, slot.decoded))

    def fail(self, slot: Slot, error: BaseException) -> None:
        """Take what went wrong with one."""
        self._settle(slot, failure(error, slot.event.head.route.name))

    async def _write_long(self, slot: Slot, response: InferResponse) -> None:
        assert slot.decoded is not None
        self._settle(slot, await self._lane.write(response, slot.event, slot.decoded))

    def _settle(self, slot: Slot, reply: replies.Reply) -> None:
        slot.reply = reply
        slot.task = None
        self._leave(slot)
        if len(self._slots) == 1 or self._lane.drain.begun:
            self._flush()
        elif self._slots and self._slots[0].reply is not None:
            # Others may be ready in this turn, and one write does for all.
            self._flush_soon()

    def _leave(self, slot: Slot) -> None:
        """The server need not wait for this request any more."""
        if slot.is_open:
            slot.is_open = False
            self._lane.drain.leave()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write the answers whose turn it is."""
        self._flushing = False
        if self._transport is None:
            return
        pieces: list[Buffer] = []
        slots = self._slots
        drains = self._lane.drain.begun
        closes = False
        while slots and (reply := slots[0].reply) is not None:
            slot = slots.popleft()
            self._size -= len(slot.event.body)
            closes = (slot.closes or drains) and not slots
            pieces += replies.pieces(reply, self._lane.tails.get(closes=closes))
        self._write(pieces)
        if closes:
            self.close()
        elif self._stalled:
            # Not at once: who settles a batch must not be made to start the next one.
            self._loop.call_soon(self._advance)

    def _write(self, pieces: Sequence[Buffer]) -> None:
        assert self._transport is not None
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        elif sum(map(len, pieces)) <= _JOIN_BYTES:
            self._transport.write(b"".join(pieces))
        else:
            write_all(self._transport, pieces)

    def _pass(self, event: Passage) -> None:
        assert self._transport is not None
        application = self._application
        if application is None:
            application = self._application = self._lane.handler(self)
            application.connection_made(SharedTransport(self._transport, self))
        if event.begins:
            self._application_busy = True
            self.application_wrote = False
        application.data_received(bytes(event.data))

    def _refuse(self, event: Refusal) -> None:
        """Say why nothing more is read, and close."""
        self._end_with(replies.message(400, event.message))

    def _end_with(self, reply: replies.Reply) -> None:
        assert self._transport is not None
        self._ended = True
        self._framer.stop()
        application, self._application = self._application, None
        if application is not None:
            application.connection_lost(None)
        if not (self._application_busy and self.application_wrote):
            self._write(replies.pieces(reply, self._lane.tails.get(closes=True)))
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._linger = self._loop.call_later(_LINGER_SECONDS, self.close)
        else:
            self.close()
