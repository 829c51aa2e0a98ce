"""Listening and stopping."""

import asyncio
import socket

import pytest
from grpclib.const import Status
from h2.events import ConnectionTerminated

from inferd.frontends.grpc import server as server_module
from inferd.frontends.grpc.server import GrpcServer
from tests.frontends.grpc.raw_client import STREAM, framed, start_call, status_of

SHUTTING_DOWN = "GRPC server is shutting down and has stopped accepting new requests."
ENOUGH = 60.0


async def test_a_port_in_use_is_an_error(server, start_server):
    """Two servers cannot have one port."""
    with pytest.raises(OSError, match="address already in use"):
        await start_server(port=server.port)


async def test_a_port_may_be_shared_on_purpose(start_server):
    """With reuse_port several processes listen on one port."""
    first = await start_server(reuse_port=True)
    second = await start_server(port=first.port, reuse_port=True)
    assert second.port == first.port


async def test_a_server_that_never_started_stops(dataplane):
    """Stopping is always allowed, and the port is what was asked for until it is known."""
    server = GrpcServer(dataplane, address="127.0.0.1", port=8001)
    assert server.port == 8001
    await server.stop(ENOUGH)


async def test_an_idle_server_stops_at_once(server, client, raw):
    """Connections without calls are told and closed, and the port is free again."""
    await client.infer("echo")
    await raw.read()
    await server.stop(ENOUGH)
    while await raw.read():
        pass
    assert any(isinstance(event, ConnectionTerminated) for event in raw.events)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


async def test_calls_in_flight_are_finished_and_answered(server, raw, client, dataplane):
    """Stopping waits for a running call, whose client gets its answer and then a goodbye."""
    stream_id = await start_call(raw, client)
    await dataplane.until(lambda: dataplane.running == 1)
    stopping = asyncio.create_task(server.stop(ENOUGH))
    late = raw.open()
    raw.h2.end_stream(late)
    await raw.send()
    assert status_of(await raw.outcome(late)) == (Status.UNAVAILABLE, SHUTTING_DOWN)
    assert not stopping.done()
    dataplane.release()
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")
    while await raw.read():
        pass
    assert raw.events[-1].error_code == 0
    await stopping


async def test_new_connections_are_refused_while_stopping(server, raw, client, dataplane):
    """Who connects late goes elsewhere."""
    await start_call(raw, client)
    await dataplane.until(lambda: dataplane.running == 1)
    stopping = asyncio.create_task(server.stop(ENOUGH))
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    dataplane.release()
    await stopping


async def test_what_outlives_the_grace_period_is_answered_unavailable(
    server, raw, client, dataplane
):
    """A call that does not end in time is cancelled, and its client is told why."""
    stream_id = await start_call(raw, client)
    await dataplane.until(lambda: dataplane.running == 1)
    await server.stop(0)
    assert dataplane.cancelled == 1
    assert status_of(await raw.outcome(stream_id)) == (Status.UNAVAILABLE, SHUTTING_DOWN)


async def test_a_stream_ends_when_its_requests_are_answered(server, raw, client, dataplane):
    """An open stream does not hold up the stop: what it has sent is answered, then it ends."""
    stream_id = await start_call(raw, client, path=STREAM, end=False)
    await dataplane.until(lambda: dataplane.running == 1)
    stopping = asyncio.create_task(server.stop(ENOUGH))
    dataplane.release()
    assert status_of(await raw.outcome(stream_id)) == (Status.UNAVAILABLE, SHUTTING_DOWN)
    reply = client.messages.ModelStreamInferResponse.FromString(raw.body(stream_id)[5:])
    assert reply.infer_response.model_name == "held"
    await stopping


async def test_an_idle_stream_ends_at_once(server, raw, client):
    """A stream with nothing in flight is ended by the stop."""
    stream_id = await start_call(raw, client, "echo", STREAM, end=False)
    while not raw.body(stream_id):
        await raw.read()
    await server.stop(ENOUGH)
    assert status_of(await raw.outcome(stream_id)) == (Status.UNAVAILABLE, SHUTTING_DOWN)


async def test_a_client_that_does_not_read_cannot_hold_up_the_stop(
    server, raw, client, monkeypatch
):
    """A connection that takes no bytes is cut off."""
    monkeypatch.setattr(server_module, "_ABANDON_SECONDS", 0.01)
    raw.h2.increment_flow_control_window(2**31 - 1 - 65_535)
    body = framed(client.request("echo", data=bytes(8 << 20)).SerializeToString())
    stream_id = raw.open()
    raw.h2.increment_flow_control_window(2**31 - 1 - 65_535, stream_id)
    await raw.read()
    await raw.send_data(stream_id, body)
    await raw.until_stalled(stream_id)
    await server.stop(0)


async def test_a_request_that_cannot_be_cancelled_cannot_hold_up_the_stop(
    server, raw, client, dataplane, monkeypatch, caplog
):
    """The connection is closed over it, and its late answer is dropped without a fuss."""
    monkeypatch.setattr(server_module, "_ABANDON_SECONDS", 0.01)
    await start_call(raw, client, "stubborn")
    await dataplane.until(lambda: dataplane.running == 1)
    await server.stop(0)
    dataplane.release()
    await dataplane.until(lambda: dataplane.running == 0)
    await asyncio.sleep(0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_call_given_up_at_once_cannot_hold_up_the_stop(server, raw, client):
    """Headers, message and reset in one packet: there is nothing to wait for afterwards."""
    for path in (STREAM, STREAM.replace("ModelStreamInfer", "ServerLive")):
        stream_id = raw.open(path)
        raw.h2.send_data(stream_id, framed(b""), end_stream=True)
        raw.h2.reset_stream(stream_id)
    await raw.send()
    assert (await client.infer("echo")).model_name == "echo"
    await server.stop(ENOUGH)


async def test_stopping_twice_is_harmless(server, client):
    """The second stop has nothing left to do."""
    await client.infer("echo")
    await server.stop(ENOUGH)
    await server.stop(ENOUGH)


async def test_many_calls_share_a_connection(client, dataplane):
    """More calls than HTTP/2's customary hundred run together on one connection."""
    calls = [asyncio.create_task(client.infer("held", id=str(n))) for n in range(300)]
    await dataplane.until(lambda: dataplane.running == 300)
    dataplane.release()
    replies = await asyncio.gather(*calls)
    assert [reply.id for reply in replies] == [str(n) for n in range(300)]
