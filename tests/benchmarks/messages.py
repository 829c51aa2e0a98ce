"""
The requests the benchmark sends, ready encoded, and the check that an answer is right.

The three protocols carry them as Triton's own clients would.
"""

import asyncio
import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from exchanges import Values, exchange
from grpclib.client import Channel

from inferd._generated.inference import (
    GrpcInferenceServiceStub,
    InferTensorContents,
    ModelInferRequest,
    ModelInferRequestInferInputTensor,
    ModelInferResponse,
)
from inferd.protocol import bytes_tensor

_ANSWER_SECONDS: Final = 10.0
_DTYPES: Final = {"INT32": "<i4", "FP32": "<f4"}


class WrongAnswer(Exception):
    """The server answered something else than it should have."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    One encoded request.

    Attributes:
        path: Where it goes.
        headers: What goes with it, besides its length.
        body: Its bytes; for gRPC with the five bytes that frame a message.
    """

    path: str
    headers: dict[str, str]
    body: bytes


def encode(protocol: str, model: str) -> Request:
    """
    Encode the request for a model.

    Args:
        protocol: One of ``cases.Protocol``.
        model: The model's name.
    """
    inputs = exchange(model).inputs
    if protocol.startswith("grpc"):
        message = bytes(_message(protocol, model))
        headers = {"content-type": "application/grpc", "te": "trailers"}
        path = "/inference.GRPCInferenceService/ModelInfer"
        return Request(path, headers, b"\0" + len(message).to_bytes(4, "big") + message)
    path = f"/v2/models/{model}/infer"
    if protocol == "http json":
        entries = [_http_input(name, one, data=one.listed) for name, one in inputs.items()]
        body = json.dumps({"inputs": entries}, separators=(",", ":")).encode()
        return Request(path, {"content-type": "application/json"}, body)
    entries = [
        _http_input(name, one, parameters={"binary_data_size": len(one.raw)})
        for name, one in inputs.items()
    ]
    document = {"inputs": entries, "parameters": {"binary_data_output": True}}
    header = json.dumps(document, separators=(",", ":")).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(header)),
    }
    return Request(path, headers, header + b"".join(one.raw for one in inputs.values()))


def check(protocol: str, model: str, host: str, port: int) -> None:
    """
    Send one request and look at the answer.

    Raises:
        WrongAnswer: An error status, or other values than expected.
    """
    if protocol.startswith("grpc"):
        outputs = asyncio.run(_infer_over_grpc(_message(protocol, model), host, port))
    else:
        outputs = _infer_over_http(encode(protocol, model), host, port)
    for name, expected in exchange(model).outputs.items():
        if outputs.get(name) != expected.raw:
            raise WrongAnswer(f"{protocol}, {model}: {name} is wrong or missing")


def http_head(request: Request, host: str, port: int) -> bytes:
    """Return the head of a request over HTTP."""
    lines = [f"POST {request.path} HTTP/1.1", f"host: {host}:{port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"content-length: {len(request.body)}", "", ""]
    return "\r\n".join(lines).encode()


def raw_answer(request: Request, host: str, port: int) -> bytes:
    """Return the bytes a server answers a request over HTTP with, head and body."""
    with socket.create_connection((host, port), timeout=_ANSWER_SECONDS) as connection:
        connection.sendall(http_head(request, host, port) + request.body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(1 << 16)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(1 << 20)
    return head + b"\r\n\r\n" + body


def _http_input(name: str, values: Values, **content: Any) -> dict[str, Any]:
    return {"name": name, "datatype": values.datatype, "shape": list(values.shape), **content}


def _message(protocol: str, model: str) -> ModelInferRequest:
    inputs = exchange(model).inputs
    typed = protocol == "grpc contents"
    return ModelInferRequest(
        model_name=model,
        inputs=[
            ModelInferRequestInferInputTensor(
                name=name,
                datatype=one.datatype,
                shape=list(one.shape),
                contents=_contents(one) if typed else None,
            )
            for name, one in inputs.items()
        ],
        raw_input_contents=[] if typed else [one.raw for one in inputs.values()],
    )


def _contents(values: Values) -> InferTensorContents:
    return InferTensorContents(bytes_contents=[one.encode() for one in values.listed])


async def _infer_over_grpc(message: ModelInferRequest, host: str, port: int) -> dict[str, bytes]:
    channel = Channel(host, port)
    try:
        stub = GrpcInferenceServiceStub(channel)
        answer: ModelInferResponse = await stub.model_infer(message, timeout=_ANSWER_SECONDS)
    finally:
        channel.close()
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {output.name: raw for output, raw in pairs}


def _infer_over_http(request: Request, host: str, port: int) -> dict[str, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", request.path, request.body, request.headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise WrongAnswer(f"{request.path}: {answer.status} {body[:200]!r}")
    length = answer.headers.get("inference-header-content-length")
    start = len(body) if length is None else int(length)
    outputs = {}
    for output in json.loads(body[:start])["outputs"]:
        if "data" in output:
            outputs[output["name"]] = _from_json(output["datatype"], output["data"])
            continue
        size = output["parameters"]["binary_data_size"]
        outputs[output["name"]] = body[start : start + size]
        start += size
    return outputs


def _from_json(datatype: str, data: list[Any]) -> bytes:
    if datatype == "BYTES":
        return bytes_tensor.join(data)
    return np.array(data, _DTYPES[datatype]).tobytes()
