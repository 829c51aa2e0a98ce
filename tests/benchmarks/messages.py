"""
The requests the benchmark sends, ready encoded, and the check that an answer is right.

Every request adds and subtracts the same two INT32 vectors of 16; the three protocols
carry it as Triton's own clients would.
"""

import asyncio
import http.client
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from grpclib.client import Channel

from inferd._generated.inference import (
    GrpcInferenceServiceStub,
    ModelInferRequest,
    ModelInferRequestInferInputTensor,
    ModelInferResponse,
)

_FIRST: Final = np.arange(16, dtype="<i4")
_SECOND: Final = np.full(16, 3, dtype="<i4")
_EXPECTED: Final = {"OUTPUT0": _FIRST + _SECOND, "OUTPUT1": _FIRST - _SECOND}
_ANSWER_SECONDS: Final = 10.0


class WrongAnswer(Exception):
    """The server answered something else than the sum and the difference."""


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
        protocol: ``"grpc"``, ``"http json"`` or ``"http binary"``.
        model: The model's name.
    """
    if protocol == "grpc":
        message = bytes(_message(model))
        headers = {"content-type": "application/grpc", "te": "trailers"}
        path = "/inference.GRPCInferenceService/ModelInfer"
        return Request(path, headers, b"\0" + len(message).to_bytes(4, "big") + message)
    path = f"/v2/models/{model}/infer"
    if protocol == "http json":
        inputs = [_http_input(name, data=values.tolist()) for name, values in _inputs().items()]
        body = json.dumps({"inputs": inputs}).encode()
        return Request(path, {"content-type": "application/json"}, body)
    inputs = [
        _http_input(name, parameters={"binary_data_size": values.nbytes})
        for name, values in _inputs().items()
    ]
    document = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    header = json.dumps(document).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(header)),
    }
    return Request(path, headers, header + b"".join(v.tobytes() for v in _inputs().values()))


def check(protocol: str, model: str, host: str, port: int) -> None:
    """
    Send one request and look at the answer.

    Raises:
        WrongAnswer: An error status, or other numbers than expected.
    """
    if protocol == "grpc":
        outputs = asyncio.run(_infer_over_grpc(model, host, port))
    else:
        outputs = _infer_over_http(encode(protocol, model), host, port)
    for name, expected in _EXPECTED.items():
        if name not in outputs or not np.array_equal(outputs[name], expected):
            raise WrongAnswer(f"{protocol}, {model}: {name} is {outputs.get(name)}")


def _inputs() -> dict[str, np.ndarray]:
    return {"INPUT0": _FIRST, "INPUT1": _SECOND}


def _http_input(name: str, **content: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "INT32", "shape": [1, 16], **content}


def _message(model: str) -> ModelInferRequest:
    return ModelInferRequest(
        model_name=model,
        inputs=[
            ModelInferRequestInferInputTensor(name=name, datatype="INT32", shape=[1, 16])
            for name in _inputs()
        ],
        raw_input_contents=[values.tobytes() for values in _inputs().values()],
    )


async def _infer_over_grpc(model: str, host: str, port: int) -> dict[str, np.ndarray]:
    channel = Channel(host, port)
    try:
        stub = GrpcInferenceServiceStub(channel)
        answer: ModelInferResponse = await stub.model_infer(
            _message(model), timeout=_ANSWER_SECONDS
        )
    finally:
        channel.close()
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {output.name: np.frombuffer(raw, "<i4") for output, raw in pairs}


def _infer_over_http(request: Request, host: str, port: int) -> dict[str, np.ndarray]:
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
            outputs[output["name"]] = np.array(output["data"])
            continue
        size = output["parameters"]["binary_data_size"]
        outputs[output["name"]] = np.frombuffer(body[start : start + size], "<i4")
        start += size
    return outputs
