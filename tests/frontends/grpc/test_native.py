"""What only the native transport does: its limits, slow readers, defects."""

import pytest
from grpclib.const import Status
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated
from h2.settings import SettingCodes

from inferd.frontends.grpc import native

pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")


@pytest.fixture
def transport():
    """Only this one."""
    return "native"


def framed(message):
    """Put gRPC's prefix before a message."""
    body = message.SerializeToString()
    return b"\0" + len(body).to_bytes(4, "big") + body


def status_of(trailers):
    """Return status and message of trailers."""
    return Status(int(trailers["grpc-status"])), trailers.get("grpc-message", "")


async def start(raw, client, *, end=True, **headers):
    """Send an inference for the model whose requests are queued, and return its stream."""
    stream_id = raw.open(**headers)
    raw.h2.send_data(stream_id, framed(client.request("queued")), end_stream=end)
    await raw.send()
    return stream_id


async def test_a_long_header_list_is_refused(raw, client):
    """With the limit, and the connection lives on."""
    stream_id = await start(raw, client, **{f"x{n}": "y" * 10_000 for n in range(7)})
    status, text = status_of(await raw.outcome(stream_id))
    assert status is Status.RESOURCE_EXHAUSTED
    assert text.startswith("request metadata is larger than")


async def test_a_client_that_only_resets_is_told_to_calm_down(raw):
    """Calls given up without end cost the connection."""
    for _ in range(2100):
        raw.h2.reset_stream(raw.open())
    await raw.send()
    while await raw.read():
        pass
    [goodbye] = [event for event in raw.events if isinstance(event, ConnectionTerminated)]
    assert goodbye.error_code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_stream_waits_for_a_slow_reader(raw, client, dataplane, monkeypatch):
    """What is queued for a client that does not read is bounded, and goes on when it reads."""
    monkeypatch.setattr(native, "UNSENT_BYTES", 1000)
    raw.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    stream_id = raw.open("/inference.GRPCInferenceService/ModelStreamInfer")
    body = framed(client.request("echo", data=bytes(4000)))
    for _ in range(3):
        raw.h2.send_data(stream_id, body)
    raw.h2.end_stream(stream_id)
    await raw.send()
    await dataplane.until(lambda: len(dataplane.requests) == 3 and dataplane.running == 0)
    assert raw.body(stream_id) == b""
    raw.h2.increment_flow_control_window(100_000, stream_id)
    await raw.send()
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")
    assert len(raw.body(stream_id)) > 12_000


async def test_a_slow_reader_that_hangs_up_is_forgotten(raw, client, dataplane, monkeypatch):
    """Its stream ends with its connection."""
    monkeypatch.setattr(native, "UNSENT_BYTES", 1000)
    raw.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    stream_id = raw.open("/inference.GRPCInferenceService/ModelStreamInfer")
    raw.h2.send_data(stream_id, framed(client.request("echo", data=bytes(4000))))
    await raw.send()
    await dataplane.until(lambda: dataplane.requests and dataplane.running == 0)
    raw.close()
    assert (await client.infer("echo")).model_name == "echo"


async def test_a_defect_is_logged_and_ends_only_its_connection(
    raw, client, connect_raw, server, monkeypatch, caplog
):
    """An exception met while reading closes the connection instead of leaving it half dead."""

    def fail(*_):
        raise ZeroDivisionError("defect")

    other = await connect_raw(server.port)
    await other.read()
    monkeypatch.setattr(native.NativeConnection, "_open_call", fail)
    raw.open()
    await raw.send()
    while await raw.read():
        pass
    monkeypatch.undo()
    assert "ZeroDivisionError: defect" in caplog.text
    stream_id = other.open()
    other.h2.send_data(stream_id, framed(client.request("echo")), end_stream=True)
    await other.send()
    assert status_of(await other.outcome(stream_id)) == (Status.OK, "")
