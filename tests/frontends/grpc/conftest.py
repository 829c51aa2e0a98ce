"""A server on a free port over a fake data plane, and clients for it."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpclib.client import Channel, StreamStreamMethod, UnaryUnaryMethod
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

import inferd._generated
from inferd._generated import inference as pb
from inferd.errors import BackendError, DecoupledModel, InvalidRequest, NotFound, QueueFull
from inferd.frontends.grpc.server import GrpcServer
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling.replies import Reply

SERVICE = "/inference.GRPCInferenceService/"

ERRORS = {
    "missing": NotFound("Request for unknown model: 'missing' is not found"),
    "busy": QueueFull("Exceeds maximum queue size"),
    "failing": BackendError("the backend says no"),
    "broken": ZeroDivisionError("secret detail"),
    "cancelling": asyncio.CancelledError(),
    "many": DecoupledModel("it can only be streamed"),
}
"""What requests to models of these names raise."""


class FakeReplies:
    """
    Replies to one request, put in by the test.

    Attributes:
        request: The request.
        taken: How many were taken.
        closed: Whether the frontend has closed them.
    """

    def __init__(self, request, changed):
        self.request = request
        self.taken = 0
        self.closed = False
        self._changed = changed
        self._replies = asyncio.Queue()

    def respond(self, value, *, final=False, size=1, **more):
        """Put a response in."""
        output = Tensor("OUT", "INT32", (size,), raw=np.full(size, value, np.int32).tobytes())
        response = InferResponse("many", "1", [output], id=self.request.id, parameters=more or None)
        self.put(response, final=final)

    def put(self, answer=None, *, final=True):
        """Put a reply in; without an answer it is the mere end."""
        self._replies.put_nowait(Reply(answer, final))

    async def receive(self):
        """Take the next one."""
        reply = await self._replies.get()
        self.taken += 1
        self._changed.set()
        return reply

    def close(self):
        """Note it."""
        self.closed = True
        self._changed.set()


class FakeDataPlane:
    """
    Answers by the model's name.

    ``many`` is decoupled: a request's replies are put into its ``sources`` entry.

    ``echo`` returns its inputs; ``held`` does too once :meth:`release` is called, and
    ``stubborn`` even when it is cancelled before; the rest raise.
    """

    def __init__(self):
        self.requests = []
        self.queue = []
        self.sources = {}
        self.refusal = None
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

    def start(self, request):
        """Have every request but those to ``queued`` awaited."""
        if request.model_name != "queued":
            return None
        self.requests.append(request)
        pending = SimpleNamespace(future=asyncio.get_running_loop().create_future())
        self.queue.append((request, pending))
        self._changed.set()
        return self, pending

    def take_back(self, pending):
        """Forget a queued request."""
        self.cancelled += 1
        self.queue = [entry for entry in self.queue if entry[1] is not pending]
        pending.future.cancel()
        self._changed.set()

    def is_decoupled(self, name, version):
        """Only ``many`` is."""
        return name == "many"

    def stream(self, request):
        """Answer one request to ``many``."""
        if self.refusal is not None:
            raise self.refusal
        self.sources[request.id] = FakeReplies(request, self._changed)
        self._changed.set()
        return self.sources[request.id]

    async def source(self, id):
        """Return the source of a request once it has come."""
        await self.until(lambda: id in self.sources)
        return self.sources[id]

    async def _answer(self, request):
        name = request.model_name
        if name == "held":
            await self._released.wait()
        elif name == "stubborn":
            while not self._released.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self._released.wait()
        elif name in ERRORS:
            raise ERRORS[name]
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


class RawClient:
    """
    An HTTP/2 client that can be rude.

    Attributes:
        h2: Its side of the connection; what it wants to send leaves with :meth:`send`.
        events: Everything the server sent.
    """

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self.h2 = H2Connection(
            H2Configuration(
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.h2.initiate_connection()
        self.events = []

    @classmethod
    async def connect(cls, port):
        """Connect and greet."""
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        await client.send()
        return client

    async def send(self, data=b""):
        """Send what h2 has to send, and then these bytes."""
        self._writer.write(self.h2.data_to_send() + data)
        await self._writer.drain()

    def open(self, path=SERVICE + "ModelInfer", extra=(), **replaced):
        """Open a stream for a call and return its id; a header set to ``None`` is left out."""
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
            "te": "trailers",
            "content-type": "application/grpc",
            **{key.replace("_", ":", 1): value for key, value in replaced.items()},
        }
        stream_id = self.h2.get_next_available_stream_id()
        kept = [(key, value) for key, value in headers.items() if value is not None]
        self.h2.send_headers(stream_id, [*kept, *extra])
        return stream_id

    async def send_data(self, stream_id, data):
        """Send a whole request body, as much at a time as the server allows, and half-close."""
        while data:
            room = min(
                self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size
            )
            if room:
                self.h2.send_data(stream_id, data[:room])
                data = data[room:]
                await self.send()
            else:
                await self.read()
        self.h2.end_stream(stream_id)
        await self.send()

    async def read(self):
        """Take the server's next bytes; ``False`` when it has closed the connection."""
        try:
            data = await self._reader.read(65536)
            self.events += self.h2.receive_data(data) if data else []
            await self.send()
        except ConnectionError:
            return False
        return bool(data)

    async def outcome(self, stream_id):
        """Read until the stream ends; return its last headers, or the error code of its reset."""
        while True:
            headers = None
            for event in self.events:
                if getattr(event, "stream_id", None) != stream_id:
                    continue
                if isinstance(event, (ResponseReceived, TrailersReceived)):
                    headers = dict(event.headers)
                if isinstance(event, StreamEnded):
                    return headers
                if isinstance(event, StreamReset) and headers is None:
                    return event.error_code
            if not await self.read():
                raise EOFError

    async def until_stalled(self, stream_id):
        """Wait for the first byte of an answer that is too large to be read at once."""
        while not self.body(stream_id):
            await self.read()

    def body(self, stream_id):
        """Return the bytes of the response so far."""
        received = (event for event in self.events if isinstance(event, DataReceived))
        return b"".join(event.data for event in received if event.stream_id == stream_id)

    def close(self):
        """Hang up."""
        self._writer.close()


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
