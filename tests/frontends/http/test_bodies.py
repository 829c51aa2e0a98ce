"""Bodies at and beyond the limits."""

import json
from typing import ClassVar

import pytest
from aiohttp import web

from inferd.frontends.http.bodies import MAX_CHUNKS, BodyRefused, parse_json, read

_LIMIT = 1 << 20
_POST = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\n"
_REQUEST = b'{"inputs":[{"name":"IN","datatype":"FP32","shape":[1],"data":[1]}]}'
_TEXT = (
    "request JSON size of {} bytes exceeds the maximum allowed input size of 1048576 bytes. Use "
    "--http-max-input-size to increase the limit."
)


def _chunked(*pieces):
    head = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


async def test_an_announced_size_above_the_limit_is_refused_unread(connect):
    """The answer comes before the body, and the connection is not used again."""
    async with connect() as connection:
        connection.send(_POST + b"Content-Length: %d\r\n\r\n" % (_LIMIT + 1))
        status, headers, body = await connection.response()
    assert status == 400
    assert headers["connection"] == "close"
    assert json.loads(body)["error"] == _TEXT.format(_LIMIT + 1)


async def test_a_body_of_exactly_the_limit_is_taken(http):
    """The limit itself is allowed."""
    async with http.post("/v2/models/echo/infer", data=_REQUEST.ljust(_LIMIT)) as response:
        assert response.status == 200


async def test_a_chunked_body_is_put_together(connect):
    """Chunk boundaries do not matter to the request."""
    async with connect() as connection:
        connection.send(_chunked(_REQUEST[:5], _REQUEST[5:], b""))
        status, _, body = await connection.response()
    assert (status, json.loads(body)["outputs"][0]["data"]) == (200, [1.0])


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 400)])
async def test_a_chunked_body_is_bounded_while_it_is_read(connect, excess, status):
    """A chunked body may be as long as the limit and not longer."""
    padding = bytes(b" " * (_LIMIT - len(_REQUEST) + excess))
    async with connect() as connection:
        connection.send(_chunked(_REQUEST, padding, b""))
        answered, headers, body = await connection.response()
    assert answered == status
    if excess:
        assert json.loads(body)["error"] == _TEXT.format(_LIMIT + 1)
        assert headers["connection"] == "close"


@pytest.mark.parametrize(("count", "status"), [(MAX_CHUNKS, 200), (MAX_CHUNKS + 1, 400)])
async def test_the_number_of_chunks_is_bounded(connect, count, status):
    """Many tiny chunks are refused with Triton's text."""
    pieces = [_REQUEST] + [b" "] * (count - 1)
    async with connect() as connection:
        connection.send(_chunked(*pieces, b""))
        answered, headers, body = await connection.response()
    assert answered == status
    if status == 400:
        assert headers["connection"] == "close"
        assert json.loads(body)["error"] == (
            "Chunked request body exceeds maximum of 65536 non-empty chunks. Send fewer or "
            "larger HTTP chunks."
        )


async def test_broken_chunks_are_refused(connect):
    """A chunk whose length is no number ends the connection with an error."""
    async with connect() as connection:
        connection.send(_POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        status, _, _ = await connection.response()
        assert await connection.reader.read() == b""
    assert status == 400


class _BrokenOff:
    """A request whose body turns out to be framed wrongly while it is read."""

    content_length = 9
    can_read_body = True
    headers: ClassVar = {}

    @property
    def content(self):
        return self

    async def read(self):
        raise web.RequestPayloadError("chunk without a length")


async def test_a_body_that_breaks_off_is_refused():
    """Bad framing after the request was accepted is the client's mistake, not the server's."""
    with pytest.raises(BodyRefused, match=r"^Unable to read the request body$"):
        await read(_BrokenOff(), 9)


@pytest.mark.parametrize("head", [b"Content-Length: 99\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_client_that_leaves_in_the_middle_of_its_body(connect, http, caplog, head):
    """It is forgotten without a word in the log."""
    async with connect() as connection:
        connection.send(_POST + head + b"Expect: 100-continue\r\n\r\n")
        await connection.reader.readuntil(b"\r\n\r\n")
        connection.send(b"5\r\nabc")
    async with http.get("/v2/health/live") as response:
        assert response.status == 200
    assert caplog.records == []


async def test_a_client_that_waits_for_permission_gets_it(connect):
    """curl sends large bodies only after 100 Continue."""
    async with connect() as connection:
        head = b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(_REQUEST)
        connection.send(_POST + head)
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(_REQUEST)
        status, _, _ = await connection.response()
    assert status == 200


async def test_a_client_that_waits_with_too_much_is_refused_at_once(connect):
    """A body above the limit is not even asked for."""
    async with connect() as connection:
        connection.send(
            _POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (_LIMIT + 1)
        )
        status, _, _ = await connection.response()
    assert status == 400


@pytest.mark.parametrize("padding", [0, 5000, (1 << 20) + 1])
@pytest.mark.parametrize("document", [b'["a",1]', b'["a",Infinity]'])
async def test_json_of_every_length_is_read_alike(document, padding):
    """Where a document is read does not change what it says."""
    assert await parse_json(document.ljust(padding)) == json.loads(document)
