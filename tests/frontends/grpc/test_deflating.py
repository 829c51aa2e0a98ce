"""Answers to inferences are compressed when the operator and the client want it."""

import asyncio
import gzip
import os
import zlib

import pytest
from grpclib.const import Status
from h2.events import ResponseReceived

from inferd.frontends.grpc.deflating import Deflater, deflater
from tests.frontends.grpc.raw_client import STREAM, framed, status_of
from tests.frontends.grpc.stub_client import SERVICE
from tests.frontends.grpc.test_clients import COMPRESSED, UNARY, run
from tests.frontends.grpc.test_clients import STREAM as TRITON_STREAM

ALIKE = bytes(40_000)
INFLATE = {"gzip": gzip.decompress, "deflate": zlib.decompress}


@pytest.mark.parametrize(
    ("level", "accepted", "chosen"),
    [
        ("low", "identity, deflate, gzip", "gzip"),
        ("medium", "identity,deflate,gzip", "deflate"),
        ("high", "gzip,deflate", "deflate"),
        ("low", "deflate", "deflate"),
        ("medium", "gzip", "gzip"),
        ("high", " gzip ", "gzip"),
        ("high", "identity", ""),
        ("low", "", ""),
        ("medium", "zstd, br", ""),
    ],
)
def test_the_algorithm_is_the_one_grpcs_core_takes(level, accepted, chosen):
    """The weaker one at the low level, the stronger one above it, of those the client knows."""
    assert Deflater(level).choose(accepted) == chosen


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [100, 4096, 4097, 1_000_000])
async def test_a_compressed_message_is_the_message(encoding, size):
    """Several buffers, short or long, come out as one message."""
    first, second = b"a" * (size // 2), memoryview(b"b" * (size - size // 2))
    deflated = await Deflater("medium").deflate_soon([first, second], encoding)
    assert len(deflated) < size
    assert INFLATE[encoding](deflated) == first + bytes(second)


async def test_a_message_that_gets_no_shorter_stays_as_it_is():
    """Random bytes, and messages shorter than the headers of the format, are sent plain."""
    for size in (0, 1, 10_000):
        assert await Deflater("high").deflate_soon([os.urandom(size)], "gzip") is None


async def test_a_long_message_is_compressed_beside_the_loop():
    """Everything else goes on meanwhile."""
    task = asyncio.ensure_future(Deflater("low").deflate_soon([bytes(10_000_000)], "gzip"))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


def test_without_a_level_nothing_is_compressed():
    """The level none makes no compressor at all."""
    assert deflater("none") is None
    assert deflater("low") is not None


async def ask(raw, client, accepted, data=ALIKE, path=None):
    """Send an inference; return the opening headers and the bytes of the answer."""
    headers = {} if accepted is None else {"grpc-accept-encoding": accepted}
    stream_id = raw.open(path, **headers) if path else raw.open(**headers)
    body = client.request("echo", data=data).SerializeToString()
    await raw.send_data(stream_id, framed(body))
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")
    [opening] = [event for event in raw.events if isinstance(event, ResponseReceived)]
    return dict(opening.headers), raw.body(stream_id)


@pytest.mark.parametrize("path", [None, STREAM], ids=["unary", "stream"])
@pytest.mark.parametrize(("level", "encoding"), [("low", "gzip"), ("high", "deflate")])
async def test_a_client_gets_what_it_accepts(
    start_server, connect_raw, connect, messages, level, encoding, path
):
    """The header says the encoding, the prefix that the message has it, on streams as well."""
    server = await start_server(compression_level=level)
    raw, client = await connect_raw(server.port), connect(server.port)
    headers, body = await ask(raw, client, "gzip, deflate", path=path)
    assert headers["grpc-encoding"] == encoding
    assert body[0] == 1
    assert int.from_bytes(body[1:5], "big") == len(body) - 5 < 1000
    kind = messages.ModelStreamInferResponse if path else messages.ModelInferResponse
    answer = kind.FromString(INFLATE[encoding](body[5:]))
    assert (answer.infer_response if path else answer).raw_output_contents == [ALIKE]


@pytest.mark.parametrize("accepted", [None, "identity", "snappy"])
async def test_a_client_that_accepts_nothing_gets_it_plain(
    start_server, connect_raw, connect, accepted
):
    """No header, no flag."""
    server = await start_server(compression_level="high")
    raw, client = await connect_raw(server.port), connect(server.port)
    headers, body = await ask(raw, client, accepted)
    assert "grpc-encoding" not in headers
    assert (body[0], int.from_bytes(body[1:5], "big")) == (0, len(body) - 5)


async def test_what_gets_no_shorter_is_sent_plain(start_server, connect_raw, connect):
    """The call has an encoding, its message does not use it."""
    server = await start_server(compression_level="high")
    raw, client = await connect_raw(server.port), connect(server.port)
    headers, body = await ask(raw, client, "gzip", os.urandom(10_000))
    assert headers["grpc-encoding"] == "gzip"
    assert (body[0], int.from_bytes(body[1:5], "big")) == (0, len(body) - 5)


async def test_without_the_option_answers_are_plain(raw, client):
    """As they are from Triton."""
    headers, body = await ask(raw, client, "gzip, deflate")
    assert "grpc-encoding" not in headers
    assert body[0] == 0


async def test_only_answers_to_inferences_are_compressed(start_server, connect_raw, connect):
    """Metadata, say, is sent as it is."""
    server = await start_server(compression_level="high")
    raw = await connect_raw(server.port)
    stream_id = raw.open(SERVICE + "ServerMetadata", **{"grpc-accept-encoding": "gzip"})
    await raw.send_data(stream_id, framed(b""))
    assert status_of(await raw.outcome(stream_id)) == (Status.OK, "")
    assert raw.body(stream_id)[0] == 0


@pytest.mark.parametrize("level", ["low", "high"])
async def test_tritonclient_reads_compressed_answers(start_server, level):
    """Whatever it compresses itself, with gzip, deflate or not at all, and on a stream."""
    server = await start_server(compression_level=level)
    code, complaint = await run(UNARY + COMPRESSED + TRITON_STREAM, server.port)
    assert code == 0, complaint
