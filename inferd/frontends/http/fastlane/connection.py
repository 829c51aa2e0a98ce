"""
One HTTP connection, whose inference requests take the fast lane.

It owns the transport. Inference requests whose JSON is short run side by side, as many as
the client sent, and are answered in order; anything else waits until the connection is
idle, and what follows waits for it.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final, cast

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
from inferd.frontends.http.fastlane.lane import Lane
from inferd.frontends.http.fastlane.pipeline import Pipeline
from inferd.frontends.http.fastlane.watch import BUSY, Sight, Watch
from inferd.frontends.http.inference import JOIN_BYTES
from inferd.listening.byte_ledger import Claim
from inferd.listening.writing import write_all
from inferd.protocol.tensors import Buffer

_BUFFER_BYTES: Final = 1 << 16
"""Reading pauses when so many bytes wait for earlier requests to be answered."""

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
        "_claim",
        "_ended",
        "_framer",
        "_held",
        "_lane",
        "_linger",
        "_loop",
        "_pipeline",
        "_reading",
        "_received",
        "_spinner",
        "_stalled",
        "_transport",
        "_watch",
        "_writable",
        "application_wrote",
    )

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._loop = asyncio.get_running_loop()
        self._claim = Claim(lane.ledger) if lane.ledger is not None else None
        self._framer = Framer(lane.max_body, lane.limits, self._claim)
        self._transport: asyncio.Transport | None = None
        self._application: ApplicationHandler | None = None
        self._application_busy = False
        self._application_holds = False
        self._pipeline = Pipeline(lane, self, self._claim)
        self._held: Event | None = None
        self._ended = False
        self._reading = True
        self._stalled = False
        self._writable = True
        self._linger: asyncio.TimerHandle | None = None
        self._spinner = lane.spinner
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
        if self._claim is not None:
            self._claim.release()
        if self._application is not None:
            self._application.connection_lost(exc)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Give the requests in the lane up, and return the tasks that end with that."""
        return self._pipeline.cancel()

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
        if self._ended or self._pipeline.slots or self._held is not None or not self._reading:
            return BUSY
        framer = self._framer
        if framer.in_body:
            return Sight("body", self._received)
        if self._application_busy:
            return BUSY
        return Sight("head" if framer.buffered else "idle", framer.heads)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._spinner.heard()
        self._received += len(data)
        if self._ended and not self._framer.passing:
            return
        self._framer.receive(data)
        self._advance()
        self._pipeline.end_turn()

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
            if not (self._infer(event) if type(event) is Inference else self._act(event)):
                self._held = event
                is_stalled = True
                break
            if self._framer.is_drained:
                break
        self._stalled = is_stalled
        if is_stalled or not self._reading:
            self._pace()

    def _may_act(self) -> bool:
        if self._writable and not self._ended and not self._application_busy:
            return self._pipeline.takes_more
        return self._framer.passing and self._held is None

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
        """Act on what comes next, other than an inference; return whether it was its turn."""
        if self._pipeline.slots:
            return False
        if isinstance(event, Passage):
            self._pass(event)
        elif isinstance(event, Expectation):
            self._write((_CONTINUE,))
        elif isinstance(event, Refusal):
            self._end_with(replies.message(event.status, event.message))
        return True

    def _infer(self, event: Inference) -> bool:
        if not event.is_prompt and self._pipeline.slots:
            return False
        self._ended = not event.head.keep_alive
        self._pipeline.begin(event)
        return True

    def send(self, pieces: Sequence[Buffer], *, closes: bool) -> None:
        """Write answers, and close behind them if told so; does nothing once it is closed."""
        if self._transport is None:
            return
        self._write(pieces)
        if closes:
            self.close()
        elif self._stalled:
            # Not at once: who settles a batch must not be made to start the next one.
            self._loop.call_soon(self._advance)

    def _write(self, pieces: Sequence[Buffer]) -> None:
        assert self._transport is not None
        self._spinner.answered()
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        elif sum(map(len, pieces)) <= JOIN_BYTES:
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

    def _end_with(self, reply: replies.Reply) -> None:
        """Say why nothing more is read, and close."""
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
