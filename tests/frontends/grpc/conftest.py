"""A server on a free port over a fake data plane, and clients for it."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpclib.client import Channel, StreamStreamMethod, UnaryUnaryMethod

import inferd._generated
from inferd._generated import inference as pb
from inferd.errors import BackendError, InvalidRequest, NotFound, QueueFull
from inferd.frontends.grpc.server import GrpcServer
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor

SERVICE = "/inference.GRPCInferenceService/"


class FakeDataPlane:
    """
    Answers by the model's name.

    ``echo`` returns its inputs; ``held`` does too once :meth:`release` is called; the
    rest raise.
    """

    def __init__(self):
        self.requests = []
        self.ready = True
        self.loads = []
        self.unloads = []
        self.cancelled = 0
        self.running = 0
        self.most_running = 0
        self._released = asyncio.Event()
        self._changed = asyncio.Event()

    def release(self):
        """Let the held requests be answered."""
        self._released.set()

    async def until(self, condition):
        """Wait until ``condition()`` holds; it is looked at whenever a request starts or ends."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def infer(self, request):
        """Answer one request."""
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self._changed.set()
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
            self._changed.set()

    async def _answer(self, request):
        name = request.model_name
        if name == "held":
            await self._released.wait()
        elif name == "missing":
            raise NotFound("Request for unknown model: 'missing' is not found")
        elif name == "busy":
            raise QueueFull("Exceeds maximum queue size")
        elif name == "failing":
            raise BackendError("the backend says no")
        elif name == "broken":
            raise ZeroDivisionError("secret detail")
        elif name == "cancelling":
            raise asyncio.CancelledError
        elif name == "odd":
            return InferResponse(name, "1", (), parameters={"size": 1 << 64})
        outputs = [
            Tensor(given.name, given.datatype, given.shape, raw=given.raw())
            for given in request.inputs.values()
        ]
        return InferResponse(name, "1", outputs, id=request.id)

    def is_live(self):
        """Always live."""
        return True

    def is_ready(self):
        """Ready unless told otherwise; an exception that is set is raised."""
        if isinstance(self.ready, Exception):
            raise self.ready
        return self.ready

    def is_model_ready(self, name, version):
        """Only ``echo`` is ready."""
        if version == "abc":
            raise InvalidRequest("invalid model version specified 'abc'")
        return name == "echo"

    def server_metadata(self):
        """Name a server."""
        return pb.ServerMetadataResponse(name="inferd", version="1.2.3", extensions=["statistics"])

    def model_metadata(self, name, version):
        """Describe any model the same way."""
        shape = pb.ModelMetadataResponseTensorMetadata(name="IN", datatype="FP32", shape=[-1, 16])
        return pb.ModelMetadataResponse(name=name, versions=["1"], inputs=[shape])

    def model_config(self, name, version):
        """Return a config of that name."""
        return pb.ModelConfig(name=name, max_batch_size=8)

    def model_statistics(self, name, version):
        """Return one entry."""
        return [pb.ModelStatistics(name=name, version=version, inference_count=7)]

    def repository_index(self, ready_only):
        """Return one entry that tells what was asked for."""
        state = "READY" if ready_only else "UNAVAILABLE"
        return [pb.RepositoryIndexResponseModelIndex(name="echo", version="1", state=state)]

    async def load_model(self, name, *, config=None, files=None):
        """Remember what was loaded."""
        self.loads.append((name, config, files))

    async def unload_model(self, name, *, unload_dependents=False):
        """Remember what was unloaded."""
        self.unloads.append((name, unload_dependents))


class Client:
    """
    A grpclib channel that speaks Google's own messages.

    Attributes:
        channel: The channel.
        messages: The message classes by name.
    """

    def __init__(self, port, messages):
        self.channel = Channel("127.0.0.1", port)
        self.messages = messages

    async def call(self, name, request=None, *, path=SERVICE, package="", **options):
        """Call a unary RPC with a request of its type, or with none of its fields set."""
        request_type = getattr(self.messages, f"{package}{name}Request")
        response_type = getattr(self.messages, f"{package}{name}Response")
        method = UnaryUnaryMethod(self.channel, path + name, request_type, response_type)
        return await method(request if request is not None else request_type(), **options)

    async def health(self, service=""):
        """Call the health check."""
        messages = self.messages
        method = UnaryUnaryMethod(
            self.channel,
            "/grpc.health.v1.Health/Check",
            messages.HealthCheckRequest,
            messages.HealthCheckResponse,
        )
        return (await method(messages.HealthCheckRequest(service=service))).status

    def stream(self, **options):
        """Open a ``ModelStreamInfer``."""
        messages = self.messages
        return StreamStreamMethod(
            self.channel,
            SERVICE + "ModelStreamInfer",
            messages.ModelInferRequest,
            messages.ModelStreamInferResponse,
        ).open(**options)

    def request(self, model, *, id="", data=b"\x01\x00\x00\x00", **fields):
        """Make an inference request with one raw INT32 input."""
        request = self.messages.ModelInferRequest(model_name=model, id=id, **fields)
        request.inputs.add(name="IN", datatype="INT32", shape=[len(data) // 4])
        request.raw_input_contents.append(data)
        return request

    async def infer(self, model, *, deadline=None, metadata=None, **fields):
        """Call ``ModelInfer``, with a deadline in seconds."""
        request = self.request(model, **fields)
        method = UnaryUnaryMethod(
            self.channel,
            SERVICE + "ModelInfer",
            self.messages.ModelInferRequest,
            self.messages.ModelInferResponse,
        )
        return await method(request, timeout=deadline, metadata=metadata)


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


@pytest.fixture
async def start_server(dataplane):
    """Start servers over the data plane; they are stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**options):
            server = GrpcServer(dataplane, address="127.0.0.1", **{"port": 0, **options})
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
