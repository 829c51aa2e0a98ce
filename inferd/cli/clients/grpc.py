"""The gRPC client of the command line, over grpclib and the generated stub."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import cast

from betterproto2 import which_one_of
from grpclib.client import Channel
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from inferd._generated.inference import (
    GrpcInferenceServiceStub,
    InferParameter,
    ModelConfig,
    ModelConfigRequest,
    ModelInferRequest,
    ModelInferRequestInferInputTensor,
    ModelInferRequestInferRequestedOutputTensor,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelStatistics,
    ModelStatisticsRequest,
    ModelStreamInferResponse,
    RepositoryIndexRequest,
    RepositoryIndexResponseModelIndex,
)
from inferd.cli.clients.client import Client, ClientError
from inferd.cli.clients.tls import ClientTls
from inferd.protocol.messages import InferRequest, InferResponse, ParameterValue, RequestedOutput
from inferd.protocol.tensors import Tensor

_Responses = AsyncGenerator[ModelStreamInferResponse, None]


class GrpcClient(Client):
    """
    A client over gRPC; make it inside a running event loop.

    Args:
        host: The server's host name or address.
        port: The server's port.
        tls: How to encrypt; ``None`` for plain text.
        path: The path of a Unix domain socket, in place of host and port.
    """

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        *,
        tls: ClientTls | None = None,
        path: str | None = None,
    ) -> None:
        if path is not None:
            self._address = f"unix:{path}"
            self._channel = Channel(path=path)
        else:
            self._address = f"{host}:{port}"
            self._channel = Channel(host, port, ssl=tls.context("grpc") if tls else None)
        self._stub = GrpcInferenceServiceStub(self._channel)

    async def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    async def model_metadata(self, name: str, version: str = "") -> ModelMetadataResponse:
        """Return the inputs and outputs of a model."""
        with self._explained():
            return await self._stub.model_metadata(ModelMetadataRequest(name=name, version=version))

    async def model_config(self, name: str, version: str = "") -> ModelConfig:
        """Return a model's config."""
        with self._explained():
            answer = await self._stub.model_config(ModelConfigRequest(name=name, version=version))
        return answer.config if answer.config is not None else ModelConfig()

    async def model_statistics(self, name: str, version: str = "") -> list[ModelStatistics]:
        """Return the statistics of a model, one entry per version."""
        with self._explained():
            request = ModelStatisticsRequest(name=name, version=version)
            return (await self._stub.model_statistics(request)).model_stats

    async def repository_index(self) -> list[RepositoryIndexResponseModelIndex]:
        """Return every version of every model in the server's repositories."""
        with self._explained():
            answer = await self._stub.repository_index(RepositoryIndexRequest())
        return answer.models

    async def infer(self, request: InferRequest) -> InferResponse:
        """Send one request and return its response."""
        with self._explained():
            return decode_response(await self._stub.model_infer(encode_request(request)))

    async def infer_stream(self, requests: Sequence[InferRequest]) -> AsyncIterator[InferResponse]:
        """Send the requests over one stream and yield the responses as they come."""
        with self._explained():
            messages = [encode_request(request) for request in requests]
            stream = self._stub.model_stream_infer(messages)
            async with aclosing(cast("_Responses", stream)) as answers:
                async for answer in answers:
                    if answer.error_message or answer.infer_response is None:
                        raise ClientError(answer.error_message)
                    yield decode_response(answer.infer_response)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except GRPCError as error:
            raise ClientError(error.message or f"gRPC status {error.status.name}") from error
        except (OSError, StreamTerminatedError, ProtocolError) as error:
            raise ClientError(f"no gRPC answer from {self._address}: {error}") from error


def encode_request(request: InferRequest) -> ModelInferRequest:
    """Return the message of a request, its tensors in ``raw_input_contents``."""
    return ModelInferRequest(
        model_name=request.model_name,
        model_version=request.model_version,
        id=request.id,
        parameters=_request_parameters(request),
        inputs=[
            ModelInferRequestInferInputTensor(
                name=tensor.name, datatype=tensor.datatype, shape=list(tensor.shape)
            )
            for tensor in request.inputs.values()
        ],
        outputs=[_output(output) for output in request.outputs],
        raw_input_contents=[bytes(tensor.raw()) for tensor in request.inputs.values()],
    )


def decode_response(message: ModelInferResponse) -> InferResponse:
    """
    Return the response a message holds.

    Raises:
        ClientError: It has no ``raw_output_contents`` for each output.
    """
    if len(message.raw_output_contents) != len(message.outputs):
        raise ClientError("the server did not send one raw content per output")
    outputs = [
        Tensor(output.name, output.datatype, output.shape, raw=raw)
        for output, raw in zip(message.outputs, message.raw_output_contents, strict=True)
    ]
    parameters = {name: _value(parameter) for name, parameter in message.parameters.items()}
    return InferResponse(
        message.model_name,
        message.model_version,
        outputs,
        id=message.id,
        parameters=parameters or None,
    )


def _request_parameters(request: InferRequest) -> dict[str, InferParameter]:
    parameters = {name: _parameter(value) for name, value in request.parameters.items()}
    if request.sequence_id:
        parameters["sequence_id"] = _parameter(request.sequence_id)
        parameters["sequence_start"] = InferParameter(bool_param=request.sequence_start)
        parameters["sequence_end"] = InferParameter(bool_param=request.sequence_end)
    if request.priority:
        parameters["priority"] = InferParameter(uint64_param=request.priority)
    if request.timeout_us:
        parameters["timeout"] = InferParameter(int64_param=request.timeout_us)
    return parameters


def _parameter(value: ParameterValue) -> InferParameter:
    match value:
        case bool():
            return InferParameter(bool_param=value)
        case int():
            return InferParameter(int64_param=value)
        case float():
            return InferParameter(double_param=value)
        case _:
            return InferParameter(string_param=value)


def _value(parameter: InferParameter) -> ParameterValue:
    _, value = which_one_of(parameter, "parameter_choice")
    return "" if value is None else value


def _output(output: RequestedOutput) -> ModelInferRequestInferRequestedOutputTensor:
    asked = ModelInferRequestInferRequestedOutputTensor(name=output.name)
    if output.classification:
        asked.parameters["classification"] = InferParameter(int64_param=output.classification)
    return asked
