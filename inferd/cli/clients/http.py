"""
The HTTP client of the command line.

Tensors travel in the binary tensor data extension, in both directions.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from betterproto2 import Message

from inferd._generated.inference import (
    ModelConfig,
    ModelMetadataResponse,
    ModelStatistics,
    ModelStatisticsResponse,
    RepositoryIndexResponse,
    RepositoryIndexResponseModelIndex,
)
from inferd.cli.clients.client import Client, ClientError
from inferd.cli.clients.http_errors import error_text
from inferd.cli.clients.tls import ClientTls
from inferd.protocol.binary_extension import HEADER
from inferd.protocol.messages import InferRequest, InferResponse, ParameterValue, RequestedOutput
from inferd.protocol.tensors import Buffer, Tensor

_M = TypeVar("_M", bound=Message)


class HttpClient(Client):
    """
    A client over HTTP; make it inside a running event loop.

    Args:
        url: The server's base address, such as ``http://localhost:8000``.
        tls: How to encrypt, where the address says so; ``None`` for the usual rules.
        path: The path of a Unix domain socket to connect to, whatever host the address has.
    """

    def __init__(self, url: str, *, tls: ClientTls | None = None, path: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._where = self._url if path is None else f"unix:{path}"
        connector: aiohttp.BaseConnector | None = None
        if path is not None:
            connector = aiohttp.UnixConnector(path)
        elif tls is not None:
            connector = aiohttp.TCPConnector(ssl=tls.context("http"))
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def model_metadata(self, name: str, version: str = "") -> ModelMetadataResponse:
        """Return the inputs and outputs of a model."""
        found = await self._json("GET", model_path(name, version))
        return _message(ModelMetadataResponse, found)

    async def model_config(self, name: str, version: str = "") -> ModelConfig:
        """Return a model's config."""
        found = await self._json("GET", model_path(name, version) + "/config")
        return _message(ModelConfig, found)

    async def model_statistics(self, name: str, version: str = "") -> list[ModelStatistics]:
        """Return the statistics of a model, one entry per version."""
        found = await self._json("GET", model_path(name, version) + "/stats")
        return _message(ModelStatisticsResponse, found).model_stats

    async def repository_index(self) -> list[RepositoryIndexResponseModelIndex]:
        """Return every version of every model in the server's repositories."""
        found = await self._json("POST", "/v2/repository/index")
        return _message(RepositoryIndexResponse, {"models": found}).models

    async def infer(self, request: InferRequest) -> InferResponse:
        """Send one request and return its response."""
        head, blobs = encode_request(request)
        headers = {HEADER: str(len(head)), "Content-Type": "application/octet-stream"}
        path = model_path(request.model_name, request.model_version) + "/infer"
        received, body = await self._call("POST", path, b"".join((head, *blobs)), headers)
        given = received.get(HEADER, "")
        head_length = int(given) if given.isdecimal() else len(body)
        return decode_response(_parse(body[:head_length]), memoryview(body)[head_length:])

    async def _json(self, method: str, path: str) -> Any:
        _, body = await self._call(method, path)
        return _parse(body)

    async def _call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        with self._explained():
            async with self._session.request(
                method, self._url + path, data=body, headers=headers
            ) as response:
                content = await response.read()
        if response.status != 200:
            raise ClientError(error_text(response.status, content))
        return response.headers, content

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            raise ClientError(f"no HTTP answer from {self._where}: {error}") from error


def encode_request(request: InferRequest) -> tuple[bytes, list[Buffer]]:
    """Return the JSON part of a request and the tensors that follow it."""
    document, blobs = request_parts(request)
    return json.dumps(document).encode(), blobs


def request_parts(request: InferRequest) -> tuple[dict[str, Any], list[Buffer]]:
    """Return the document of a request and the tensors that follow it."""
    blobs = [tensor.raw() for tensor in request.inputs.values()]
    document: dict[str, Any] = {"id": request.id} if request.id else {}
    parameters = _request_parameters(request)
    if not request.outputs:
        parameters["binary_data_output"] = True
    if parameters:
        document["parameters"] = parameters
    document["inputs"] = [
        {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "datatype": tensor.datatype,
            "parameters": {"binary_data_size": len(blob)},
        }
        for tensor, blob in zip(request.inputs.values(), blobs, strict=True)
    ]
    if request.outputs:
        document["outputs"] = [_output(output) for output in request.outputs]
    return document, blobs


def decode_response(document: dict[str, Any], blobs: memoryview) -> InferResponse:
    """
    Return the response of its JSON part and the tensors that follow it.

    Raises:
        ClientError: The two do not fit, or a field is missing.
    """
    outputs = []
    offset = 0
    try:
        for entry in document["outputs"]:
            size = entry.get("parameters", {}).get("binary_data_size")
            if size is None:
                raise ClientError(f"output '{entry['name']}' did not come as binary data")
            blob = blobs[offset : offset + size]
            offset += size
            outputs.append(Tensor(entry["name"], entry["datatype"], entry["shape"], raw=blob))
        return InferResponse(
            document["model_name"],
            document["model_version"],
            outputs,
            id=document.get("id", ""),
            parameters=document.get("parameters"),
        )
    except (KeyError, TypeError) as error:
        raise ClientError(f"the server's response lacks or misuses {error}") from error


def _request_parameters(request: InferRequest) -> dict[str, ParameterValue]:
    parameters = dict(request.parameters)
    if request.sequence_id:
        parameters["sequence_id"] = request.sequence_id
        parameters["sequence_start"] = request.sequence_start
        parameters["sequence_end"] = request.sequence_end
    if request.priority:
        parameters["priority"] = request.priority
    if request.timeout_us:
        parameters["timeout"] = request.timeout_us
    return parameters


def _output(output: RequestedOutput) -> dict[str, Any]:
    parameters: dict[str, ParameterValue] = {"binary_data": True}
    if output.classification:
        parameters["classification"] = output.classification
    return {"name": output.name, "parameters": parameters}


def model_path(name: str, version: str) -> str:
    """Return the path of a model; its requests go to what is below it."""
    path = f"/v2/models/{quote(name, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _message(kind: type[_M], document: Any) -> _M:
    """Return a message of its JSON, ignoring fields that newer servers may have."""
    try:
        return kind.from_dict(document, ignore_unknown_fields=True)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ClientError(f"the server's answer is not what it should be: {error}") from error


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise ClientError(f"the server's answer is not JSON: {error}") from error
