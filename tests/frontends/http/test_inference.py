"""What the application and the lane share of an inference."""

import asyncio
import gzip
import time

import numpy as np
import pytest

from inferd.errors import DeadlineExceeded, MalformedDocument, UnsupportedFeature
from inferd.frontends.http import inference
from inferd.frontends.http.inference import Inference
from inferd.frontends.http.routes import Route
from inferd.protocol.infer_json import DecodedRequest, EncodedResponse
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor

_ROUTE = Route("infer", "echo")
_BODY = b'{"inputs":[{"name":"IN","datatype":"FP32","shape":[1],"data":[%s]}]}'


@pytest.mark.parametrize("size", [1, 5000, (1 << 20) + 1])
async def test_bodies_of_any_size_are_read(dataplane, size):
    """Short and long JSON mean the same, in whatever thread they are read."""
    decoded = await Inference(dataplane, 1000).decode(_BODY % b"1.5".rjust(size), None, _ROUTE)
    assert decoded.request.inputs["IN"].array().tolist() == [1.5]


async def test_a_raw_body_is_the_only_input(dataplane):
    """With a JSON length of 0 the body is the tensor."""
    decoded = await Inference(dataplane, 1000).decode(np.float32(2).tobytes(), "0", _ROUTE)
    assert decoded.request.inputs["IN"].array().tolist() == [[2.0]]
    assert decoded.binary_output


@pytest.mark.parametrize(
    ("body", "header", "values"),
    [
        (_BODY % b"1.5", None, [1.5]),
        (_BODY % b"NaN", None, [np.nan]),
        (_BODY % b"[-Infinity]", None, [-np.inf]),
        (_BODY % (b"1" + b"0" * 30), None, [np.float32(1e30)]),
        (np.float32(2).tobytes(), "0", [[2.0]]),
    ],
)
def test_short_bodies_are_read_at_once(dataplane, body, header, values):
    """What is read without a thread is read in the same way."""
    decoded = Inference(dataplane, 1000).decode_now(memoryview(body), header, _ROUTE)
    np.testing.assert_equal(decoded.request.inputs["IN"].array().tolist(), values)


def test_the_same_header_is_read_once(dataplane):
    """Other tensors behind the same JSON are other requests."""
    shared = Inference(dataplane, 1000)
    head = (
        b'{"inputs":[{"name":"IN","datatype":"FP32","shape":[1],'
        b'"parameters":{"binary_data_size":4}}]}'
    )
    for value in (1.0, 2.0, 3.0):
        body = memoryview(head + np.float32(value).tobytes())
        decoded = shared.decode_now(body, str(len(head)), _ROUTE)
        assert decoded.request.inputs["IN"].array().tolist() == [value]


def test_short_bodies_are_checked(dataplane):
    """An error is the same whether a body is read at once or not."""
    with pytest.raises(MalformedDocument):
        Inference(dataplane, 1000).decode_now(memoryview(_BODY % b"true"), None, _ROUTE)
    with pytest.raises(MalformedDocument, match="Number too big"):
        Inference(dataplane, 1000).decode_now(memoryview(_BODY % b"1e999"), None, _ROUTE)


@pytest.mark.parametrize(
    ("tensor", "long"),
    [
        (Tensor("OUT", "INT8", [1 << 16], raw=bytes(1 << 16)), False),
        (Tensor("OUT", "INT8", [(1 << 16) + 1], raw=bytes((1 << 16) + 1)), True),
        (Tensor("OUT", "BYTES", [1], array=np.array([b"x" * (1 << 19)], object)), True),
        (Tensor("OUT", "BYTES", [1], array=np.array([b"x" * ((1 << 19) - 8)], object)), False),
        (Tensor("OUT", "BYTES", [1], raw=bytes(1 << 19)), True),
    ],
)
def test_answers_that_take_long_are_known(tensor, long):
    """Much JSON is many numbers or long strings; tensors behind it do not count."""
    response = InferResponse("echo", "1", [tensor])
    assert inference.is_long(response, DecodedRequest(InferRequest("echo", {}), False)) is long
    assert not inference.is_long(response, DecodedRequest(InferRequest("echo", {}), True))


async def test_a_deadline_in_the_past(dataplane):
    """A request whose time is up is not answered."""
    shared = Inference(dataplane, 1000)
    decoded = await shared.decode(_BODY % b"1", None, _ROUTE)
    decoded.request.deadline_ns = time.monotonic_ns() - 1
    dataplane.gate = asyncio.Event()
    with pytest.raises(DeadlineExceeded):
        await shared.run(decoded.request)


async def test_a_timeout_of_the_model_is_an_error_of_its_own(dataplane):
    """A TimeoutError that is not the deadline's is not taken for it."""
    shared = Inference(dataplane, 1000)
    decoded = await shared.decode(_BODY % b"1", None, _ROUTE)
    dataplane.failure = TimeoutError("storage")
    with pytest.raises(TimeoutError, match="storage"):
        await shared.run(decoded.request)


async def test_decoupled_models_need_a_stream(dataplane, stream_replies):
    """A decoupled model cannot answer with one document."""
    stream_replies()
    shared = Inference(dataplane, 1000)
    decoded = await shared.decode(_BODY % b"1", None, _ROUTE)
    with pytest.raises(UnsupportedFeature, match="decoupled transaction policy"):
        await shared.run(decoded.request)


async def test_the_answer_is_in_pieces():
    """JSON and tensors are not joined, and the JSON's length is in a header."""
    found = await inference.answer(EncodedResponse(b"{}", [b"ab", b"c"]), "identity")
    assert found.headers == {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": "2",
    }
    assert found.pieces == (b"{}", b"ab", b"c")


@pytest.mark.parametrize("size", [1, 1 << 14])
async def test_the_answer_is_compressed(size):
    """A client that takes gzip gets one compressed piece, whatever its size."""
    found = await inference.answer(EncodedResponse(b"{}", [b"a" * size]), "gzip")
    assert found.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(found.pieces[0]) == b"{}" + b"a" * size
