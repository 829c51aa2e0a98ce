"""Requests that there is no room for, over both transports."""

import gzip

import pytest
from grpclib.const import Status
from h2.errors import ErrorCodes

from inferd.listening.byte_ledger import ByteLedger
from tests.frontends.grpc.raw_client import STREAM, framed, status_of

LIMIT = 1_000_000


@pytest.fixture
def ledger():
    """A ledger of its own for each test."""
    return ByteLedger(LIMIT)


@pytest.fixture
async def server(start_server, ledger):
    """A server that asks it."""
    return await start_server(ledger=ledger)


async def begin(raw, size, path=None):
    """Send the beginning of a large request; return its stream."""
    stream_id = raw.open(path) if path else raw.open()
    raw.h2.send_data(stream_id, b"\0" + size.to_bytes(4, "big") + bytes(1000))
    await raw.send()
    return stream_id


async def until_held(client, ledger, size):
    """Wait until the ledger holds so much; every turn of the wait is a request."""
    while ledger.held != size:
        assert (await client.infer("echo")).model_name == "echo"


async def test_a_large_request_is_refused_before_it_is_read(raw, client, ledger):
    """The answer says how much room there is; small requests are answered all the same."""
    await begin(raw, 600_000)
    await until_held(client, ledger, 600_000)
    refused = await begin(raw, 500_000)
    assert status_of(await raw.outcome(refused)) == (
        Status.RESOURCE_EXHAUSTED,
        "no room for a request of 500000 bytes: 600000 of 1000000 bytes are held for others. "
        "Use --max-in-flight-bytes to increase the limit.",
    )
    small = raw.open()
    raw.h2.send_data(small, framed(client.request("echo").SerializeToString()), end_stream=True)
    await raw.send()
    assert status_of(await raw.outcome(small)) == (Status.OK, "")
    fitting = client.request("missing", data=bytes(300_000)).SerializeToString()
    stream_id = raw.open()
    await raw.send_data(stream_id, framed(fitting))
    assert status_of(await raw.outcome(stream_id))[0] is Status.NOT_FOUND


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_a_client_that_gives_up_makes_room(raw, client, ledger, hangs_up):
    """With its connection, or with a reset of its call."""
    stream_id = await begin(raw, 600_000)
    await until_held(client, ledger, 600_000)
    if hangs_up:
        raw.close()
    else:
        raw.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        await raw.send()
    await until_held(client, ledger, 0)


async def test_answered_requests_leave_nothing_behind(client, ledger):
    """Large ones, one after the other, as many as there are."""
    for _ in range(5):
        answer = await client.infer("echo", data=bytes(400_000))
        assert answer.raw_output_contents == [bytes(400_000)]
    await until_held(client, ledger, 0)


async def test_a_stream_may_send_more_than_there_is_room_for(client, ledger):
    """One large request waits for the answers to those before; nothing is refused or lost."""
    async with client.stream() as stream:
        for n in range(8):
            await stream.send_message(client.request("echo", id=str(n), data=bytes(400_000)))
            reply = await stream.recv_message()
            assert (reply.error_message, reply.infer_response.id) == ("", str(n))
        await stream.end()
    await until_held(client, ledger, 0)


@pytest.mark.parametrize("size", [4_100, 60_000, 300_000])
async def test_a_request_of_a_stream_counts_until_it_is_answered(client, ledger, dataplane, size):
    """Not only until it is read, large or not."""
    async with client.stream() as stream:
        await stream.send_message(client.request("held", data=bytes(size)))
        await dataplane.until(lambda: dataplane.running == 1)
        assert size < ledger.held < size + 100
        dataplane.release()
        assert (await stream.recv_message()).infer_response.model_name == "held"
        await stream.end()
    await until_held(client, ledger, 0)


async def test_a_stream_reads_on_when_there_is_room_again(client, ledger, dataplane):
    """With more than half of it in use, its next request is left with the client."""
    async with client.stream() as stream:
        await stream.send_message(client.request("held", id="a", data=bytes(600_000)))
        await dataplane.until(lambda: dataplane.running == 1)
        await stream.send_message(client.request("echo", id="b"))
        for _ in range(3):
            await client.infer("echo")
        assert [request.id for request in dataplane.requests if request.id] == ["a"]
        dataplane.release()
        for id in "ab":
            assert (await stream.recv_message()).infer_response.id == id
        await stream.end()


async def test_a_stream_ends_when_its_request_has_no_room(raw, client, ledger):
    """As a call does."""
    ledger.add(LIMIT)
    stream_id = await begin(raw, 100_000, STREAM)
    assert status_of(await raw.outcome(stream_id))[0] is Status.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("size", [900_000, 8_000_000])
async def test_what_comes_out_of_a_compressed_request_counts(raw, client, ledger, dataplane, size):
    """A short one, and one that is made in steps; both are given back with the call."""
    body = gzip.compress(client.request("held", data=bytes(size)).SerializeToString(), 1)
    ledger.limit = 10_000_000
    stream_id = raw.open(**{"grpc-encoding": "gzip"})
    await raw.send_data(stream_id, b"\1" + framed(body)[1:])
    await dataplane.until(lambda: dataplane.running == 1)
    assert size < ledger.held < size + 1000
    dataplane.release()
    raw.h2.increment_flow_control_window(size + 1000, stream_id)
    raw.h2.increment_flow_control_window(size + 1000)
    await raw.send()
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")
    await until_held(client, ledger, 0)


@pytest.mark.parametrize("size", [1_000_001, 8_000_000])
async def test_a_request_that_expands_beyond_the_room_is_refused(raw, client, ledger, size):
    """Before all of it is made."""
    body = gzip.compress(client.request("echo", data=bytes(size)).SerializeToString(), 1)
    stream_id = raw.open(**{"grpc-encoding": "gzip"})
    await raw.send_data(stream_id, b"\1" + framed(body)[1:])
    assert status_of(await raw.outcome(stream_id))[0] is Status.RESOURCE_EXHAUSTED
    await until_held(client, ledger, 0)


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_stream_of_another_kind_is_charged_for_one_message_at_a_time(
    raw, client, ledger, compressed
):
    """However many large ones it has sent."""
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    stream_id = raw.open(path, **{"grpc-encoding": "gzip"})
    message = b"\x0a\xa0\x8d\x06" + bytes(100_000)  # the host
    sent = gzip.compress(message) if compressed else message
    for window in (None, stream_id):
        raw.h2.increment_flow_control_window(100_000_000, window)
    for n in range(1, 21):
        data = bytes([compressed]) + framed(sent)[1:]
        while raw.h2.local_flow_control_window(stream_id) < len(data):
            assert await raw.read()
        for at in range(0, len(data), 16_000):
            raw.h2.send_data(stream_id, data[at : at + 16_000])
        await raw.send()
        while len(raw.body(stream_id)) < n * 2 * len(message):  # the answer repeats it
            assert await raw.read()
    raw.h2.end_stream(stream_id)
    await raw.send()
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")
    await until_held(client, ledger, 0)
