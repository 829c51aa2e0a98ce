"""
HTTP/2 under the gRPC frontend: grpclib 0.4.9's protocol with its defects repaired.

What differs from grpclib: unknown frames and empty DATA frames are harmless, header
bytes that are not ASCII do not end the connection, a protocol error is told to the peer,
no exception leaves ``data_received``, everything written in one turn of the loop leaves
in one write, a message is sent from several buffers without joining them first, a peer
that resets calls without end is hung up on, and one that does not read is not read from.

The classes reach below grpclib's public surface; that is why its version is pinned.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from grpclib.config import Configuration
from grpclib.protocol import AbstractHandler, Connection, EventsProcessor, H2Protocol, Stream
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamReset
from h2.exceptions import ProtocolError
from h2.frame_buffer import FrameBuffer
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from inferd.frontends.grpc.inbox import Inbox
from inferd.frontends.grpc.keepalive import KeepaliveSettings, PingStrikes, Traffic
from inferd.frontends.grpc.reset_budget import ResetBudget
from inferd.protocol.wire import Buffer

log = logging.getLogger(__name__)

FRAME_BYTES: Final = 1 << 20
"""Largest DATA frame taken; 1 MiB costs h2 about 2 ms in one frame and 3.5 ms in 16 KiB ones."""

STREAM_WINDOW_BYTES: Final = 8 << 20
"""Unread bytes per call: keeps 10 Gb/s busy over a round trip of several milliseconds."""

CONNECTION_WINDOW_BYTES: Final = 32 << 20
"""Unread bytes per connection: a few large uploads at once, and the most one peer can pin."""

MAX_CONCURRENT_STREAMS: Final = 1024
"""Calls per connection; a channel with more in flight queues them at the client."""

_INITIAL_WINDOW_BYTES: Final = 65_535
"""What a connection's window starts from, RFC 9113 section 6.9.2."""

_WRITE_BYTES: Final = 1 << 18
"""Pending output that is written at once rather than at the end of the turn."""

_H2_CONFIG: Final = H2Configuration(
    client_side=False,
    # Every byte is a Latin-1 character, so no header can fail to decode; metadata that is
    # not ASCII is refused by the call, which can still be answered.
    header_encoding="latin-1",
    # A malformed header block would end the connection; the handler resets the call instead.
    validate_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_inbound_headers=False,
    normalize_outbound_headers=False,
)


class CombinedWrites(asyncio.Transport):
    """
    A transport whose writes of one turn of the loop leave together.

    Args:
        transport: Where they go.
        loop: The running loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._pending: list[Buffer] = []
        self._size = 0

    def write(self, data: Buffer) -> None:
        """Write at the end of this turn, or now when much is pending."""
        self._pending.append(data)
        self._size += len(data)
        if self._size >= _WRITE_BYTES:
            self.flush()
        elif len(self._pending) == 1:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is pending."""
        if self._pending and not self._transport.is_closing():
            self._transport.write(b"".join(self._pending))
        self._pending.clear()
        self._size = 0

    def is_closing(self) -> bool:
        """Whether the transport is closing or closed."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Receive nothing more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on receiving."""
        self._transport.resume_reading()

    def close(self) -> None:
        """Write what is pending and close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


class CallStream(Stream):
    """One HTTP/2 stream: a call's bytes in both directions."""

    def init_stream(self, stream_id: int, connection: Connection) -> None:
        """Give the stream its id and its inbox."""
        super().init_stream(stream_id, connection)
        self.buffer = Inbox(self.buffer._ack_callback)

    async def send_buffers(self, buffers: Sequence[Buffer]) -> None:
        """Send the buffers one after the other as DATA frames, as flow control allows."""
        assert self.id is not None
        views = deque(memoryview(buffer) for buffer in buffers)
        left = sum(map(len, views))
        while left:
            await self.connection.write_ready.wait()
            window = self._h2_connection.local_flow_control_window(self.id)
            if window <= 0:
                self.window_updated.clear()
                await self.window_updated.wait()
                continue
            size = min(window, self._h2_connection.max_outbound_frame_size, left)
            self._h2_connection.send_data(self.id, _take(views, size))
            self._transport.write(self._h2_connection.data_to_send())
            self.connection.data_send_process()
            left -= size


def _take(views: deque[memoryview], size: int) -> bytes | memoryview:
    """Remove ``size`` bytes from the front of ``views`` and return them."""
    pieces: list[memoryview] = []
    while size:
        view = views.popleft()
        if len(view) > size:
            views.appendleft(view[size:])
            view = view[:size]
        pieces.append(view)
        size -= len(view)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class TooManyPings(Exception):
    """The peer pings more often than it may."""


class ServerConnection(Connection):
    """
    A connection whose streams are :class:`CallStream`, and which can be flushed when closed.

    Attributes:
        sent: As in :class:`~inferd.frontends.grpc.keepalive.Traffic`.
    """

    sent = 0

    def create_stream(self, *, stream_id: int | None = None, wrapper: Any = None) -> CallStream:
        """Make the stream of a new call."""
        return CallStream(
            self, self._connection, self._transport, stream_id=stream_id, wrapper=wrapper
        )

    def flush(self) -> None:
        """Write what h2 has to send; nothing once the connection is closed."""
        if not self.is_closing():
            super().flush()

    def say_goodbye(self, code: ErrorCodes = ErrorCodes.NO_ERROR, reason: bytes = b"") -> None:
        """Tell the peer that the connection ends, and close it when that is written."""
        if not self.is_closing():
            self._connection.close_connection(code, reason)
            self.flush()
            self.close()

    def announce_end(self, last_stream_id: int) -> None:
        """Tell the peer that calls above a number are not served."""
        if not self.is_closing():
            # h2 has no GOAWAY that leaves the connection usable.
            self._transport.write(GoAwayFrame(last_stream_id=last_stream_id).serialize())

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        if not self.is_closing():
            self._connection.ping(bytes(8))
            self.flush()

    def ack(self, stream_id: int, size: int) -> None:
        """Return flow-control credit."""
        if size:
            self.flush()
            self._connection.acknowledge_received_data(size, stream_id)
            credit = self._connection.data_to_send()
            if credit:
                self.sent += 1
                self._transport.write(credit)

    def headers_send_process(self) -> None:
        """Note that headers were sent."""
        self.sent += 1

    def data_send_process(self) -> None:
        """Note that data was sent."""
        self.sent += 1


