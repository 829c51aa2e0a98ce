"""A server small enough to read, which the client commands talk to over real sockets."""

import argparse
import asyncio
import json
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import grpclib
import numpy as np
import numpy.typing as npt
import pytest
from aiohttp import web
from betterproto2 import which_one_of
from grpclib.const import Status
from grpclib.server import Server

from inferd._generated.inference import (
    GrpcInferenceServiceBase,
    ModelConfig,
    ModelConfigResponse,
    ModelInferRequest,
    ModelInferResponse,
    ModelInferResponseInferOutputTensor,
    ModelMetadataResponse,
    ModelStreamInferResponse,
    RepositoryIndexResponse,
)

Array = npt.NDArray[Any]

DTYPES = {"FP32": "<f4", "INT32": "<i4", "UINT8": "u1", "BF16": "<u2", "BOOL": "?"}


@dataclass
class Asked:
    """One inference request as it arrived."""

    protocol: str
    model: str
    version: str
    id: str
    parameters: dict[str, Any]
    inputs: dict[str, Array]
    outputs: dict[str, dict[str, Any]]


Answer = Callable[[Asked], dict[str, tuple[str, Array]]]


@dataclass
class FakeModel:
    """A model: its metadata and config as JSON has them, and what it computes."""

    metadata: dict[str, Any]
    config: dict[str, Any]
    answer: Answer


class Refused(Exception):
    """An error answer of the server."""


