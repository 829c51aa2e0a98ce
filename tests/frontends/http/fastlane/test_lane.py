"""One inference through the lane, and that nobody can tell it from the application's."""

import asyncio
import logging
import re

import pytest

from inferd.frontends.http.server import HttpServer


@pytest.fixture
def fast_lane():
    """Return that the server has its fast lane."""
    return True


async def _exchange(dataplane, request, *, fast_lane):
    server = HttpServer(
        dataplane, address="127.0.0.1", port=0, max_input_size=1 << 20, fast_lane=fast_lane
    )
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(re.search(rb"Content-Length: (\d+)", head)[1])
        body = await reader.readexactly(size)
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    await server.stop(0.01)
    return re.sub(rb"Date: [^\r]+", b"Date: now", head) + body


@pytest.mark.parametrize(
    "name",
    [
        "json",
        "binary",
        "large",
        "gzip",
        "close",
        "deadline",
        "broken",
        "invalid",
        "unknown",
        "nested",
        "id",
        "outputs",
        "infinite",
        "big integer",
        "not utf-8",
        "chunked",
        "chunked binary",
        "empty chunked",
        "compressed",
        "deflated",
        "compressed and chunked",
        "compressed and large",
        "compressed both ways",
        "cut short",
        "expands to too much",
        "other encoding",
        "too large",
        "much JSON",
        "much JSON for little",
    ],
)
async def test_both_ways_answer_the_same_bytes(dataplane, build, name):
    """Status, headers, their order and the body are the same with and without the lane."""
    with_lane = await _exchange(dataplane, _request(build, name), fast_lane=True)
    assert with_lane == await _exchange(dataplane, _request(build, name), fast_lane=False)


_BODY = b'{"inputs":[{"name":"IN","datatype":"FP32","shape":[2],"data":[1,2]}]}'


def _request(build, name):
    large = build.infer(1.5, size=30_000)
    return {
        "json": build.infer(1.5),
        "binary": build.infer_binary(1.5),
        "large": build.infer_binary(1.5, size=100_000),
        "gzip": build.infer(1.5, b"Accept-Encoding: gzip"),
        "close": build.infer(1.5, b"Connection: close"),
        "deadline": build.infer(1.5, b"inferd-timeout-ms: 60000"),
        "broken": build.post(b"{"),
        "invalid": build.post(_BODY.replace(b"1,2", b"1")),
        "unknown": build.post(b"{", path=b"/v2/models/none/infer"),
        "nested": build.post(_BODY.replace(b"1,2", b"[1],[2]")),
        "id": build.post(_BODY.replace(b"{", b'{"id":"7",', 1)),
        "outputs": build.post(_BODY.replace(b"{", b'{"outputs":[{"name":"IN"}],', 1)),
        "infinite": build.post(_BODY.replace(b"1,2", b"NaN,-Infinity")),
        "big integer": build.post(
            _BODY.replace(b"1,2", b"1" + b"0" * 30 + b",18446744073709551616")
        ),
        "not utf-8": build.post(_BODY.replace(b"{", b'{"id":"\xff",', 1)),
        "chunked": build.chunked(build.infer(1.5)),
        "chunked binary": build.chunked(build.infer_binary(1.5, size=1000), 100),
        "empty chunked": build.chunked(build.post(b"")),
        "compressed": build.compressed(build.infer(1.5)),
        "deflated": build.compressed(build.infer(1.5), "deflate"),
        "compressed and chunked": build.chunked(build.compressed(build.infer(1.5))),
        "compressed and large": build.compressed(large),
        "compressed both ways": build.compressed(build.infer(1.5, b"Accept-Encoding: deflate")),
        "cut short": build.post(b"\x1f\x8b", b"Content-Encoding: gzip"),
        "expands to too much": build.compressed(build.post(bytes(2 << 20))),
        "other encoding": build.post(_BODY, b"Content-Encoding: br"),
        "too large": build.chunked(build.post(bytes((1 << 20) + 1)), (1 << 20) + 1),
        "much JSON for little": build.infer_binary(1.5, size=100_000, binary_output=False),
        "much JSON": build.infer(1.5, size=100_000),
    }[name]


async def test_an_unforeseen_error_is_logged(connect, build, dataplane, caplog):
    """A bug is answered without details, which are in the log."""
    dataplane.failure = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR):
        async with connect() as connection:
            connection.send(build.infer(1.0))
            status, _, body = await connection.response()
    assert (status, body) == (500, b'{"error":"internal error"}')
    assert "ZeroDivisionError: secret" in caplog.text


async def test_a_request_is_taken_back_at_its_deadline(connect, build, dataplane):
    """The client is told when its time is up, and the model is not bothered any more."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(build.infer(1.0, b"inferd-timeout-ms: 1"))
        status, _, body = await connection.response()
    assert (status, body) == (504, b'{"error":"Deadline Exceeded"}')
    assert dataplane.cancelled.is_set()
    assert dataplane.requests[0].deadline_ns == dataplane.requests[0].received_ns + 1_000_000


async def test_new_requests_are_refused_at_the_end(connect, build, dataplane, server):
    """During the drain a new inference gets 503, the running one its answer."""
    dataplane.gate = asyncio.Event()
    async with connect() as busy, connect() as idle:
        idle.send(build.get())
        await idle.response()
        busy.send(build.infer(1.0) + build.infer(2.0))
        await dataplane.started.wait()
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(server.stop(10))
        await asyncio.sleep(0)
        idle.send(build.infer(3.0))
        status, headers, body = await idle.response()
        assert (status, body) == (503, b'{"error":"Server exiting"}')
        assert headers["connection"] == "close"
        dataplane.gate.set()
        first, second = await busy.response(), await busy.response()
        assert (first[0], second[0]) == (200, 200)
        assert "connection" not in first[1]
        assert second[1]["connection"] == "close"
        await stopping
