"""The life of a server: its port, its connections and its end."""

import asyncio
import json

import aiohttp
import pytest

from inferd.frontends.http.server import HttpServer

_BODY = b'{"inputs":[{"name":"IN","datatype":"FP32","shape":[1],"data":[%d]}]}'


def _request(value):
    body = _BODY % value
    head = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def test_pipelined_requests_are_answered_in_order(connect):
    """A client may send requests without waiting, and gets the answers in order."""
    async with connect() as connection:
        connection.send(b"".join(_request(value) for value in range(5)))
        answers = [json.loads((await connection.response())[2]) for _ in range(5)]
    assert [answer["outputs"][0]["data"] for answer in answers] == [[float(n)] for n in range(5)]


async def test_the_connection_survives_an_error(connect):
    """Keep-alive goes on after a request that failed."""
    async with connect() as connection:
        connection.send(b"GET /v2/models/no HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.response())[0] == 404
        connection.send(_request(1))
        assert (await connection.response())[0] == 200


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01 rubbish\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"]
)
async def test_bytes_that_are_not_http_are_refused(connect, http, caplog, rubbish):
    """Rubbish gets an error and no line in the log, and the server goes on."""
    async with connect() as connection:
        connection.send(rubbish)
        assert (await connection.response())[0] == 400
    assert caplog.records == []
    async with http.get("/v2/health/live") as response:
        assert response.status == 200


async def test_a_taken_port_is_an_error(server, dataplane):
    """The operator learns at the start that the port is not available."""
    second = HttpServer(dataplane, address="127.0.0.1", port=server.port)
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await second.stop(0)


async def test_stopping_refuses_new_requests_and_finishes_the_others(connect, server, dataplane):
    """During the drain new requests get 503, the running one its answer; then it is closed."""
    dataplane.gate = asyncio.Event()
    async with connect() as busy, connect() as idle:
        busy.send(_request(1))
        await dataplane.started.wait()
        stopping = asyncio.ensure_future(server.stop(10))
        await asyncio.sleep(0)
        idle.send(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, body = await idle.response()
        assert (status, body) == (503, b'{"error":"Server exiting"}')
        assert headers["connection"] == "close"
        assert not stopping.done()
        dataplane.gate.set()
        status, headers, _ = await busy.response()
        assert status == 200
        assert headers["connection"] == "close"
        await stopping
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_the_grace_period_ends(connect, server, dataplane):
    """A request that takes longer than the grace period is cancelled."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(_request(1))
        await dataplane.started.wait()
        await server.stop(0.01)
        assert dataplane.cancelled.is_set()


async def test_stopping_an_idle_server_takes_no_grace(server, http):
    """Idle keep-alive connections do not hold up the end."""
    async with http.get("/v2/health/live") as response:
        assert response.status == 200
    await asyncio.wait_for(server.stop(60), 5)
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get("/v2/health/live")


async def test_a_server_that_never_started_can_be_stopped(dataplane):
    """A failed start-up is cleaned up like any other."""
    server = HttpServer(dataplane, address="127.0.0.1", port=0)
    await server.stop(0)
    assert server.port == 0