@dataclass
class FakeServer:
    """Serves models over HTTP and gRPC from a thread of its own."""

    models: dict[str, FakeModel] = field(default_factory=dict)
    index: list[dict[str, str]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    hold: int = 0
    all_arrived: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0
    unanswered: int | None = None
    http_port: int = 0
    grpc_port: int = 0

    def url(self, protocol: str) -> str:
        """Return the address to give to ``-u``."""
        return f"localhost:{self.http_port if protocol == 'http' else self.grpc_port}"

    def find(self, name: str) -> FakeModel:
        """Return a model or refuse in the reference's words."""
        if name not in self.models:
            raise Refused(f"Request for unknown model: '{name}' is not found")
        return self.models[name]

    async def infer(self, asked: Asked) -> dict[str, tuple[str, Array]]:
        """Answer one request; while ``hold`` is set, only when that many have arrived."""
        model = self.find(asked.model)
        self.asked.append(asked)
        if len(self.asked) >= self.hold:
            self.all_arrived.set()
        await self.all_arrived.wait()
        return model.answer(asked)


def decode(raw: bytes, datatype: str, shape: list[int]) -> Array:
    """Return a tensor's values."""
    if datatype != "BYTES":
        return np.frombuffer(raw, DTYPES[datatype]).reshape(shape)
    elements, offset = [], 0
    while offset < len(raw):
        (length,) = struct.unpack_from("<I", raw, offset)
        elements.append(raw[offset + 4 : offset + 4 + length])
        offset += 4 + length
    return np.array(elements, object).reshape(shape)


def encode(array: Array, datatype: str) -> bytes:
    """Return a tensor's bytes."""
    if datatype != "BYTES":
        return array.astype(DTYPES[datatype]).tobytes()
    return b"".join(struct.pack("<I", len(item)) + item for item in array.ravel())


def http_answer(asked: Asked, results: dict[str, tuple[str, Array]]) -> web.Response:
    """Return results as JSON with the tensors behind it."""
    outputs, blobs = [], []
    for name, (datatype, array) in results.items():
        blobs.append(encode(array, datatype))
        parameters = {"binary_data_size": len(blobs[-1])}
        shape = list(array.shape)
        outputs.append(
            {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}
        )
    document = {"id": asked.id, "model_name": asked.model, "model_version": "1", "outputs": outputs}
    head = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return web.Response(body=head + b"".join(blobs), headers=headers)


def http_application(server: FakeServer) -> web.Application:
    """Return the HTTP side."""

    async def metadata(request: web.Request) -> web.Response:
        return web.json_response(server.find(request.match_info["model"]).metadata)

    async def config(request: web.Request) -> web.Response:
        return web.json_response(server.find(request.match_info["model"]).config)

    async def index(request: web.Request) -> web.Response:
        return web.json_response(server.index)

    async def infer(request: web.Request) -> web.Response:
        body = await request.read()
        size = int(request.headers["Inference-Header-Content-Length"])
        asked = http_asked(request, body[:size], body[size:])
        return http_answer(asked, await server.infer(asked))

    @web.middleware
    async def refuse(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as error:
            return web.json_response({"error": str(error)}, status=404)

    application = web.Application(middlewares=[refuse], client_max_size=2**24)
    for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        application.router.add_get(prefix, metadata)
        application.router.add_get(prefix + "/config", config)
        application.router.add_post(prefix + "/infer", infer)
    application.router.add_post("/v2/repository/index", index)
    return application


def http_asked(request: web.Request, head: bytes, blobs: bytes) -> Asked:
    """Return what an HTTP request asks."""
    document = json.loads(head)
    inputs, offset = {}, 0
    for entry in document["inputs"]:
        size = entry["parameters"]["binary_data_size"]
        raw = blobs[offset : offset + size]
        inputs[entry["name"]] = decode(raw, entry["datatype"], entry["shape"])
        offset += size
    assert offset == len(blobs)
    return Asked(
        "http",
        request.match_info["model"],
        request.match_info.get("version", ""),
        document.get("id", ""),
        document.get("parameters", {}),
        inputs,
        {entry["name"]: entry.get("parameters", {}) for entry in document.get("outputs", [])},
    )


class GrpcSide(GrpcInferenceServiceBase):
    """The gRPC side."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def find(self, name: str) -> FakeModel:
        """Return a model or end the call."""
        try:
            return self.server.find(name)
        except Refused as error:
            raise grpclib.GRPCError(Status.NOT_FOUND, str(error)) from error

    async def model_metadata(self, message: Any) -> ModelMetadataResponse:
        """Answer a model's metadata."""
        return ModelMetadataResponse.from_dict(self.find(message.name).metadata)

    async def model_config(self, message: Any) -> ModelConfigResponse:
        """Answer a model's config."""
        config = ModelConfig.from_dict(self.find(message.name).config)
        return ModelConfigResponse(config=config)

    async def repository_index(self, message: Any) -> RepositoryIndexResponse:
        """Answer the index."""
        return RepositoryIndexResponse.from_dict({"models": self.server.index})

    async def model_infer(self, message: ModelInferRequest) -> ModelInferResponse:
        """Answer one request."""
        try:
            return await self.respond(message)
        except Refused as error:
            raise grpclib.GRPCError(Status.NOT_FOUND, str(error)) from error

    async def model_stream_infer(
        self, messages: AsyncIterator[ModelInferRequest]
    ) -> AsyncIterator[ModelStreamInferResponse]:
        """Answer each request of a stream, in order."""
        self.server.streams += 1
        async for message in messages:
            if message.id == str(self.server.unanswered):
                return
            try:
                response = await self.respond(message)
                yield ModelStreamInferResponse(infer_response=response)
            except Refused as error:
                yield ModelStreamInferResponse(error_message=str(error))

    async def respond(self, message: ModelInferRequest) -> ModelInferResponse:
        """Return the response to one request."""
        asked = Asked(
            "grpc",
            message.model_name,
            message.model_version,
            message.id,
            {key: plain(value) for key, value in message.parameters.items()},
            {
                tensor.name: decode(raw, tensor.datatype, tensor.shape)
                for tensor, raw in zip(message.inputs, message.raw_input_contents, strict=True)
            },
            {
                output.name: {key: plain(value) for key, value in output.parameters.items()}
                for output in message.outputs
            },
        )
        answer = await self.server.infer(asked)
        return ModelInferResponse(
            model_name=message.model_name,
            model_version="1",
            id=message.id,
            outputs=[
                ModelInferResponseInferOutputTensor(
                    name=name, datatype=datatype, shape=list(array.shape)
                )
                for name, (datatype, array) in answer.items()
            ],
            raw_output_contents=[encode(array, datatype) for datatype, array in answer.values()],
        )


def plain(parameter: Any) -> Any:
    """Return the value of a parameter message."""
    return which_one_of(parameter, "parameter_choice")[1]


async def serve(server: FakeServer, started: threading.Event, stop: asyncio.Event) -> None:
    """Serve until told to stop."""
    runner = web.AppRunner(http_application(server), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0)
    await site.start()
    server.http_port = runner.addresses[0][1]
    grpc_server = Server([GrpcSide(server)])
    await grpc_server.start("localhost", 0)
    assert grpc_server._server is not None
    server.grpc_port = grpc_server._server.sockets[0].getsockname()[1]
    started.set()
    await stop.wait()
    grpc_server.close()
    await grpc_server.wait_closed()
    await runner.cleanup()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Return a running server without models."""
    fake = FakeServer()
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        await serve(fake, started, stop)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(10)
    yield fake
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(10)
    assert not thread.is_alive()


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs a command module as the command line would."""

    def run(module: ModuleType, *arguments: object) -> Outcome:
        parser = argparse.ArgumentParser(prog="inferd")
        module.add_parser(parser.add_subparsers(required=True))
        name = module.__name__.rpartition(".")[2]
        args = parser.parse_args([name, *map(str, arguments)])
        capsys.readouterr()
        code = args.run(args)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Return each protocol in turn."""
    return str(request.param)


@pytest.fixture
def fake_model() -> type[FakeModel]:
    """Return the class of served models."""
    return FakeModel


@pytest.fixture
def refused() -> type[Refused]:
    """Return the error a model may answer with."""
    return Refused


@pytest.fixture
def add_sub(server: FakeServer) -> FakeModel:
    """Serve the sum and the difference of two INT32 [n,4] as ``simple``."""
    tensor = {"datatype": "INT32", "shape": [-1, 4]}
    model = FakeModel(
        {
            "name": "simple",
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "INPUT0", **tensor}, {"name": "INPUT1", **tensor}],
            "outputs": [{"name": "OUTPUT0", **tensor}, {"name": "OUTPUT1", **tensor}],
        },
        {"name": "simple", "max_batch_size": 8},
        lambda asked: {
            "OUTPUT0": ("INT32", asked.inputs["INPUT0"] + asked.inputs["INPUT1"]),
            "OUTPUT1": ("INT32", asked.inputs["INPUT0"] - asked.inputs["INPUT1"]),
        },
    )
    server.models["simple"] = model
    return model
