"""Requests over HTTP that there is no room for, in the lane and beside it."""

import asyncio
import gzip
import json

import pytest

from inferd.frontends.http.server import HttpServer
from inferd.listening.byte_ledger import LARGE_BYTES, ByteLedger

URL = "/v2/models/echo/infer"
POST = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\n"
SMALL = b'{"inputs":[{"name":"IN","datatype":"FP32","shape":[1],"data":[1]}]}'
LIMIT = 500_000


@pytest.fixture
def ledger():
    """A ledger of its own for each test."""
    return ByteLedger(LIMIT)


@pytest.fixture
async def server(dataplane, fast_lane, ledger):
    """A server that asks it."""
    server = HttpServer(dataplane, address="127.0.0.1", port=0, fast_lane=fast_lane, ledger=ledger)
    await server.start()
    yield server
    await server.stop(0.01)


async def until_held(http, ledger, size):
    """Wait until the ledger holds so much; every turn of the wait is a request."""
    while ledger.held != size:
        async with http.post(URL, data=SMALL) as response:
            assert response.status == 200


@pytest.mark.parametrize("expects", [b"", b"Expect: 100-continue\r\n"])
async def test_a_large_request_is_refused_unread(connect, http, ledger, expects):
    """By its length; the connection ends, and a small one is answered beside it."""
    ledger.add(300_000)
    async with connect() as connection:
        connection.send(POST + expects + b"Content-Length: 200001\r\n\r\n")
        status, headers, body = await connection.response()
    assert (status, headers["connection"]) == (503, "close")
    assert json.loads(body)["error"].startswith("no room for a request of 200001 bytes: 300000 of")
    async with http.post(URL, data=SMALL) as response:
        assert response.status == 200
    assert ledger.held == 300_000


async def test_a_request_that_fits_exactly_is_answered(http, ledger):
    """And leaves nothing behind, again and again on one connection."""
    for _ in range(3):
        async with http.post(URL, data=SMALL.ljust(LIMIT)) as response:
            assert response.status == 200
    await until_held(http, ledger, 0)


@pytest.mark.parametrize(("size", "status"), [(LARGE_BYTES, 200), (LARGE_BYTES + 1, 503)])
async def test_small_requests_are_never_refused(http, ledger, size, status):
    """However full it is."""
    ledger.add(LIMIT)
    async with http.post(URL, data=SMALL.ljust(size)) as response:
        assert response.status == status
    assert ledger.held == LIMIT


async def test_a_request_counts_until_it_is_answered(http, ledger, dataplane):
    """From its head on."""
    dataplane.gate = asyncio.Event()
    asked = asyncio.ensure_future(http.post(URL, data=SMALL.ljust(200_000)))
    await dataplane.started.wait()
    assert ledger.held == 200_000
    dataplane.gate.set()
    assert (await asked).status == 200
    dataplane.gate = None
    await until_held(http, ledger, 0)


async def test_a_client_that_hangs_up_makes_room(connect, http, ledger):
    """Within the body of its request."""
    async with connect() as connection:
        connection.send(POST + b"Content-Length: 200000\r\n\r\n" + bytes(100_000))
        await until_held(http, ledger, 200_000)
    await until_held(http, ledger, 0)


async def test_a_client_that_hangs_up_before_its_answer_makes_room(
    connect, http, ledger, dataplane
):
    """Its request is taken back."""
    dataplane.gate = asyncio.Event()
    async with connect() as connection:
        connection.send(POST + b"Content-Length: 200000\r\n\r\n" + SMALL.ljust(200_000))
        await dataplane.started.wait()
        assert ledger.held == 200_000
    await dataplane.cancelled.wait()
    dataplane.gate = None
    await until_held(http, ledger, 0)


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 503)])
async def test_a_body_in_chunks_is_counted_as_it_comes(connect, http, ledger, size, status):
    """Its length is not known before."""
    body = SMALL.ljust(size)
    async with connect() as connection:
        connection.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        for at in range(0, size, 50_000):
            piece = body[at : at + 50_000]
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        answered, _, _ = await connection.response()
    assert answered == status
    await until_held(http, ledger, 0)


@pytest.mark.parametrize(("size", "status"), [(400_000, 200), (LIMIT, 503)])
async def test_what_comes_out_of_a_compressed_body_counts(http, ledger, size, status):
    """Beside the body itself."""
    body = gzip.compress(SMALL.ljust(size))
    headers = {"Content-Encoding": "gzip"}
    async with http.post(URL, data=body, headers=headers) as response:
        assert response.status == status
    await until_held(http, ledger, 0)
