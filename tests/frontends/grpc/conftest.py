"""A server on a free port over a fake data plane, and clients for it."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import inferd._generated
from inferd.frontends.grpc.server import GrpcServer
from tests.frontends.grpc.fake_dataplane import FakeDataPlane
from tests.frontends.grpc.raw_client import RawClient
from tests.frontends.grpc.stub_client import Client


@pytest.fixture
def connect_raw():
    """Make rude clients; they hang up at the end."""
    with contextlib.ExitStack() as stack:

        async def make(port):
            client = await RawClient.connect(port)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
async def raw(server, connect_raw):
    """A rude client of the running server."""
    return await connect_raw(server.port)


@pytest.fixture(scope="session")
def messages():
    """Google's classes of our messages, from a pool of their own."""
    path = Path(inferd._generated.__file__).parent / "protos.binpb"
    pool = descriptor_pool.DescriptorPool()
    found = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
        pool.Add(file)
        for message in file.message_type:
            descriptor = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
            found[message.name] = message_factory.GetMessageClass(descriptor)
    return SimpleNamespace(**found)


@pytest.fixture
async def dataplane():
    """A data plane of its own for each test."""
    return FakeDataPlane()


@pytest.fixture(params=["native", "python"])
def transport(request):
    """One transport after the other; skipped where it is not built."""
    if request.param == "native":
        pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")
    return request.param


@pytest.fixture
async def start_server(dataplane, transport):
    """Start servers over the data plane; they are stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**options):
            defaults = {"address": "127.0.0.1", "port": 0, "transport": transport}
            server = GrpcServer(dataplane, **{**defaults, **options})
            await server.start()
            stack.push_async_callback(server.stop, 0)
            return server

        yield start


@pytest.fixture
async def server(start_server):
    """A running server."""
    return await start_server()


@pytest.fixture
async def client(server, messages):
    """A client of the running server."""
    client = Client(server.port, messages)
    yield client
    client.channel.close()


@pytest.fixture
def connect(messages):
    """Make further clients; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(port):
            client = Client(port, messages)
            stack.callback(client.channel.close)
            return client

        yield make


@pytest.fixture
def tensor_bytes():
    """Twenty megabytes that are not all alike."""
    return np.arange(5_000_000, dtype=np.int32).tobytes()
