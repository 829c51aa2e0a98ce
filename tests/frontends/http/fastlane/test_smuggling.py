"""
Requests that two readers could understand in two ways, sent to a real server.

Behind each comes a request that somebody in front of the server might not have seen. It
must never be executed, whichever route the first one would have taken.
"""

import asyncio
import json

import pytest

_HEADS = {
    "length-twice": b"{line}\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}",
    "lengths-differ": b"{line}\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
    "length-list": b"{line}\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n{{}}",
    "length-plus": b"{line}\r\nHost: x\r\nContent-Length: +2\r\n\r\n{{}}",
    "length-minus": b"{line}\r\nHost: x\r\nContent-Length: -2\r\n\r\n{{}}",
    "length-hex": b"{line}\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{{}}",
    "length-float": b"{line}\r\nHost: x\r\nContent-Length: 2.0\r\n\r\n{{}}",
    "length-spaced": b"{line}\r\nHost: x\r\nContent-Length: 2 2\r\n\r\n{{}}",
    "length-underscore": b"{line}\r\nHost: x\r\nContent-Length: 0_2\r\n\r\n{{}}",
    "length-empty": b"{line}\r\nHost: x\r\nContent-Length:\r\n\r\n{{}}",
    "length-huge": b"{line}\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{{}}",
    "length-and-coding": b"{line}\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding-and-length": b"{line}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "chunked-identity": b"{line}\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n"
    b"\r\n0\r\n\r\n",
    "identity-chunked": b"{line}\r\nHost: x\r\nTransfer-Encoding: identity, chunked\r\n"
    b"\r\n0\r\n\r\n",
    "gzip-chunked": b"{line}\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked-chunked": b"{line}\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked-twice": b"{line}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked-then-identity": b"{line}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "identity": b"{line}\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
    "xchunked": b"{line}\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "vertical-tab": b"{line}\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding-empty": b"{line}\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n",
    "space-before-colon": b"{line}\r\nHost: x\r\nContent-Length : 2\r\n\r\n{{}}",
    "tab-before-colon": b"{line}\r\nHost: x\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "space-before-name": b"{line}\r\nHost: x\r\n Content-Length: 2\r\n\r\n{{}}",
    "space-before-headers": b"{line}\r\n Host: x\r\nContent-Length: 2\r\n\r\n{{}}",
    "obs-fold": b"{line}\r\nHost: x\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\n{{}}",
    "obs-fold-coding": b"{line}\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare-lf": b"{line}\r\nHost: x\nContent-Length: 2\r\n\r\n{{}}",
    "bare-lf-everywhere": b"{line}\nHost: x\nContent-Length: 2\n\n{{}}",
    "bare-cr": b"{line}\r\nHost: x\rContent-Length: 2\r\n\r\n{{}}",
    "nul": b"{line}\r\nHost: x\r\nX: \x00\r\nContent-Length: 2\r\n\r\n{{}}",
    "no-colon": b"{line}\r\nHost: x\r\nContent-Length\r\n\r\n",
    "no-name": b"{line}\r\nHost: x\r\n: 2\r\n\r\n",
    "no-host": b"{line}\r\nContent-Length: 2\r\n\r\n{{}}",
    "hosts": b"{line}\r\nHost: x\r\nHost: y\r\nContent-Length: 2\r\n\r\n{{}}",
    "host-twice": b"{line}\r\nHost: x\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}",
    "absolute": b"POST http://x{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}",
    "authority": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}",
    "chunks-in-1.0": b"POST {path} HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"\r\n0\r\n\r\n",
    "http-0.9": b"POST {path}\r\n\r\n",
    "http-2": b"POST {path} HTTP/2.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}",
    "two-spaces-and-a-tab": b"POST\t{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}",
    "version-twice": b"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}",
    "websocket-with-body": b"{line}\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Content-Length: 2\r\n\r\n{{}}",
}
"""Heads that are refused, with a body where one would be."""

