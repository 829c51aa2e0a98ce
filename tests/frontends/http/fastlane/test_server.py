"""The connections of a server with its fast lane."""

import asyncio

import pytest

from inferd.frontends.http.drain import Drain
from inferd.frontends.http.fastlane.server import LaneServer
from inferd.frontends.http.limits import Limits


async def _never(request):
    await asyncio.Event().wait()


@pytest.fixture
async def lane_server(dataplane):
    """Yield a server whose connections are silent for too long after a thousandth second."""
    server = LaneServer(
        _never,
        dataplane,
        max_input_size=1000,
        limits=Limits(),
        drain=Drain(),
        idle_seconds=0.001,
        access_log=None,
    )
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    yield server, listening.sockets[0].getsockname()[1]
    listening.close()
    await server.shutdown(0.01)


async def test_silent_connections_are_closed(lane_server):
    """A client that says nothing does not keep its connection for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", lane_server[1])
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_waiting_connections_are_kept(lane_server, build, dataplane):
    """A client that waits for its answer may be silent, whoever answers it."""
    _, port = lane_server
    dataplane.gate = asyncio.Event()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(build.infer(1.0))
    await dataplane.started.wait()
    other, other_writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        assert await other.read() == b""
    dataplane.gate.set()
    async with asyncio.timeout(10):
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    other_writer.close()


async def test_the_end_cancels_what_is_left(lane_server, build, dataplane):
    """Requests that are still running are cancelled and their connections closed."""
    server, port = lane_server
    dataplane.gate = asyncio.Event()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(build.infer(1.0))
    await dataplane.started.wait()
    await server.shutdown(0.01)
    async with asyncio.timeout(10):
        await dataplane.cancelled.wait()
        assert await reader.read() == b""
    writer.close()
