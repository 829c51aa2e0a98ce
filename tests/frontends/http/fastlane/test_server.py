"""The connections of a server with its fast lane, and how long they may last."""

import asyncio
import json
import socket

import pytest

from inferd.frontends.http import bodies
from inferd.frontends.http.drain import Drain
from inferd.frontends.http.fastlane.server import LaneServer
from inferd.frontends.http.limits import Limits
from inferd.frontends.http.server import HttpServer
from inferd.listening.spinner import Spinner

_LONG = 3600.0


class Serving:
    """A server, and its clients."""

    def __init__(self):
        self.server = None
        self.port = 0
        self.handled = 0
        self.clients = []
        self.application_started = asyncio.Event()
        self.application_cancelled = asyncio.Event()

    async def connect(self):
        """Return a new client."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        return reader, writer

    async def close(self):
        """Close the clients, then the server's side."""
        for writer in self.clients:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await self.server.shutdown(0.01)

    async def handle(self, request):
        """Read the body and answer nothing, as the application."""
        self.handled += 1
        self.application_started.set()
        try:
            await bodies.read(request, 1 << 20)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.application_cancelled.set()
            raise


@pytest.fixture
async def serve(dataplane):
    """Return a function that starts a server with these limits."""
    opened = []

    async def start(**limits):
        times = {"head_seconds": _LONG, "body_seconds": _LONG, "idle_seconds": _LONG, **limits}
        serving = Serving()
        serving.server = LaneServer(
            serving.handle,
            dataplane,
            max_input_size=64 << 20,
            limits=Limits(**times),
            drain=Drain(),
            access_log=None,
            handler_cancellation=True,
        )
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(serving.server, "127.0.0.1", 0)
        serving.port = listening.sockets[0].getsockname()[1]
        opened.append((serving, listening))
        return serving

    yield start
    for serving, listening in opened:
        listening.close()
        await serving.close()


async def _everything(reader):
    async with asyncio.timeout(10):
        return await reader.read()


async def test_silent_connections_are_closed(serve):
    """A client that says nothing does not keep its connection for ever."""
    serving = await serve(idle_seconds=0.001)
    reader, _ = await serving.connect()
    assert await _everything(reader) == b""


async def test_waiting_connections_are_kept(serve, build, dataplane):
    """A client that waits for its answer may be silent, whoever answers it."""
    serving = await serve(head_seconds=0.001, body_seconds=0.001, idle_seconds=0.001)
    dataplane.gate = asyncio.Event()
    reader, writer = await serving.connect()
    asking, asking_writer = await serving.connect()
    writer.write(build.infer(1.0))
    asking_writer.write(build.get())
    async with asyncio.timeout(10):
        await dataplane.started.wait()
        await serving.application_started.wait()
    silent, _ = await serving.connect()
    assert await _everything(silent) == b""
    assert not asking.at_eof()
    dataplane.gate.set()
    async with asyncio.timeout(10):
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"


def _timed_out(answer, part):
    head, _, body = answer.partition(b"\r\n\r\n")
    return (
        head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        and b"\r\nConnection: close" in head
        and json.loads(body)["error"].endswith(part)
    )


async def test_a_head_that_does_not_end_is_given_up(serve, build):
    """Whoever begins a request has to say all of its head in time."""
    serving = await serve(head_seconds=0.001)
    reader, writer = await serving.connect()
    writer.write(build.infer(1.0) + build.get()[:-2])
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    assert _timed_out(await _everything(reader), "request's head")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", [b"/v2/models/echo/infer", b"/other"])
async def test_a_body_that_stops_is_given_up(serve, build, dataplane, chunked, path):
    """Whoever announces a body has to send it, whoever would read it."""
    serving = await serve(body_seconds=0.001)
    reader, writer = await serving.connect()
    request = build.post(b"x" * 10, path=path)[:-1]
    if chunked:
        request = request.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked")
        request = request.replace(b"\r\n\r\n", b"\r\n\r\na\r\n")
    writer.write(request)
    assert _timed_out(await _everything(reader), "request's body")
    assert dataplane.requests == []
    if path == b"/other":
        async with asyncio.timeout(10):
            await serving.application_cancelled.wait()


@pytest.mark.parametrize("path", [b"/v2/models/echo/infer", b"/other"])
async def test_a_client_that_waits_too_long_after_it_was_told_to_go_on(serve, build, path):
    """Expect: 100-continue is no way to wait for ever, and has a proper answer."""
    # Long enough for the application to say so before, on a machine that is busy.
    serving = await serve(body_seconds=0.2)
    reader, writer = await serving.connect()
    writer.write(build.post(b"xy", b"Expect: 100-continue", path=path)[:-2])
    answer = await _everything(reader)
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(interim)
    assert _timed_out(answer.removeprefix(interim), "request's body")


async def test_what_follows_a_stalled_body_is_not_read(serve, build, dataplane):
    """After the refusal the connection is over, even if the client goes on."""
    serving = await serve(body_seconds=0.001)
    reader, writer = await serving.connect()
    body = build.get()
    writer.write(build.post(body, path=b"/other").removesuffix(body))
    async with asyncio.timeout(10):
        await reader.readuntil(b'body"}')
    writer.write(body + build.infer(1.0))
    assert await _everything(reader) == b""
    other, other_writer = await serving.connect()
    other_writer.write(build.infer(2.0))
    async with asyncio.timeout(10):
        assert await other.readline() == b"HTTP/1.1 200 OK\r\n"
    assert (len(dataplane.requests), serving.handled) == (1, 1)


async def test_a_client_that_does_not_read_is_given_up(serve, build):
    """An answer that nobody takes is not kept for ever."""
    serving = await serve(body_seconds=0.001)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, ("127.0.0.1", serving.port))

    async def flood():
        while True:  # how much the system's own buffers take is not known
            await loop.sock_sendall(slow, request)

    request = build.infer_binary(1.5, size=1_000_000)
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(flood(), 30)
    slow.close()


async def test_a_broken_chunk_ends_what_the_application_does(serve, build):
    """A body that breaks off behind its first chunks does not leave its request waiting."""
    serving = await serve()
    reader, writer = await serving.connect()
    request = build.post(b"", path=b"/other")
    request = request.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    writer.write(request + b"1\r\nx\r\n")
    async with asyncio.timeout(10):
        await serving.application_started.wait()
    writer.write(b"y\r\n" + build.infer(1.0))
    answer = await _everything(reader)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    async with asyncio.timeout(10):
        await serving.application_cancelled.wait()


async def test_the_end_cancels_what_is_left(serve, build, dataplane):
    """Requests that are still running are cancelled and their connections closed."""
    serving = await serve()
    dataplane.gate = asyncio.Event()
    reader, writer = await serving.connect()
    writer.write(build.infer(1.0))
    async with asyncio.timeout(10):
        await dataplane.started.wait()
    await serving.server.shutdown(0.01)
    async with asyncio.timeout(10):
        await dataplane.cancelled.wait()
    assert await _everything(reader) == b""


async def test_the_loop_stays_awake_after_an_answer(dataplane, build):
    """With --busy-poll-us input is looked for after an answer over HTTP, too."""
    times = iter(range(0, 1_000_000_000, 400))
    seen = []

    def clock():
        seen.append(next(times))
        return seen[-1]

    server = HttpServer(dataplane, address="127.0.0.1", port=0, spinner=Spinner(1, clock_ns=clock))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(build.infer(1.0))
    async with asyncio.timeout(10):
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0)
    assert seen == [0, 400, 800, 1200]
    writer.close()
    await writer.wait_closed()
    await server.stop(0.01)
