"""The options of gRPC's connections, from the command line to the wire."""

import pytest
from grpclib.const import Status
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, PingAckReceived, PingReceived, ResponseReceived

from inferd._generated import inference as pb
from inferd.frontends.grpc.keepalive import KeepaliveSettings
from inferd.server import _keepalive
from tests.frontends.grpc.raw_client import RawClient, framed, status_of
from tests.test_config import config


@pytest.fixture
async def connect(serve, repository):
    """Start a server with options, and connect to it."""
    clients = []

    async def start(*flags):
        server = serve(repository, *flags).wait_ready()
        clients.append(await RawClient.connect(int(server.grpc.split(":")[1])))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def request(size: int) -> bytes:
    """Return a request to the model, with zeros."""
    tensor = pb.ModelInferRequestInferInputTensor(name="INPUT0", datatype="FP32", shape=[1, size])
    return bytes(
        pb.ModelInferRequest(
            model_name="echo", inputs=[tensor], raw_input_contents=[bytes(4 * size)]
        )
    )


@pytest.mark.parametrize(("level", "encoding"), [("low", "gzip"), ("HIGH", "deflate")])
async def test_answers_are_compressed(connect, level, encoding):
    """As the level and the client say."""
    client = await connect("--grpc-infer-response-compression-level", level)
    stream_id = client.open(**{"grpc-accept-encoding": "identity, deflate, gzip"})
    await client.send_data(stream_id, framed(request(10_000)))
    assert status_of(await client.outcome(stream_id)) == (Status.OK, "")
    [opening] = [event for event in client.events if isinstance(event, ResponseReceived)]
    assert dict(opening.headers)["grpc-encoding"] == encoding
    assert len(client.body(stream_id)) < 1000


async def test_a_client_that_is_gone_is_dropped(connect):
    """It reads the ping and does not answer."""
    client = await connect(
        "--grpc-keepalive-time=50", "--grpc-keepalive-timeout=50",
        "--grpc-keepalive-permit-without-calls=1",
    )  # fmt: skip
    while data := await client._reader.read(65536):
        client.events += client.h2.receive_data(data)
    assert [event for event in client.events if isinstance(event, PingReceived)]


async def test_a_client_that_pings_too_often_is_told_so(connect):
    """At the second ping that comes too early, with one strike."""
    client = await connect(
        "--grpc-http2-max-ping-strikes=1",
        "--grpc-http2-min-recv-ping-interval-without-data=100000",
    )
    for _ in range(3):
        client.h2.ping(bytes(8))
        await client.send()
        while await client.read():
            if isinstance(client.events[-1], PingAckReceived | ConnectionTerminated):
                break
    [goodbye] = [event for event in client.events if isinstance(event, ConnectionTerminated)]
    assert goodbye.error_code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_an_old_connection_is_closed(connect):
    """With two goodbyes."""
    client = await connect("--grpc-max-connection-age=50")
    while await client.read():
        pass
    goodbyes = [event for event in client.events if isinstance(event, ConnectionTerminated)]
    assert [event.last_stream_id for event in goodbyes] == [2**31 - 1, 0]


def test_every_option_of_keepalive_has_its_setting():
    """None is taken for another."""
    chosen = config(
        grpc_keepalive_time=1,
        grpc_keepalive_timeout=2,
        grpc_keepalive_permit_without_calls=True,
        grpc_http2_max_pings_without_data=3,
        grpc_http2_min_recv_ping_interval_without_data=4,
        grpc_http2_max_ping_strikes=5,
        grpc_max_connection_age=6,
        grpc_max_connection_age_grace=7,
    )
    assert _keepalive(chosen) == KeepaliveSettings(
        time_ms=1,
        timeout_ms=2,
        permit_without_calls=True,
        max_pings_without_data=3,
        min_recv_ping_interval_ms=4,
        max_ping_strikes=5,
        max_age_ms=6,
        max_age_grace_ms=7,
    )
    assert _keepalive(config()) == KeepaliveSettings()
