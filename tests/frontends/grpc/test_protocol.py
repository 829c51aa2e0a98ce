"""HTTP/2 that is unusual, hostile or large."""

import asyncio

import pytest
from grpclib.const import Status
from grpclib.protocol import AbstractHandler
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, RemoteSettingsChanged
from h2.settings import SettingCodes

from inferd.frontends.grpc.keepalive import KeepaliveSettings
from inferd.frontends.grpc.protocol import FRAME_BYTES, ServerProtocol

GREASE, PRIORITY_UPDATE, ORIGIN = 0xBB, 0x10, 0x0C


def frame(kind, payload, stream_id=0, flags=0):
    """Return a frame's bytes."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big")
    return head + payload


async def served(raw, client):
    """Whether a call on this connection is answered."""
    stream_id = raw.open()
    body = client.request("echo").SerializeToString()
    raw.h2.send_data(stream_id, b"\0" + len(body).to_bytes(4, "big") + body, end_stream=True)
    await raw.send()
    return (await raw.outcome(stream_id))["grpc-status"] == "0"


@pytest.mark.parametrize("kind", [GREASE, PRIORITY_UPDATE, ORIGIN])
async def test_unknown_frames_are_ignored(raw, client, kind):
    """Frames of extensions, on the connection or a stream, disturb nobody."""
    await raw.send(frame(kind, b"whatever") + frame(kind, b"", stream_id=1))
    assert await served(raw, client)


async def test_pings_are_answered(raw, client):
    """The connection can be probed."""
    raw.h2.ping(b"12345678")
    assert await served(raw, client)


async def test_a_protocol_error_is_told_before_the_connection_ends(raw):
    """A peer that breaks HTTP/2 gets a GOAWAY that says which rule."""
    await raw.send(frame(0x8, b"\0\0\0\0"))  # a window update of nothing
    while await raw.read():
        pass
    [goodbye] = [event for event in raw.events if isinstance(event, ConnectionTerminated)]
    assert goodbye.error_code == 1


async def test_a_client_that_only_resets_is_told_to_calm_down(raw):
    """Calls given up without end cost the connection."""
    for _ in range(2100):
        raw.h2.reset_stream(raw.open())
    await raw.send()
    while await raw.read():
        pass
    [goodbye] = [event for event in raw.events if isinstance(event, ConnectionTerminated)]
    assert goodbye.error_code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_bytes_that_are_no_http2_end_the_connection(server):
    """An HTTP/1 client is hung up on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.read()
    writer.close()


async def test_a_broken_connection_leaves_the_others_alone(raw, client):
    """Whatever one connection does, another is served."""
    await raw.send(frame(0x0, b"", stream_id=0))
    while await raw.read():
        pass
    assert (await client.infer("echo")).model_name == "echo"


class BrokenHandler(AbstractHandler):
    """A handler with a defect."""

    def accept(self, stream, headers, release_stream):
        """Fail."""
        raise ZeroDivisionError("defect")

    def cancel(self, stream):
        """Nothing to cancel."""

    def close(self):
        """Nothing to close."""


async def test_a_defect_is_logged_and_ends_only_its_connection(connect_raw, caplog):
    """An exception met while reading closes the connection instead of leaving it half dead."""
    lost = []
    listener = await asyncio.get_running_loop().create_server(
        lambda: ServerProtocol(
            BrokenHandler(), lambda made: None, lost.append, KeepaliveSettings()
        ),
        "127.0.0.1",
        0,
    )
    raw = await connect_raw(listener.sockets[0].getsockname()[1])
    raw.open()
    await raw.send()
    while await raw.read():
        pass
    listener.close()
    assert "ZeroDivisionError: defect" in caplog.text
    assert len(lost) == 1


async def test_a_large_frame_may_follow_the_settings_at_once(raw, client):
    """A frame of the announced size is taken in the same read as the settings' acknowledgement."""
    while not any(isinstance(event, RemoteSettingsChanged) for event in raw.events):
        data = await raw._reader.read(65536)
        raw.events += raw.h2.receive_data(data)
    assert raw.h2.max_outbound_frame_size == FRAME_BYTES
    stream_id = raw.open()
    body = client.request("missing", data=bytes(FRAME_BYTES - 100)).SerializeToString()
    message = b"\0" + len(body).to_bytes(4, "big") + body
    assert 16_384 < len(message) <= FRAME_BYTES
    raw.h2.send_data(stream_id, message, end_stream=True)
    await raw.send()  # acknowledgement, headers and the frame leave together
    assert (await raw.outcome(stream_id))["grpc-status"] == str(Status.NOT_FOUND.value)


async def test_a_frame_beyond_the_announced_size_is_refused(raw):
    """One byte more than announced is a protocol error."""
    stream_id = raw.open()
    await raw.send(frame(0x0, bytes(FRAME_BYTES + 1), stream_id=stream_id))
    while await raw.read():
        pass
    [goodbye] = [event for event in raw.events if isinstance(event, ConnectionTerminated)]
    assert goodbye.error_code == 6


async def test_unread_bytes_of_ended_calls_give_their_credit_back(server, connect_raw, monkeypatch):
    """Calls that are refused unread do not use up the connection's window."""
    monkeypatch.setattr("inferd.frontends.grpc.protocol.CONNECTION_WINDOW_BYTES", 100_000)
    raw = await connect_raw(server.port)
    for _ in range(10):
        stream_id = raw.open("/unknown/Method")
        await raw.send_data(stream_id, bytes(30_000))
        assert (await raw.outcome(stream_id))["grpc-status"] == str(Status.UNIMPLEMENTED.value)


async def test_a_slow_reader_gets_its_answer_piece_by_piece(raw, client, tensor_bytes):
    """With a small window the answer waits for credit and is then complete."""
    raw.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    stream_id = raw.open()
    body = client.request("echo", data=tensor_bytes[:50_000]).SerializeToString()
    await raw.send_data(stream_id, b"\0" + len(body).to_bytes(4, "big") + body)
    while len(raw.body(stream_id)) < 1000:
        await raw.read()
    while len(raw.body(stream_id)) < 50_000:
        received = len(raw.body(stream_id))
        raw.h2.increment_flow_control_window(1000, stream_id)
        raw.h2.increment_flow_control_window(1000)
        await raw.send()
        while len(raw.body(stream_id)) < min(received + 1000, 50_000):
            await raw.read()
    raw.h2.increment_flow_control_window(1000, stream_id)
    await raw.send()
    assert (await raw.outcome(stream_id))["grpc-status"] == "0"
    assert tensor_bytes[:50_000] in raw.body(stream_id)
