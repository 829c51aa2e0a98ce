"""Messages on their way into a call: sizes, compression, pieces."""

import gzip
import zlib

import pytest
from grpclib.const import Status

from tests.frontends.grpc.raw_client import STREAM, status_of

LIMIT = 1000


@pytest.fixture
async def server(start_server):
    """A server that takes messages of up to 1000 bytes."""
    return await start_server(max_message_bytes=LIMIT)


@pytest.fixture
def big_message(client):
    """A request of exactly the given size."""

    def make(size):
        overhead = client.request("echo", id="x" * 200).ByteSize() - 200
        message = client.request("echo", id="x" * (size - overhead)).SerializeToString()
        assert len(message) == size
        return message

    return make


async def post(raw, body, *, encoding=None, size=None):
    """Send a message, flagged as compressed when there is an encoding, and return the outcome."""
    extra = [("grpc-encoding", encoding)] if encoding else []
    stream_id = raw.open(extra=extra)
    prefix = bytes([encoding is not None]) + (len(body) if size is None else size).to_bytes(
        4, "big"
    )
    raw.h2.send_data(stream_id, prefix + body, end_stream=True)
    await raw.send()
    return stream_id, status_of(await raw.outcome(stream_id))


@pytest.mark.parametrize(
    ("size", "status"), [(LIMIT, Status.OK), (LIMIT + 1, Status.RESOURCE_EXHAUSTED)]
)
async def test_a_message_may_be_as_large_as_the_limit(raw, big_message, size, status):
    """The limit itself is accepted; one byte more is refused with both sizes."""
    _, (found, message) = await post(raw, big_message(size))
    assert found is status
    if status is not Status.OK:
        assert message == f"Received message larger than max ({LIMIT + 1} vs. {LIMIT})"


async def test_an_oversize_prefix_is_refused_before_the_message(raw, dataplane):
    """A client that announces 4 GiB is answered at once, while it has sent nothing of it."""
    stream_id = raw.open()
    raw.h2.send_data(stream_id, b"\0\xff\xff\xff\xff")
    await raw.send()
    status, message = status_of(await raw.outcome(stream_id))
    assert status is Status.RESOURCE_EXHAUSTED
    assert message == f"Received message larger than max (4294967295 vs. {LIMIT})"
    assert dataplane.requests == []


@pytest.mark.parametrize(
    ("body", "size", "text"),
    [
        (b"", 10, "the call ended after 0 of a message's 10 bytes"),
        (b"123", 10, "the call ended after 3 of a message's 10 bytes"),
    ],
)
async def test_a_message_that_is_cut_short_is_refused(raw, body, size, text):
    """A client that half-closes inside a message is told how much arrived."""
    _, outcome = await post(raw, body, size=size)
    assert outcome == (Status.INVALID_ARGUMENT, text)


@pytest.mark.parametrize("prefix", [b"", b"\0", b"\0\0\0\0"])
async def test_a_call_without_a_message_is_refused(raw, prefix):
    """A unary call has one message."""
    stream_id = raw.open()
    raw.h2.send_data(stream_id, prefix, end_stream=True)
    await raw.send()
    assert status_of(await raw.outcome(stream_id)) == (
        Status.INVALID_ARGUMENT,
        "the call ended without a complete request message",
    )


async def test_a_stream_cut_inside_a_prefix_is_refused(raw):
    """A stream ends between messages or not at all."""
    stream_id = raw.open(STREAM)
    raw.h2.send_data(stream_id, b"\0\0", end_stream=True)
    await raw.send()
    assert status_of(await raw.outcome(stream_id))[0] is Status.INVALID_ARGUMENT


async def test_a_message_may_come_in_single_bytes(raw, client):
    """How a message is cut into frames does not matter, empty frames included."""
    stream_id = raw.open()
    body = client.request("echo").SerializeToString()
    for octet in b"\0" + len(body).to_bytes(4, "big") + body:
        raw.h2.send_data(stream_id, bytes([octet]))
        raw.h2.send_data(stream_id, b"")
        await raw.send()
    raw.h2.send_data(stream_id, b"", end_stream=True)
    await raw.send()
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_compressed_requests_are_accepted(raw, client, encoding, compress):
    """Both algorithms gRPC clients offer are understood, and said to be."""
    body = compress(client.request("echo", id="z").SerializeToString())
    stream_id, outcome = await post(raw, body, encoding=encoding)
    assert outcome == (Status.OK, "")
    assert b"z" in raw.body(stream_id)
    accepted = [dict(event.headers) for event in raw.events if hasattr(event, "headers")]
    assert accepted[0]["grpc-accept-encoding"] == "identity,deflate,gzip"


async def test_an_uncompressed_message_may_follow_the_header(raw, client):
    """A call that announces an encoding need not use it for each message."""
    stream_id = raw.open(extra=[("grpc-encoding", "gzip")])
    body = client.request("echo").SerializeToString()
    raw.h2.send_data(stream_id, b"\0" + len(body).to_bytes(4, "big") + body, end_stream=True)
    await raw.send()
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")


@pytest.mark.parametrize(
    ("size", "status"), [(LIMIT, Status.OK), (LIMIT + 1, Status.RESOURCE_EXHAUSTED)]
)
async def test_the_limit_holds_after_decompression(raw, big_message, size, status):
    """A small message that grows beyond the limit is refused."""
    _, (found, _) = await post(raw, gzip.compress(big_message(size)), encoding="gzip")
    assert found is status


async def test_a_bomb_is_refused(raw):
    """A message of 900 bytes that would become a megabyte is not inflated."""
    bomb = zlib.compress(bytes(800_000), 9)
    assert len(bomb) < LIMIT
    _, outcome = await post(raw, bomb, encoding="deflate")
    assert outcome == (
        Status.RESOURCE_EXHAUSTED,
        f"Received message larger than max ({LIMIT + 1} vs. {LIMIT})",
    )


@pytest.mark.parametrize(
    ("encoding", "body", "status", "text"),
    [
        ("br", b"x", Status.UNIMPLEMENTED, "unsupported grpc-encoding 'br'"),
        ("identity", b"x", Status.INTERNAL, "compressed message without a grpc-encoding"),
        ("gzip", b"x", Status.INTERNAL, "failed to decompress the message"),
        ("deflate", zlib.compress(b"abc")[:-1], Status.INTERNAL, "failed to decompress"),
        ("deflate", zlib.compress(b"abc") + b"x", Status.INTERNAL, "failed to decompress"),
    ],
)
async def test_bad_compression_is_answered(raw, encoding, body, status, text):
    """An unknown algorithm and damaged data have their own statuses."""
    _, (found, message) = await post(raw, body, encoding=encoding)
    assert found is status
    assert message.startswith(text)


async def test_large_compressed_messages_are_accepted(start_server, client, connect_raw):
    """Messages too large to be inflated on the loop are inflated beside it."""
    raw = await connect_raw((await start_server()).port)
    request = client.request("missing", data=bytes(range(256)) * 20_000)
    body = gzip.compress(request.SerializeToString(), 1)
    assert 4096 < len(body) < 65_536
    stream_id = raw.open(extra=[("grpc-encoding", "gzip")])
    prefix = b"\1" + len(body).to_bytes(4, "big")
    await raw.send()
    await raw.send_data(stream_id, prefix + body)
    assert status_of(await raw.outcome(stream_id))[0] is Status.NOT_FOUND
