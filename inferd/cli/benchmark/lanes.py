"""
Connections that carry a load: they send requests made beforehand and time the answers.

The time of a request that is sent because another was answered begins right before it is
written; that of a request of a rate begins when it is due. It ends when the bytes that
complete the answer have been received.
"""

import asyncio
import itertools
import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import Protocol, cast

from inferd.cli.benchmark.http1 import ProtocolError, ResponseReader
from inferd.cli.benchmark.http2 import MESSAGE, GrpcConnection
from inferd.cli.benchmark.plan import Plan
from inferd.cli.benchmark.sequences import LiveSequence, Sequences
from inferd.cli.benchmark.stream_messages import read_response
from inferd.cli.clients.http_errors import error_text

NOW = -1
"""The due time of a request that has none."""


class Load(Protocol):
    """What lanes report to, and are given work by."""

    sequences: Sequences | None

    def next_due(self) -> int | None:
        """Return when the next request is due, ``NOW``, or ``None`` when there is none."""

    def answered(self, latency_ns: int, responses: int, first_ns: int) -> None:
        """Count a request that was answered well."""

    def failed(self, message: str) -> None:
        """Count a request that failed."""

    def lost(self, lane: "Lane") -> None:
        """Learn that a lane's connection has ended."""

    def checked(self) -> None:
        """Learn that requests were finished."""


class Lane(asyncio.Protocol):
    """
    One connection.

    Args:
        load: Where its requests come from.
        plan: What is sent where.
        limit: How many requests may be in flight on it.
    """

    def __init__(self, load: Load, plan: Plan, limit: int) -> None:
        self.limit = limit
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._requests: Iterator[bytes] = itertools.cycle(plan.requests)
        self._sequences = load.sequences
        self._alive: dict[int, LiveSequence] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Fail what is in flight."""
        self._transport = None
        message = f"the connection was lost: {error or 'closed by the server'}"
        if not self.connected.done():
            self.connected.set_exception(ConnectionError(message))
        self._fail(message)
        self._load.lost(self)
        self._load.checked()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, message: str) -> None:
        """Fail what is in flight."""
        for _ in range(self.in_flight):
            self._load.failed(message)
        for stream in list(self._alive):
            self._give_up(stream)
        self._forget()

    def _next(self, stream: int) -> bytes:
        """Return the next request; with sequences, remember whose it is."""
        if self._sequences is None:
            return next(self._requests)
        self._alive[stream], request = self._sequences.take()
        return request

    def _go_on(self, stream: int) -> None:
        """Let a sequence's next request be sent."""
        if self._sequences is not None:
            self._sequences.answered(self._alive.pop(stream))

    def _give_up(self, stream: int) -> None:
        """Give up the sequence whose request failed."""
        if self._sequences is not None and stream in self._alive:
            self._sequences.failed(self._alive.pop(stream))

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """How many requests are not answered yet."""

    @property
    @abstractmethod
    def free(self) -> int:
        """How many further requests can be sent now."""

    @abstractmethod
    def fill(self) -> None:
        """Send requests while there are some and the lane is free."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop the requests in flight."""


