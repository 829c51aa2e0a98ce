"""
Makes the bytes of the requests, once, before the load begins.

The libraries of the protocols are imported when they are needed: every command loads this module.
"""

import json
from collections.abc import Mapping, Sequence

from inferd.cli.benchmark.http2 import framed
from inferd.cli.tensor_output import values
from inferd.protocol.binary_extension import HEADER
from inferd.protocol.messages import InferRequest, ParameterValue
from inferd.protocol.tensors import Tensor

_EMPTY_FINAL = "triton_enable_empty_final_response"


def grpc_message(
    model: str, version: str, inputs: Mapping[str, Tensor], *, decoupled: bool
) -> bytes:
    """
    Return a ``ModelInferRequest`` with gRPC's prefix.

    Args:
        model: The model.
        version: Its version; empty for the latest.
        inputs: The inputs by name.
        decoupled: Whether the end of the responses must be told apart.
    """
    from inferd.cli.clients.grpc import encode_request

    parameters: dict[str, ParameterValue] = {_EMPTY_FINAL: True} if decoupled else {}
    request = InferRequest(model, dict(inputs), model_version=version, parameters=parameters)
    return framed(bytes(encode_request(request)))


def http_request(
    authority: str,
    base: str,
    request: InferRequest,
    headers: Sequence[tuple[str, str]],
    *,
    json_inputs: bool,
    json_outputs: bool,
) -> bytes:
    """
    Return a request with its head.

    Args:
        authority: ``HOST:PORT``.
        base: What comes before ``/v2`` in the path.
        request: The request.
        headers: Further headers.
        json_inputs: Whether the inputs are JSON numbers, not binary.
        json_outputs: Whether the outputs are asked for as JSON numbers.
    """
    from inferd.cli.clients.http import model_path, request_parts

    document, blobs = request_parts(request)
    if json_outputs:
        del document["parameters"]
    if json_inputs:
        for entry, tensor in zip(document["inputs"], request.inputs.values(), strict=True):
            del entry["parameters"]
            entry["data"] = values(tensor).ravel().tolist()
        blobs = []
    head = json.dumps(document, separators=(",", ":")).encode()
    body = b"".join((head, *blobs))
    path = model_path(request.model_name, request.model_version)
    lines = [f"POST {base}{path}/infer HTTP/1.1", f"Host: {authority}"]
    if json_inputs:
        lines.append("Content-Type: application/json")
    else:
        lines += [
            "Content-Type: application/octet-stream",
            f"{HEADER}: {len(head)}",
        ]
    lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
