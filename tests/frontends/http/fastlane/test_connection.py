"""One connection: its order, its pace and its end."""

import asyncio
import json
import socket

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferd.frontends.http.server import HttpServer


@pytest.fixture
def fast_lane():
    """Return that the server has its fast lane."""
    return True


async def test_answers_come_in_the_order_of_the_requests(connect, build, value_of):
    """Lane and application take turns on one connection, and nobody overtakes."""
    async with connect() as connection:
        connection.send(
            build.infer(1.0)
            + build.get()
            + build.infer(2.0)
            + build.infer(3.0, size=1000)
            + build.post(b"{}", path=b"/v2/repository/index")
            + build.get(b"/none")
            + build.infer(4.0)
        )
        assert value_of(await connection.response()) == 1.0
        assert (await connection.response())[2] == b""
        assert value_of(await connection.response()) == 2.0
        assert value_of(await connection.response()) == 3.0
        assert (await connection.response())[2].startswith(b"[{")
        assert (await connection.response())[0] == 404
        assert value_of(await connection.response()) == 4.0


async def test_a_cut_at_any_byte_changes_nothing(connect, build, value_of):
    """Requests may arrive in any two pieces."""
    stream = build.infer(1.0) + build.get() + build.infer(2.0)
    async with connect() as connection:
        for at in range(1, len(stream)):
            connection.send(stream[:at])
            # Two turns of the server's loop, which is ours: it has seen the first piece.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            connection.send(stream[at:])
            assert value_of(await connection.response()) == 1.0
            assert (await connection.response())[0] == 200
            assert value_of(await connection.response()) == 2.0


async def test_the_application_waits_for_the_lane(connect, build, dataplane):
    """A request of the application begins when those before it were answered."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(build.infer(1.0) + build.post(b"{}", path=b"/v2/repository/index"))
        await dataplane.started.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert dataplane.calls == []
        dataplane.gate.set()
        assert (await connection.response())[0] == 200
        assert (await connection.response())[0] == 200
    assert dataplane.calls == [("index", False)]


async def test_an_answer_does_not_wait_for_the_next_request(connect, build, dataplane, value_of):
    """What comes after a complete request may be late."""
    async with connect() as connection:
        connection.send(build.infer(1.0) + build.infer(2.0)[:-5])
        assert value_of(await connection.response()) == 1.0
        connection.send(build.infer(2.0)[-5:])
        assert value_of(await connection.response()) == 2.0


async def test_the_client_may_ask_to_close(connect, build, value_of):
    """After Connection: close the answer says so too, and nothing else is answered."""
    async with connect() as connection:
        connection.send(build.infer(1.0, b"Connection: close") + build.infer(2.0))
        answer = await connection.response()
        assert value_of(answer) == 1.0
        assert answer[1]["connection"] == "close"
        assert await connection.reader.read() == b""


async def test_the_application_may_close(connect, build):
    """What follows a request that the application ends the connection with is not answered."""
    async with connect() as connection:
        connection.send(build.get(b"/v2", b"Connection: close") + build.infer(1.0))
        assert (await connection.response())[1]["connection"] == "close"
        assert await connection.reader.read() == b""


async def test_a_client_that_leaves_cancels_its_requests(connect, build, dataplane):
    """Nothing is computed for nobody."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(build.infer(1.0))
        await dataplane.started.wait()
    await asyncio.wait_for(dataplane.cancelled.wait(), 10)


async def test_a_client_that_leaves_the_application_cancels_its_request(connect, dataplane, build):
    """The same holds for a request that the application answers."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(build.infer(1.0, b"Accept: text/event-stream"))
        await dataplane.started.wait()
    await asyncio.wait_for(dataplane.cancelled.wait(), 10)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v2/models/echo/infer HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"POST /v2/models/echo/infer HTTP/1.1\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nx",
        b"GET /v2 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"GET /v2 HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nX: " + b"y" * (33 << 10),
        b"rubbish\r\n\r\n",
    ],
)
async def test_ambiguous_requests_end_the_connection(connect, build, value_of, head):
    """The answers before it arrive, then 400, then nothing more."""
    async with connect() as connection:
        connection.send(build.infer(1.0) + head + build.infer(2.0))
        assert value_of(await connection.response()) == 1.0
        status, headers, body = await connection.response()
        assert status == 400
        assert headers["connection"] == "close"
        assert "error" in json.loads(body)
        assert await connection.reader.read() == b""


@pytest.mark.parametrize("size", [b"x", b"-1", b"0x1", b"1 1", b"+1", b""])
async def test_broken_chunks_end_the_connection(connect, build, size):
    """A body whose chunks cannot be read is refused, and what follows is not read."""
    head = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connect() as connection:
        connection.send(head + size + b"\r\nx\r\n0\r\n\r\n" + build.infer(2.0))
        assert (await connection.response())[0] == 400
        assert await connection.reader.read() == b""


async def test_every_kind_of_body_keeps_its_place(connect, build, value_of):
    """However a body comes, the connection goes on behind it, and answers stay in order."""
    requests = [
        build.infer(0.0),
        build.chunked(build.infer(1.0)),
        build.infer(2.0),
        build.compressed(build.infer(3.0)),
        build.chunked(build.compressed(build.infer(4.0, size=1000), "deflate")),
        build.infer(5.0, b"Expect: 100-continue"),
        build.chunked(build.infer(6.0, size=1000)),
        build.infer(7.0),
    ]
    async with connect() as connection:
        connection.send(b"".join(requests) + build.get(b"/none"))
        answers = [value_of(await connection.response()) for _ in requests]
        assert answers == list(range(len(requests)))
        assert (await connection.response())[0] == 404


async def test_the_application_reads_chunks_too(connect, build, dataplane):
    """Requests that are not the lane's may come in chunks, and the connection goes on."""
    index = build.chunked(build.post(b'{"ready": true}', path=b"/v2/repository/index"), 4)
    async with connect() as connection:
        connection.send(index + build.infer(1.0) + index)
        assert [(await connection.response())[0] for _ in range(3)] == [200] * 3
    assert dataplane.calls == [("index", True), ("index", True)]


