"""Keepalive on real connections: who is pinged, dropped, turned away and retired."""

import asyncio
import sys

import pytest
from grpclib.const import Status
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, PingAckReceived, PingReceived

from inferd.frontends.grpc.keepalive import KeepaliveSettings
from tests.frontends.grpc.raw_client import start_call, status_of

SOON = KeepaliveSettings(time_ms=100, timeout_ms=50)


@pytest.fixture
def connected(start_server, connect_raw):
    """Make a server with settings and a rude client of it."""

    async def make(settings):
        server = await start_server(keepalive=settings)
        return await connect_raw(server.port)

    return make


async def until_closed(raw):
    """Read to the end; return the goodbyes."""
    while await raw.read():
        pass
    return [event for event in raw.events if isinstance(event, ConnectionTerminated)]


async def until_seen(raw, kind, count=1):
    """Read until the server has sent so many of a kind."""
    while len([event for event in raw.events if isinstance(event, kind)]) < count:
        assert await raw.read()


async def run(script, *ports):
    """Run a client's script to its end and return what it complained about."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *map(str, ports), stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate()
    return process.returncode, complaint.decode()


async def test_a_client_that_answers_is_pinged_again_and_again(connected):
    """And stays connected, without a call."""
    raw = await connected(KeepaliveSettings(time_ms=5, permit_without_calls=True))
    await until_seen(raw, PingReceived, 5)


async def test_a_client_that_is_gone_is_dropped(connected, dataplane, client):
    """Its calls are taken back when the answer to the ping does not come."""
    raw = await connected(SOON)
    await start_call(raw, client)
    await dataplane.until(lambda: dataplane.running == 1)
    await dataplane.until(lambda: dataplane.running == 0)
    assert dataplane.cancelled == 1


async def test_a_client_without_calls_is_not_pinged(start_server, connect_raw, client):
    """Another one that has a call is, meanwhile."""
    server = await start_server(keepalive=KeepaliveSettings(time_ms=1))
    idle, busy = await connect_raw(server.port), await connect_raw(server.port)
    await start_call(busy, client)
    await until_seen(busy, PingReceived, 5)
    idle.h2.ping(bytes(8))
    await idle.send()
    await until_seen(idle, PingAckReceived)
    assert not [event for event in idle.events if isinstance(event, PingReceived)]


@pytest.mark.parametrize("calls", [True, False])
async def test_a_client_that_pings_too_often_is_turned_away(connected, client, dataplane, calls):
    """Three early pings after the first; the goodbye says why, and its calls are taken back."""
    raw = await connected(KeepaliveSettings())
    if calls:
        await start_call(raw, client)
        await dataplane.until(lambda: dataplane.running == 1)
    for n in range(1, 4):
        raw.h2.ping(bytes(8))
        await raw.send()
        await until_seen(raw, PingAckReceived, n)
    raw.h2.ping(bytes(8))
    await raw.send()
    [goodbye] = await until_closed(raw)
    assert goodbye.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert goodbye.additional_data == b"too_many_pings"
    assert goodbye.last_stream_id == (1 if calls else 0)
    await dataplane.until(lambda: dataplane.running == 0)


async def test_answers_clear_the_count(connected, client):
    """A client that gets answers may ping between them."""
    raw = await connected(KeepaliveSettings(max_ping_strikes=1))
    for n in range(1, 11):
        raw.h2.ping(bytes(8))
        raw.h2.ping(bytes(8))
        await raw.send()
        await until_seen(raw, PingAckReceived, 2 * n)
        stream_id = await start_call(raw, client, model="echo")
        assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")


async def test_without_strikes_a_client_may_ping_for_ever(connected):
    """As the option says."""
    raw = await connected(KeepaliveSettings(max_ping_strikes=0))
    for _ in range(100):
        raw.h2.ping(bytes(8))
    await raw.send()
    await until_seen(raw, PingAckReceived, 100)


async def test_an_old_connection_is_closed(connected):
    """The first goodbye lets calls through that are on their way, the second says which did."""
    raw = await connected(KeepaliveSettings(max_age_ms=1))
    first, second = await until_closed(raw)
    assert (first.error_code, first.last_stream_id) == (ErrorCodes.NO_ERROR, 2**31 - 1)
    assert (second.error_code, second.last_stream_id) == (ErrorCodes.NO_ERROR, 0)


async def test_calls_that_outlive_the_grace_are_taken_back(connected, client, dataplane):
    """Their connection is closed under them."""
    raw = await connected(KeepaliveSettings(max_age_ms=200, max_age_grace_ms=1))
    await start_call(raw, client)
    await dataplane.until(lambda: dataplane.running == 1)
    await dataplane.until(lambda: dataplane.running == 0)
    assert dataplane.cancelled == 1


RETIRED = """
import pathlib, sys
import numpy as np
import tritonclient.grpc as triton

def connections():
    tables = [pathlib.Path("/proc/self/net", name).read_text() for name in ("tcp", "tcp6")]
    lines = [line for table in tables for line in table.splitlines()[1:]]
    ends = [line.split()[1:4] for line in lines]
    return {own for own, other, state in ends if other.endswith(f":{int(sys.argv[1]):04X}")}

client = triton.InferenceServerClient("127.0.0.1:" + sys.argv[1])
tensor = triton.InferInput("IN", [4], "FP32")
tensor.set_data_from_numpy(np.zeros(4, np.float32))
seen = set()
while len(seen) < 4:
    assert client.infer("echo", [tensor]).as_numpy("IN").shape == (4,)
    seen |= connections()
"""


async def test_a_real_client_moves_on_without_an_error(start_server):
    """Every call is answered while its connections come and go."""
    server = await start_server(keepalive=KeepaliveSettings(max_age_ms=200))
    code, complaint = await run(RETIRED, server.port)
    assert code == 0, complaint


REAL = """
import sys, threading
import numpy as np
import tritonclient.grpc as triton

options = triton.KeepAliveOptions(
    keepalive_time_ms=1000, keepalive_permit_without_calls=True, http2_max_pings_without_data=0)
strict, lenient = (
    triton.InferenceServerClient("127.0.0.1:" + port, keepalive_options=options)
    for port in sys.argv[1:3])
tensor = triton.InferInput("IN", [4], "FP32")
tensor.set_data_from_numpy(np.zeros(4, np.float32))
ended, errors = threading.Event(), []
early = []

def on_strict(result, error):
    errors.append(error)
    ended.set()

call = lenient.async_infer("held", [tensor], lambda result, error: early.append(error))
strict.async_infer("held", [tensor], on_strict)
assert ended.wait(60)
assert errors[0].status() == "StatusCode.UNAVAILABLE", errors
assert "too_many_pings" in str(errors[0]).lower().replace(" ", "_"), errors
assert not early, early
assert lenient.is_server_live() and strict.is_server_live()
call.cancel()
"""


async def test_a_real_client_that_pings_too_often_is_told_so(start_server):
    """One that keeps to the interval is not, though it pings as often."""
    strict = await start_server(keepalive=KeepaliveSettings(max_ping_strikes=1))
    lenient = await start_server(keepalive=KeepaliveSettings(min_recv_ping_interval_ms=500))
    code, complaint = await run(REAL, strict.port, lenient.port)
    assert code == 0, complaint