class Processor(EventsProcessor):
    """
    Acts on h2's events; those it does not know are ignored, as RFC 9113 section 4.1 asks.

    Args:
        handler: Serves the connection's calls.
        connection: The connection.
        strikes: Counts the peer's pings.
    """

    connection: ServerConnection

    def __init__(
        self, handler: AbstractHandler, connection: ServerConnection, strikes: PingStrikes
    ) -> None:
        super().__init__(handler, connection)
        self._strikes = strikes

    def process_ping_received(self, event: Any) -> None:
        """
        Count a ping; h2 has answered it.

        Raises:
            TooManyPings: The connection has to end.
        """
        now_ns = time.monotonic_ns()
        if self._strikes.is_too_many(now_ns, len(self.streams), self.connection.sent):
            raise TooManyPings

    def process(self, event: Any) -> None:
        """Act on one event; nothing happens after the connection is closed."""
        act = getattr(self, "processors", {}).get(type(event))
        if act is not None:
            act(event)


class ServerProtocol(H2Protocol):
    """
    One client connection.

    Args:
        handler: Serves the connection's calls.
        on_made: Called with this object when the connection is up.
        on_lost: Called with this object when it is gone.
        keepalive: When a peer that pings is turned away.
    """

    connection: ServerConnection
    transport: CombinedWrites

    def __init__(
        self,
        handler: AbstractHandler,
        on_made: Callable[[Any], object],
        on_lost: Callable[[Any], object],
        keepalive: KeepaliveSettings,
    ) -> None:
        super().__init__(handler, Configuration().__for_server__(), _H2_CONFIG)
        self._on_made = on_made
        self._on_lost = on_lost
        self._strikes = PingStrikes(keepalive)
        self._heard_ns = time.monotonic_ns()
        self._resets = ResetBudget()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer with this server's settings."""
        h2_connection = _h2_connection()
        self.transport = CombinedWrites(
            cast("asyncio.Transport", transport), asyncio.get_running_loop()
        )
        self.connection = ServerConnection(h2_connection, self.transport, config=self.config)
        self.connection.flush()
        self.connection.initialize()
        self.processor = Processor(self.handler, self.connection, self._strikes)
        self._on_made(self)

    def traffic(self) -> Traffic:
        """Return what was seen on the connection."""
        return Traffic(self._heard_ns, len(self.processor.streams), self.connection.sent)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the peer; whatever goes wrong ends this connection only."""
        self._heard_ns = time.monotonic_ns()
        try:
            events = self.connection.feed(data)
            resets = sum(type(event) is StreamReset for event in events)
            if resets and not self._resets.spend(resets, time.monotonic_ns()):
                self.connection.say_goodbye(ErrorCodes.ENHANCE_YOUR_CALM)
                self.processor.close("too many calls given up")
                return
            self.connection.flush()
            for event in events:
                self.processor.process(event)
            self.connection.flush()
        except ProtocolError:
            log.debug("HTTP/2 protocol error", exc_info=True)
            self.connection.flush()  # h2 has prepared a GOAWAY that says which
            self.processor.close("protocol error")
        except TooManyPings:
            self.connection.say_goodbye(ErrorCodes.ENHANCE_YOUR_CALM, b"too_many_pings")
            self.processor.close("too many pings")
        except Exception:
            log.exception("gRPC connection failed")
            self.processor.close("internal error")

    def pause_writing(self) -> None:
        """Take nothing more from a peer that does not read: each ping would be kept for it."""
        super().pause_writing()
        if not self.connection.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if not self.connection.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the calls of the connection."""
        super().connection_lost(exc)
        self._on_lost(self)


class FrameSource(FrameBuffer):
    """
    Splits received bytes into frames.

    h2 formats every frame for a log it does not write, which costs 6 ms for each MiB of
    DATA; the frames handed out here have nothing to format.
    """

    def __next__(self) -> Frame:
        frame = super().__next__()
        frame._body_repr = _no_body  # type: ignore[method-assign]
        return frame


def _no_body() -> str:
    return "..."


def _h2_connection() -> H2Connection:
    """Make h2's side of a connection with our settings in force from the first byte."""
    connection = H2Connection(config=_H2_CONFIG)
    connection.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_CONCURRENT_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
            SettingCodes.MAX_FRAME_SIZE: FRAME_BYTES,
        },
    )
    # h2 raises its own limit only when the peer acknowledges the settings, and only from
    # the next read on: a large frame in the same read as the acknowledgement would end
    # the connection.
    connection.max_inbound_frame_size = FRAME_BYTES
    connection.incoming_buffer = FrameSource(server=True)
    connection.initiate_connection()
    connection.increment_flow_control_window(CONNECTION_WINDOW_BYTES - _INITIAL_WINDOW_BYTES)
    return connection
