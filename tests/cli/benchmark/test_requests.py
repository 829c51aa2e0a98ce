"""Tests of the bytes of the requests."""

import json

import numpy as np
import pytest

from inferd.cli.benchmark.requests import grpc_message, http_request
from inferd.protocol.infer_protobuf import decode_request
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor

INPUTS = {"IN": Tensor("IN", "INT32", (2,), array=np.array([1, 2], "<i4"))}


@pytest.mark.parametrize("decoupled", [False, True])
def test_grpc(decoupled):
    """The server's own decoder reads the message; decoupled ones ask for a final response."""
    framed = grpc_message("m", "3", INPUTS, decoupled=decoupled)
    message = decode_request(framed[5:])
    assert int.from_bytes(framed[1:5], "big") == len(framed) - 5
    assert (message.model_name, message.model_version) == ("m", "3")
    assert bytes(message.raw[0]) == b"\1\0\0\0\2\0\0\0"
    assert bool(message.parameters) is decoupled


@pytest.mark.parametrize("json_inputs", [False, True])
@pytest.mark.parametrize("json_outputs", [False, True])
def test_http(json_inputs, json_outputs):
    """The head tells the length of the body and, with binary inputs, of its JSON part."""
    request = http_request(
        "box:1",
        "/base",
        InferRequest("m", INPUTS),
        [("X-Key", "1")],
        json_inputs=json_inputs,
        json_outputs=json_outputs,
    )
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    assert first == "POST /base/v2/models/m/infer HTTP/1.1"
    assert (headers["Host"], headers["X-Key"]) == ("box:1", "1")
    assert int(headers["Content-Length"]) == len(body)
    size = int(headers.get("Inference-Header-Content-Length", len(body)))
    document = json.loads(body[:size])
    assert ("parameters" in document) is not json_outputs
    assert document["inputs"][0].get("data") == ([1, 2] if json_inputs else None)
    assert body[size:] == (b"" if json_inputs else b"\1\0\0\0\2\0\0\0")
