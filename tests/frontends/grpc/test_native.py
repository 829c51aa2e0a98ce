"""What only the native transport does: its limits, slow readers, defects."""

import pytest
from grpclib.const import Status
from h2.settings import SettingCodes

from tests.frontends.grpc.native_only import start, transport  # noqa: F401 - a fixture
from tests.frontends.grpc.raw_client import STREAM, framed, status_of

native = pytest.importorskip("inferd.frontends.grpc.native")


async def test_a_long_header_list_is_refused(raw, client):
    """With the limit, and the connection lives on."""
    stream_id = await start(raw, client, **{f"x{n}": "y" * 10_000 for n in range(7)})
    status, text = status_of(await raw.outcome(stream_id))
    assert status is Status.RESOURCE_EXHAUSTED
    assert text.startswith("request metadata is larger than")


async def test_a_stream_waits_for_a_slow_reader(raw, client, dataplane, monkeypatch):
    """What is queued for a client that does not read is bounded, and goes on when it reads."""
    monkeypatch.setattr(native, "UNSENT_BYTES", 1000)
    raw.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    stream_id = raw.open(STREAM)
    body = framed(client.request("echo", data=bytes(4000)).SerializeToString())
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
    stream_id = raw.open(STREAM)
    raw.h2.send_data(
        stream_id, framed(client.request("echo", data=bytes(4000)).SerializeToString())
    )
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
    other.h2.send_data(
        stream_id, framed(client.request("echo").SerializeToString()), end_stream=True
    )
    await other.send()
    assert status_of(await other.outcome(stream_id)) == (Status.OK, "")