class HttpLane(Lane):
    """One HTTP/1.1 connection with one request in flight."""

    def __init__(self, load: Load, plan: Plan, limit: int) -> None:
        super().__init__(load, plan, 1)
        self._reader = ResponseReader()
        self._started: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        super().connection_made(transport)
        self.connected.set_result(None)

    @property
    def in_flight(self) -> int:
        """0 or 1."""
        return self._started is not None

    @property
    def free(self) -> int:
        """1 when nothing is in flight."""
        return self._transport is not None and self._started is None

    def fill(self) -> None:
        """Send a request if there is one."""
        if self._transport is None or self._started is not None:
            return
        due = self._load.next_due()
        if due is not None:
            request = self._next(0)
            self._started = time.perf_counter_ns() if due == NOW else due
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count the answer and send the next request."""
        now = time.perf_counter_ns()
        try:
            complete = self._reader.receive(data)
        except ProtocolError as error:
            self._fail(str(error))
            self.close()
            return
        if not complete or self._started is None:
            return
        latency = now - self._started
        self._started = None
        if self._reader.status == 200:
            self._load.answered(latency, 1, latency)
            self._go_on(0)
        else:
            self._load.failed(error_text(self._reader.status, self._reader.body))
            self._give_up(0)
        if self._reader.closes:
            self.close()
        else:
            self.fill()
        self._load.checked()

    def _forget(self) -> None:
        self._started = None


class GrpcLane(Lane):
    """One HTTP/2 connection with a stream per request."""

    def __init__(self, load: Load, plan: Plan, limit: int) -> None:
        super().__init__(load, plan, limit)
        self._wire = GrpcConnection(
            plan.authority,
            plan.path,
            plan.headers,
            scheme="https" if plan.tls else "http",
            keep_messages=plan.streaming,
        )
        self._started: dict[int, int] = {}
        self._fresh: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface; the lane is ready when the server's settings have come."""
        super().connection_made(transport)
        self._flush()

    @property
    def in_flight(self) -> int:
        """The requests without an answer."""
        return len(self._started)

    @property
    def free(self) -> int:
        """What the limit and the server leave."""
        if self._transport is None or not self._wire.settled or self._wire.going:
            return 0
        return min(self.limit, self._wire.max_streams) - len(self._started)

    def fill(self) -> None:
        """Send requests while there are some and the lane is free, in one write."""
        for _ in range(self.free):
            due = self._load.next_due()
            if due is None:
                break
            stream = self._send()
            self._started[stream] = due
            if due == NOW:
                self._fresh.append(stream)
        self._flush()

    def _send(self) -> int:
        stream = self._wire.open()
        self._wire.send(stream, self._next(stream), end=True)
        return stream

    def data_received(self, data: bytes) -> None:
        """Count the answers and send the next requests."""
        now = time.perf_counter_ns()
        try:
            events = self._wire.receive(data)
        except ProtocolError as error:
            self._fail(str(error))
            self.close()
            return
        for stream, kind, value in events:
            self._event(stream, kind, value, now)
        if not self.connected.done() and self._wire.settled:
            self.connected.set_result(None)
        self.fill()
        if self._wire.going and not self._started:
            self.close()
        if events:
            self._load.checked()

    def _event(self, stream: int, kind: int, value: bytes | str, now: int) -> None:
        started = self._started.pop(stream)
        if value:
            self._load.failed(str(value))
            self._give_up(stream)
        else:
            self._load.answered(now - started, 1, now - started)
            self._go_on(stream)

    def _flush(self) -> None:
        output = self._wire.output
        if not output or self._transport is None:
            return
        if self._fresh:
            now = time.perf_counter_ns()
            for stream in self._fresh:
                self._started[stream] = now
            self._fresh.clear()
        self._transport.write(b"".join(output))
        output.clear()

    def _forget(self) -> None:
        self._started.clear()
        self._fresh.clear()


class StreamLane(GrpcLane):
    """One HTTP/2 connection with calls of ``ModelStreamInfer``, a request at a time on each."""

    def __init__(self, load: Load, plan: Plan, limit: int) -> None:
        super().__init__(load, plan, limit)
        self._decoupled = plan.decoupled
        self._idle: list[int] = []
        self._responses: dict[int, tuple[int, int]] = {}

    def _send(self) -> int:
        stream = self._idle.pop() if self._idle else self._wire.open()
        self._wire.send(stream, self._next(stream), end=False)
        return stream

    def _event(self, stream: int, kind: int, value: bytes | str, now: int) -> None:
        if kind != MESSAGE:
            self._ended(stream, str(value))
            return
        started = self._started.get(stream)
        if started is None:
            return
        response = read_response(cast("bytes", value))
        count, first = self._responses.get(stream, (0, now - started))
        count += response.has_outputs or not self._decoupled
        if response.error:
            self._load.failed(response.error)
            self._give_up(stream)
        elif self._decoupled and not response.is_final:
            self._responses[stream] = (count, first)
            return
        else:
            self._load.answered(now - started, count, first)
            self._go_on(stream)
        del self._started[stream]
        self._responses.pop(stream, None)
        self._idle.append(stream)

    def _ended(self, stream: int, error: str) -> None:
        self._responses.pop(stream, None)
        if stream in self._idle:
            self._idle.remove(stream)
        if self._started.pop(stream, None) is not None:
            self._give_up(stream)
            self._load.failed(error or "the server ended the stream before its answer")
