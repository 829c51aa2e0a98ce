"""Tests of connections to servers that do not keep to the protocol."""

import asyncio

import pytest

from inferd.cli.benchmark.load import RunningLoad
from inferd.cli.benchmark.plan import Level, Plan

SETTINGS = b"\0\0\0\4\0\0\0\0\0"


@pytest.mark.parametrize(
    ("protocol", "answer", "message"),
    [
        ("http", b"SSH-2.0-OpenSSH\r\n", "no HTTP/1.1 response"),
        ("grpc", SETTINGS + b"\0\0\0\x09\4\0\0\0\1", "a CONTINUATION frame without"),
        ("http", b"", "the connection was lost"),
        ("grpc", SETTINGS, "the connection was lost"),
    ],
)
async def test_a_request_without_a_proper_answer_fails(protocol, answer, message):
    """A request fails once, with what the server did to it."""

    async def serve(reader, writer):
        await reader.readuntil(b"request")
        writer.write(answer)
        writer.close()

    async def settled(reader, writer):
        writer.write(SETTINGS)
        await serve(reader, writer)

    server = await asyncio.start_server(serve if protocol == "http" else settled, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    load = RunningLoad(Plan(protocol, "127.0.0.1", port, (b"request",)), Level(1, requests=1))
    await load.start()
    await load.finished.wait()
    failures = load.take().failures
    load.close()
    server.close()
    assert list(failures.values()) == [1]
    assert message in next(iter(failures))