async def test_the_rest_of_a_refused_body_is_dropped(connect, build):
    """A body that is too large is refused at once, and the answer gets through."""
    async with connect() as connection:
        body = bytes(2 << 20)
        connection.send(build.post(body)[: 1 << 20])
        status, headers, body = await connection.response()
        assert status == 400
        assert b"exceeds the maximum allowed input size" in body
        assert headers["connection"] == "close"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("accept", [b"*/*", b"text/event-stream"])
async def test_the_client_is_told_to_go_on(connect, build, value_of, chunked, accept):
    """Expect: 100-continue is answered before the body, and after the answers before it."""
    request = build.infer(1.0, b"Expect: 100-continue", b"Accept: " + accept)
    if chunked:
        request = build.chunked(request)
    head, end, body = request.partition(b"\r\n\r\n")
    async with connect() as connection:
        connection.send(build.infer(0.0) + head + end)
        assert value_of(await connection.response()) == 0.0
        async with asyncio.timeout(10):
            assert await connection.reader.readuntil(end) == b"HTTP/1.1 100 Continue\r\n\r\n"
        if accept == b"*/*":
            connection.send(body + build.infer(2.0))
            assert value_of(await connection.response()) == 1.0
            assert value_of(await connection.response()) == 2.0


async def test_a_client_with_too_much_is_not_told_to_go_on(connect, build):
    """A body that will not be read is refused without being asked for."""
    head, end, _ = build.post(bytes(2 << 20), b"Expect: 100-continue").partition(b"\r\n\r\n")
    async with connect() as connection:
        connection.send(head + end)
        status, headers, _ = await connection.response()
        assert (status, headers["connection"]) == (400, "close")


async def test_large_tensors_go_both_ways(connect, build):
    """Large binary bodies arrive as they were sent, one behind the other."""
    size = 200_000
    async with connect() as connection:
        connection.send(build.infer_binary(1.5, size=size) * 3)
        for _ in range(3):
            status, headers, body = await connection.response()
            assert status == 200
            assert body[int(headers["inference-header-content-length"]) :] == (
                b"\x00\x00\xc0\x3f" * size
            )


async def test_a_client_that_does_not_read_is_not_served(connect, build, dataplane, server):
    """Nothing piles up for a client that only sends: soon no further request is begun."""
    request = build.infer_binary(1.5, size=200_000)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, ("127.0.0.1", server.port))

    async def flood():
        # Without an end: how much the system's own buffers take is not known.
        while True:
            await loop.sock_sendall(slow, request)

    sending = asyncio.ensure_future(flood())
    async with asyncio.timeout(30), connect() as other:
        begun = -1
        while begun < len(dataplane.requests):
            begun = len(dataplane.requests)
            for value in range(50):
                other.send(build.infer(float(value)))
                await other.response()
            begun += 50
        assert not sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    slow.close()


_PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"\r\n",
            b"\r\n\r\n",
            b"POST /v2/models/echo/infer HTTP/1.1\r\n",
            b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
            b"Host: x\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n",
            b"Connection: close\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"0\r\n\r\n",
            b"5\r\nhello\r\n",
        ]
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(_PIECES, max_size=12))
def test_no_bytes_break_the_server(dataplane, pieces):
    """Whatever a client sends, it is answered or dropped, and the next client is served."""

    async def send(port, pieces):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            writer.write_eof()
            await reader.read()
        except OSError:
            pass  # being cut off is an answer, too
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def run():
        failures = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
        server = HttpServer(dataplane, address="127.0.0.1", port=0)
        await server.start()
        await asyncio.wait_for(send(server.port, pieces), 10)
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{server.port}/v2/health/live"
            async with session.get(url) as response:
                assert response.status == 200
        await asyncio.wait_for(server.stop(0.01), 10)
        assert failures == []

    asyncio.run(run())
