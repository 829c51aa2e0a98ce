"""Tests of the bytes of the requests."""

import json
import zlib

import numpy as np
import pytest

from inferd.cli.benchmark.requests import (
    FINAL_RESPONSE,
    HttpForm,
    grpc_message,
    grpc_template,
    http_request,
    http_template,
)
from inferd.protocol.infer_protobuf import decode_request
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor

INPUTS = {"IN": Tensor("IN", "INT32", (2,), array=np.array([1, 2], "<i4"))}


def split(request):
    """Return the lines, the document and the tensors of a request over HTTP, checked."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    size = int(headers.get("Inference-Header-Content-Length", len(body)))
    return first, headers, json.loads(body[:size]), body[size:]


def values_of(parameters):
    """Return parameters without the numbers of their fields."""
    return {name: value for name, (_, value) in (parameters or {}).items()}


@pytest.mark.parametrize("parameters", [{}, {FINAL_RESPONSE: True}])
def test_grpc(parameters):
    """The server's own decoder reads the message and its parameters."""
    request = InferRequest("m", INPUTS, model_version="3", parameters=parameters)
    framed = grpc_message(request)
    message = decode_request(framed[5:])
    assert framed[0] == 0
    assert int.from_bytes(framed[1:5], "big") == len(framed) - 5
    assert (message.model_name, message.model_version) == ("m", "3")
    assert bytes(message.raw[0]) == b"\1\0\0\0\2\0\0\0"
    assert values_of(message.parameters) == parameters


@pytest.mark.parametrize("compression", ["", "gzip", "deflate"])
def test_grpc_sequence(compression):
    """A request of a sequence is the same message with its place in the sequence."""
    template = grpc_template(InferRequest("m", INPUTS, parameters={"p": 1.5}), compression)
    framed = template.fill(300, start=True, end=False)
    body = zlib.decompress(framed[5:], 47) if compression else framed[5:]
    message = decode_request(body)
    assert framed[0] == bool(compression)
    assert bytes(message.raw[0]) == b"\1\0\0\0\2\0\0\0"
    assert values_of(message.parameters) == {
        "p": 1.5,
        "sequence_id": 300,
        "sequence_start": True,
        "sequence_end": False,
    }


@pytest.mark.parametrize("json_inputs", [False, True])
@pytest.mark.parametrize("json_outputs", [False, True])
@pytest.mark.parametrize("parameters", [{}, {"p": "x"}])
def test_http_sequence(json_inputs, json_outputs, parameters):
    """A request of a sequence tells its place, in as many bytes whatever that is."""
    form = HttpForm("box:1", json_inputs=json_inputs, json_outputs=json_outputs)
    template = http_template(form, InferRequest("m", INPUTS, parameters=parameters))
    short, long = (template.fill(n, start=n == 1, end=n > 1) for n in (1, 2**63 - 1))
    _, _, document, blobs = split(long)
    assert len(short) == len(long)
    assert document["parameters"] == {
        **parameters,
        **({} if json_outputs else {"binary_data_output": True}),
        "sequence_id": 2**63 - 1,
        "sequence_start": False,
        "sequence_end": True,
    }
    assert document["inputs"][0].get("data") == ([1, 2] if json_inputs else None)
    assert blobs == (b"" if json_inputs else b"\1\0\0\0\2\0\0\0")
    assert split(short)[2]["parameters"]["sequence_start"] is True


@pytest.mark.parametrize("json_inputs", [False, True])
@pytest.mark.parametrize("json_outputs", [False, True])
def test_http(json_inputs, json_outputs):
    """The head tells the length of the body and, with binary inputs, of its JSON part."""
    form = HttpForm(
        "box:1",
        "/base",
        [("X-Key", "1")],
        json_inputs=json_inputs,
        json_outputs=json_outputs,
    )
    first, headers, document, blobs = split(http_request(form, InferRequest("m", INPUTS)))
    assert first == "POST /base/v2/models/m/infer HTTP/1.1"
    assert (headers["Host"], headers["X-Key"]) == ("box:1", "1")
    assert ("parameters" in document) is not json_outputs
    assert document["inputs"][0].get("data") == ([1, 2] if json_inputs else None)
    assert blobs == (b"" if json_inputs else b"\1\0\0\0\2\0\0\0")
