"""A data plane that answers by hand, and an HTTP server in front of it."""

# ruff: noqa: D102  (the fake's methods are the data plane's, and documented there)

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest

from inferd._generated.inference import (
    InferBatchStatistics,
    InferStatistics,
    MemoryUsage,
    ModelConfig,
    ModelMetadataResponse,
    ModelMetadataResponseTensorMetadata,
    ModelStatistics,
    RepositoryIndexResponseModelIndex,
    ServerMetadataResponse,
    StatisticDuration,
)
from inferd.errors import DecoupledModel, NotFound
from inferd.frontends.http.server import HttpServer
from inferd.models.scheduler_report import SchedulerReport
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.pending import AnswerFuture, Pending
from inferd.scheduling.replies import OneReply, Reply, ReplySource
from inferd.scheduling.snapshot import SchedulerSnapshot


class FakeReplies:
    """
    Replies a test puts in.

    Attributes:
        taken: How many were taken.
        closed: Set once the client's side was closed.
    """

    def __init__(self, *replies: Reply) -> None:
        self.taken = 0
        self.closed = asyncio.Event()
        self._replies: asyncio.Queue[Reply] = asyncio.Queue()
        for reply in replies:
            self.put(reply)

    def put(self, reply: Reply) -> None:
        self._replies.put_nowait(reply)

    async def receive(self) -> Reply:
        reply = await self._replies.get()
        self.taken += 1
        return reply

    def close(self) -> None:
        self.closed.set()


