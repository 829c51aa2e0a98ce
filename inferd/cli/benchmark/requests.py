"""
Makes the bytes of the requests, once, before the load begins.

The libraries of the protocols are imported when they are needed: every command loads this module.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inferd.cli.benchmark.http2 import framed
from inferd.cli.benchmark.templates import GrpcTemplate, HttpTemplate, json_parameters
from inferd.cli.tensor_output import values
from inferd.protocol.binary_extension import HEADER
from inferd.protocol.messages import InferRequest

FINAL_RESPONSE = "triton_enable_empty_final_response"
"""The parameter that asks for the end of the responses to be told apart."""


def grpc_message(request: InferRequest, compression: str = "") -> bytes:
    """
    Return a ``ModelInferRequest`` with gRPC's prefix.

    Args:
        request: The request.
        compression: ``""``, ``"gzip"`` or ``"deflate"``.
    """
    return framed(_message(request), compression)


def grpc_template(request: InferRequest, compression: str = "") -> GrpcTemplate:
    """Return the same without its place in a sequence."""
    return GrpcTemplate(_message(request), compression)


def _message(request: InferRequest) -> bytes:
    from inferd.cli.clients.grpc import encode_request

    return bytes(encode_request(request))


@dataclass(frozen=True, slots=True)
class HttpForm:
    """
    How requests travel over HTTP.

    Attributes:
        authority: ``HOST:PORT``.
        base: What comes before ``/v2`` in the path.
        headers: Further headers.
        json_inputs: Whether the inputs are JSON numbers, not binary.
        json_outputs: Whether the outputs are asked for as JSON numbers.
    """

    authority: str
    base: str = ""
    headers: Sequence[tuple[str, str]] = ()
    json_inputs: bool = False
    json_outputs: bool = False


def http_request(form: HttpForm, request: InferRequest) -> bytes:
    """Return a request with its head."""
    document, blobs = _parts(form, request)
    text = _encoded(document)
    return _head(form, request, len(text), len(text) + len(blobs)) + text + blobs


def http_template(form: HttpForm, request: InferRequest) -> HttpTemplate:
    """Return the same without its place in a sequence."""
    document, blobs = _parts(form, request)
    further = _encoded(document.pop("parameters", {}))[1:]
    opening = b'{"parameters":{'
    rest = (b"" if further == b"}" else b",") + further + b"," + _encoded(document)[1:]
    size = len(opening) + len(json_parameters(1, start=True, end=True)) + len(rest)
    return HttpTemplate(_head(form, request, size, size + len(blobs)) + opening, rest + blobs)


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _parts(form: HttpForm, request: InferRequest) -> tuple[dict[str, Any], bytes]:
    """Return the document of a request and the bytes that follow it."""
    from inferd.cli.clients.http import request_parts

    document, blobs = request_parts(request)
    if form.json_outputs:
        del document["parameters"]["binary_data_output"]
        if not document["parameters"]:
            del document["parameters"]
    if not form.json_inputs:
        return document, b"".join(blobs)
    for entry, tensor in zip(document["inputs"], request.inputs.values(), strict=True):
        del entry["parameters"]
        entry["data"] = values(tensor).ravel().tolist()
    return document, b""


def _head(form: HttpForm, request: InferRequest, text_size: int, body_size: int) -> bytes:
    from inferd.cli.clients.http import model_path

    path = model_path(request.model_name, request.model_version)
    lines = [f"POST {form.base}{path}/infer HTTP/1.1", f"Host: {form.authority}"]
    if form.json_inputs:
        lines.append("Content-Type: application/json")
    else:
        lines += ["Content-Type: application/octet-stream", f"{HEADER}: {text_size}"]
    lines.append(f"Content-Length: {body_size}")
    lines += [f"{name}: {value}" for name, value in form.headers]
    return "\r\n".join([*lines, "", ""]).encode()