_CHUNKS = {
    "no-size": b"\r\n{}\r\n0\r\n\r\n",
    "plus": b"+2\r\n{}\r\n0\r\n\r\n",
    "minus": b"-2\r\n{}\r\n0\r\n\r\n",
    "prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "underscore": b"0_2\r\n{}\r\n0\r\n\r\n",
    "not-hex": b"2g\r\n{}\r\n0\r\n\r\n",
    "space-before": b" 2\r\n{}\r\n0\r\n\r\n",
    "space-behind": b"2 \r\n{}\r\n0\r\n\r\n",
    "tab-behind": b"2\t\r\n{}\r\n0\r\n\r\n",
    "overflow": b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "bare-lf": b"2\n{}\n0\n\n",
    "bare-lf-in-extension": b"2;a\n{}\r\n0\r\n\r\n",
    "bare-cr-in-extension": b"2;a\rb\r\n{}\r\n0\r\n\r\n",
    "too-short": b"3\r\n{}\r\n0\r\n\r\n",
    "too-long": b"1\r\n{}\r\n0\r\n\r\n",
    "end-without-crlf": b"2\r\n{}0\r\n\r\n",
    "trailer-without-colon": b"2\r\n{}\r\n0\r\nX\r\n\r\n",
    "trailer-folded": b"2\r\n{}\r\n0\r\nX: y\r\n z\r\n\r\n",
    "trailer-bare-lf": b"2\r\n{}\r\n0\r\nX: y\nZ: z\r\n\r\n",
}
"""Bodies in chunks that are refused."""

_PATHS = {"infer": b"/v2/models/echo/infer", "index": b"/v2/repository/index"}


def _head(shape, path):
    filled = shape.replace(b"{line}", b"POST {path} HTTP/1.1").replace(b"{path}", path)
    return filled.replace(b"{{}}", b"{}")


def _chunked(chunks, path):
    line = b"POST " + path + b" HTTP/1.1\r\n"
    return line + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


async def _refused(connection, dataplane):
    status, headers, body = await connection.response()
    assert status == 400
    assert headers["connection"] == "close"
    assert "error" in json.loads(body)
    async with asyncio.timeout(10):
        assert await connection.reader.read() == b""
    assert dataplane.requests == []
    assert dataplane.calls == []


@pytest.mark.parametrize("path", _PATHS.values(), ids=_PATHS)
@pytest.mark.parametrize("shape", _HEADS.values(), ids=_HEADS)
async def test_what_follows_an_ambiguous_head_is_not_executed(
    connect, build, dataplane, shape, path
):
    """Such a head is refused, and the connection with it."""
    async with connect() as connection:
        behind = build.infer(1.0) + build.post(b"{}", path=_PATHS["index"])
        connection.send(_head(shape, path) + behind)
        await _refused(connection, dataplane)


@pytest.mark.parametrize("path", _PATHS.values(), ids=_PATHS)
@pytest.mark.parametrize("chunks", _CHUNKS.values(), ids=_CHUNKS)
async def test_what_follows_ambiguous_chunks_is_not_executed(
    connect, build, dataplane, chunks, path
):
    """Such a body is refused, and the connection with it."""
    async with connect() as connection:
        behind = build.infer(1.0) + build.post(b"{}", path=_PATHS["index"])
        connection.send(_chunked(chunks, path) + behind)
        await _refused(connection, dataplane)


@pytest.mark.parametrize("path", _PATHS.values(), ids=_PATHS)
@pytest.mark.parametrize("chunks", _CHUNKS.values(), ids=_CHUNKS)
async def test_ambiguous_chunks_may_come_late(connect, build, dataplane, chunks, path):
    """Nor is it executed when the body breaks after somebody began to read it."""
    async with connect() as connection:
        connection.send(_chunked(b"1\r\n \r\n", path))
        for _ in range(5):
            await asyncio.sleep(0)
        connection.send(chunks + build.infer(1.0))
        await _refused(connection, dataplane)


async def test_harmless_shapes_are_answered(connect, build, dataplane):
    """What every reader understands in the same way is no reason to refuse."""
    line = b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\n"
    async with connect() as connection:
        connection.send(
            line
            + b"Content-Length: 02\r\n\r\n{}"
            + line
            + b"transfer-encoding:\t CHUNKED \r\n\r\n0002;a=b\r\n{}\r\n00;c\r\nX: y\r\n\r\n"
            + line
            + b"X: \xe4\r\nContent-Length: 2\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n{}"
            + b"\r\n"
            + build.infer(1.0)
        )
        assert [(await connection.response())[0] for _ in range(4)] == [200] * 4