class FakeDataPlane:
    """Echoes inputs as outputs of the same name; ``gate`` holds requests back."""

    def __init__(self) -> None:
        self.live = self.ready = True
        self.gate: asyncio.Event | None = None
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.failure: Exception | None = None
        self.requests: list[InferRequest] = []
        self.calls: list[tuple[object, ...]] = []
        self.outputs: list[Tensor] | None = None
        self.parameters = None
        self.spec = TensorSpec("IN", "FP32", 4, (-1,))
        self.source: FakeReplies | None = None
        self.direct = True
        self.turns_ended = 0
        self.answering: dict[Pending, asyncio.Task[None]] = {}

    def is_live(self) -> bool:
        return self.live

    def is_ready(self) -> bool:
        return self.ready

    def server_metadata(self) -> ServerMetadataResponse:
        return ServerMetadataResponse(name="triton", version="1", extensions=["statistics"])

    def is_model_ready(self, name: str, version: str) -> bool:
        return name == "echo" and version in ("", "1")

    def signature(self, name: str, version: str) -> Signature:
        self._check(name)
        return Signature(name, 8, [self.spec], [self.spec])

    def model_metadata(self, name: str, version: str) -> ModelMetadataResponse:
        self._check(name)
        tensor = ModelMetadataResponseTensorMetadata(name="IN", datatype="FP32", shape=[-1, -1])
        return ModelMetadataResponse(
            name=name, versions=["1"], platform="identity", inputs=[tensor], outputs=[tensor]
        )

    def model_config(self, name: str, version: str) -> ModelConfig:
        self._check(name)
        return ModelConfig(name=name, backend="identity", max_batch_size=8)

    def model_statistics(self, name: str, version: str) -> list[ModelStatistics]:
        self.calls.append(("statistics", name, version))
        one = StatisticDuration(count=1, ns=5)
        return [
            ModelStatistics(
                name=name or "echo",
                version="1",
                inference_count=3,
                inference_stats=InferStatistics(success=one),
                batch_stats=[InferBatchStatistics(batch_size=2, compute_infer=one)],
                memory_usage=[MemoryUsage(type="CPU", id=0, byte_size=9)],
            )
        ]

    def scheduler_report(self, name: str, version: str) -> SchedulerReport:
        self._check(name)
        return SchedulerReport(
            name, int(version or 1), "ensemble", False, [], SchedulerSnapshot(inflight=3)
        )

    def repository_index(self, ready_only: bool) -> list[RepositoryIndexResponseModelIndex]:
        self.calls.append(("index", ready_only))
        return [
            RepositoryIndexResponseModelIndex(name="echo", version="1", state="READY"),
            RepositoryIndexResponseModelIndex(name="unloaded"),
        ]

    async def load_model(
        self, name: str, *, config: str | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        self.calls.append(("load", name, config, files))
        if self.failure is not None:
            raise self.failure

    async def unload_model(self, name: str, *, unload_dependents: bool = False) -> None:
        self.calls.append(("unload", name, unload_dependents))

    async def infer(self, request: InferRequest) -> InferResponse:
        self._check(request.model_name)
        self.requests.append(request)
        self.started.set()
        if self.source is not None:
            raise DecoupledModel("it can only be streamed")
        if self.gate is not None:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if self.failure is not None:
            raise self.failure
        outputs = list(request.inputs.values()) if self.outputs is None else self.outputs
        return InferResponse(
            request.model_name, "1", outputs, id=request.id, parameters=self.parameters
        )

    def start(self, request: InferRequest, future: AnswerFuture):
        """Start it without a task, unless this model's requests have to be awaited."""
        if not self.direct or self.source is not None:
            return None
        self._check(request.model_name)
        pending = Pending(request, None, 0, future)
        self.answering[pending] = asyncio.ensure_future(self._answer(request, future))
        return self, pending

    async def _answer(self, request: InferRequest, future: AnswerFuture) -> None:
        try:
            answer = await self.infer(request)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(answer)

    def take_back(self, pending: Pending) -> None:
        pending.future.cancel()
        self.answering[pending].cancel()

    def end_turn(self) -> None:
        self.turns_ended += 1

    def stream(self, request: InferRequest) -> ReplySource:
        self._check(request.model_name)
        self.requests.append(request)
        if self.source is not None:
            return self.source
        return OneReply(self.infer(request))

    def _check(self, name: str) -> None:
        if name != "echo":
            raise NotFound(f"Request for unknown model: '{name}' is not found")


class RawConnection:
    """A socket that sends bytes as they are and reads one response at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(10):
            return await self._response()

    async def _response(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        length = int(headers.get("content-length", "0"))
        return int(head[0].split()[1]), headers, await self.reader.readexactly(length)


@pytest.fixture
def stream_replies(dataplane):
    """Return a function that makes the model decoupled, with these replies."""

    def prepare(*replies: Reply) -> FakeReplies:
        dataplane.source = FakeReplies(*replies)
        return dataplane.source

    return prepare


@pytest.fixture
def dataplane() -> FakeDataPlane:
    """Return a fresh data plane."""
    return FakeDataPlane()


@pytest.fixture(params=[True, False], ids=["lane", "application"])
def fast_lane(request) -> bool:
    """Return whether the server has its fast lane."""
    return request.param


@pytest.fixture
async def server(dataplane, fast_lane) -> AsyncIterator[HttpServer]:
    """Yield a started server that takes bodies of up to 1 MiB."""
    server = HttpServer(
        dataplane, address="127.0.0.1", port=0, max_input_size=1 << 20, fast_lane=fast_lane
    )
    await server.start()
    yield server
    await server.stop(0.01)


@pytest.fixture
async def http(server) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client of the server; paths are relative to it."""
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{server.port}",
        auto_decompress=False,
        skip_auto_headers=["Accept-Encoding"],
    ) as session:
        yield session


@pytest.fixture
def connect(server):
    """Return a context manager that opens a bare connection to the server."""

    @asynccontextmanager
    async def opened():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            yield RawConnection(reader, writer)
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    return opened


@pytest.fixture
async def server_with_limit(dataplane, fast_lane):
    """Return a function that starts a server with its own body limit and yields a client."""
    opened = []

    async def start(limit: int) -> aiohttp.ClientSession:
        server = HttpServer(
            dataplane, address="127.0.0.1", port=0, max_input_size=limit, fast_lane=fast_lane
        )
        await server.start()
        session = aiohttp.ClientSession(f"http://127.0.0.1:{server.port}")
        opened.append((server, session))
        return session

    yield start
    for server, session in opened:
        await session.close()
        await server.stop(0.01)
