"""
``inference.GRPCInferenceService``: the RPCs of the Open Inference Protocol and Triton's extensions.

Derives from the generated base class, whose methods answer ``UNIMPLEMENTED`` until they
are overridden here. The two inference RPCs bypass the generated messages: their mapping
entries name the hand-written ones, and the codec does the rest.
"""

import time
from typing import Any, Final

from grpclib.const import Cardinality, Handler

from inferd._generated import inference as pb
from inferd.dataplane import DataPlane
from inferd.errors import DecoupledModel, UnsupportedFeature
from inferd.frontends.grpc.call import Call
from inferd.frontends.grpc.codec import StreamReply
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.repository import check_repository, load_parameters, unload_dependents
from inferd.frontends.grpc.starting import Start
from inferd.frontends.grpc.stream import InferStream
from inferd.protocol.infer_codec import CHOSEN
from inferd.protocol.infer_protobuf import RequestMessage
from inferd.protocol.messages import InferResponse
from inferd.scheduling.pending import AnswerFuture, Started

_PATH: Final = "/inference.GRPCInferenceService/"
_DECOUPLED: Final = "ModelInfer RPC doesn't support models with decoupled transaction policy"


class InferenceService(pb.GrpcInferenceServiceBase):
    """
    Answers from the data plane.

    Args:
        dataplane: What is served.
        drain: Whether the server is shutting down.
    """

    def __init__(self, dataplane: DataPlane, drain: Drain) -> None:
        self._dataplane = dataplane
        self._drain = drain

    def __mapping__(self) -> dict[str, Any]:
        return {
            **super().__mapping__(),
            f"{_PATH}ModelInfer": Handler(
                self._infer, Cardinality.UNARY_UNARY, RequestMessage, InferResponse
            ),
            f"{_PATH}ModelStreamInfer": Handler(
                self._stream_infer, Cardinality.STREAM_STREAM, RequestMessage, StreamReply
            ),
        }

    def direct(self) -> dict[str, Start]:
        """Return what starts unary inferences that need not be awaited, by method path."""
        return {f"{_PATH}ModelInfer": self._start}

    def _start(self, message: RequestMessage, future: AnswerFuture) -> Started | None:
        received_ns = time.monotonic_ns()
        request = CHOSEN.to_request(message)
        request.received_ns = received_ns
        try:
            return self._dataplane.start(request, future)
        except DecoupledModel:
            raise UnsupportedFeature(_DECOUPLED) from None

    async def _infer(self, call: Call) -> None:
        message: RequestMessage = await call.recv_message()
        received_ns = time.monotonic_ns()
        request = CHOSEN.to_request(message)
        request.received_ns = received_ns
        request.deadline_ns = call.deadline_ns
        try:
            response = await self._dataplane.infer(request)
        except DecoupledModel:
            raise UnsupportedFeature(_DECOUPLED) from None
        await call.send_message(response)

    async def _stream_infer(self, call: Call) -> None:
        await InferStream(call, self._dataplane, self._drain).run()

    async def server_live(self, message: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        """Say that the process answers."""
        return pb.ServerLiveResponse(live=self._dataplane.is_live())

    async def server_ready(self, message: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        """Say whether the server wants requests."""
        return pb.ServerReadyResponse(ready=self._dataplane.is_ready())

    async def model_ready(self, message: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Say whether a model would answer."""
        ready = self._dataplane.is_model_ready(message.name, message.version)
        return pb.ModelReadyResponse(ready=ready)

    async def server_metadata(self, message: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        """Name the server, its version and its extensions."""
        return self._dataplane.server_metadata()

    async def model_metadata(self, message: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        """Describe a model's inputs and outputs."""
        return self._dataplane.model_metadata(message.name, message.version)

    async def model_config(self, message: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        """Return a model's completed config."""
        config = self._dataplane.model_config(message.name, message.version)
        return pb.ModelConfigResponse(config=config)

    async def model_statistics(
        self, message: pb.ModelStatisticsRequest
    ) -> pb.ModelStatisticsResponse:
        """Return what models have done."""
        statistics = self._dataplane.model_statistics(message.name, message.version)
        return pb.ModelStatisticsResponse(model_stats=statistics)

    async def repository_index(
        self, message: pb.RepositoryIndexRequest
    ) -> pb.RepositoryIndexResponse:
        """List the models of the repositories."""
        check_repository(message.repository_name)
        index = self._dataplane.repository_index(message.ready)
        return pb.RepositoryIndexResponse(models=index)

    async def repository_model_load(
        self, message: pb.RepositoryModelLoadRequest
    ) -> pb.RepositoryModelLoadResponse:
        """Load or reload a model."""
        check_repository(message.repository_name)
        config, files = load_parameters(message.parameters)
        await self._dataplane.load_model(message.model_name, config=config, files=files or None)
        return pb.RepositoryModelLoadResponse()

    async def repository_model_unload(
        self, message: pb.RepositoryModelUnloadRequest
    ) -> pb.RepositoryModelUnloadResponse:
        """Stop serving a model."""
        check_repository(message.repository_name)
        await self._dataplane.unload_model(
            message.model_name, unload_dependents=unload_dependents(message.parameters)
        )
        return pb.RepositoryModelUnloadResponse()
