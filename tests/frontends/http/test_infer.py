"""Inference over HTTP."""

import asyncio
import gzip
import io
import json
import time
import zlib

import numpy as np
import pytest

from inferd.protocol.signature import TensorSpec
from inferd.protocol.tensors import Tensor

_URL = "/v2/models/echo/infer"
_LENGTH = "Inference-Header-Content-Length"


def _json(data, **extra):
    entry = {"name": "IN", "datatype": "FP32", "shape": [len(data)], "data": data}
    return {"inputs": [entry], **extra}


def _binary(blob, size=None, **extra):
    entry = {
        "name": "IN",
        "datatype": "UINT8",
        "shape": [len(blob)],
        "parameters": {"binary_data_size": len(blob) if size is None else size},
    }
    head = json.dumps({"inputs": [entry], **extra}).encode()
    return head + blob, {_LENGTH: str(len(head))}


async def test_json_in_and_json_out(http, dataplane):
    """A request in JSON is answered in compact JSON, members in Triton's order."""
    async with http.post(_URL, json=_json([1, 0.1], id="a")) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json"
        assert _LENGTH not in response.headers
        assert await response.read() == (
            b'{"id":"a","model_name":"echo","model_version":"1","outputs":'
            b'[{"name":"IN","datatype":"FP32","shape":[2],"data":[1.0,0.10000000149011612]}]}'
        )
    assert dataplane.requests[0].received_ns > 0


async def test_the_version_in_the_path_is_asked_for(http, dataplane):
    """A client can name the version it wants."""
    async with http.post("/v2/models/echo/versions/1/infer?x=y", json=_json([1])) as response:
        assert response.status == 200
    assert dataplane.requests[0].model_version == "1"


async def test_nan_and_infinity_go_both_ways(http):
    """Bare NaN and Infinity are read and written."""
    body = json.dumps(_json([float("nan"), float("-inf")]))
    async with http.post(_URL, data=body) as response:
        assert b'"data":[NaN,-Infinity]' in await response.read()


async def test_binary_in_and_binary_out(http, dataplane):
    """Binary outputs follow the JSON, whose length is in the header."""
    body, headers = _binary(b"\x01\x02", parameters={"binary_data_output": True})
    async with http.post(_URL, data=body, headers=headers) as response:
        answer = await response.read()
        assert response.headers["Content-Type"] == "application/octet-stream"
        length = int(response.headers[_LENGTH])
        assert answer[length:] == b"\x01\x02"
        (output,) = json.loads(answer[:length])["outputs"]
        assert output["parameters"] == {"binary_data_size": 2}


async def test_a_binary_input_is_a_view_on_the_body(http, dataplane):
    """Tensor bytes are not copied on their way to the model."""
    body, headers = _binary(b"\x01\x02")
    async with http.post(_URL, data=body, headers=headers) as response:
        assert response.status == 200
    raw = dataplane.requests[0].inputs["IN"].raw()
    assert isinstance(raw, memoryview)
    assert raw.obj.endswith(body)


@pytest.mark.parametrize("size", [1 << 16, 3 << 20])
async def test_large_binary_outputs_arrive_whole(http, dataplane, size):
    """Outputs larger than any buffer on the way are written in order."""
    values = np.arange(size, dtype=np.uint8)
    dataplane.outputs = [
        Tensor("A", "UINT8", values.shape, array=values),
        Tensor("B", "UINT8", (3,), array=values[:3]),
    ]
    body, headers = _binary(b"", parameters={"binary_data_output": True})
    async with http.post(_URL, data=body, headers=headers) as response:
        answer = await response.read()
        length = int(response.headers[_LENGTH])
    assert answer[length:] == values.tobytes() + values[:3].tobytes()


async def test_listed_outputs_are_binary_when_they_say_so(http, dataplane):
    """A large output listed as binary does not go through JSON."""
    values = np.zeros(1 << 17, np.uint8)
    dataplane.outputs = [Tensor("A", "UINT8", values.shape, array=values)]
    outputs = [{"name": "A", "parameters": {"binary_data": True}}]
    async with http.post(_URL, json=_json([1], outputs=outputs)) as response:
        assert (await response.read()).endswith(values.tobytes())


async def test_an_empty_binary_output_is_plain_json(http):
    """With no bytes behind the JSON the answer is declared as JSON."""
    body, headers = _binary(b"", parameters={"binary_data_output": True})
    async with http.post(_URL, data=body, headers=headers) as response:
        assert response.headers["Content-Type"] == "application/json"
        assert (await response.json())["outputs"][0]["parameters"] == {"binary_data_size": 0}


@pytest.mark.parametrize("headers", [{_LENGTH: "0"}, {_LENGTH: ""}])
async def test_a_raw_binary_request_is_the_only_input(http, dataplane, headers):
    """The shape comes from the model's config and the body's size; outputs are binary."""
    body = np.array([1, 2], np.float32).tobytes()
    async with http.post(_URL, data=body, headers=headers) as response:
        assert (await response.read()).endswith(body)
        assert response.headers["Content-Type"] == "application/octet-stream"
    assert dataplane.requests[0].inputs["IN"].shape == (1, 2)


async def test_an_empty_body_is_a_raw_request(http, dataplane):
    """No body at all is an input without elements."""
    async with http.post(_URL) as response:
        assert response.status == 200
    assert dataplane.requests[0].inputs["IN"].shape == (1, 0)


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (
            b"A",
            {},
            500,
            "failed to parse the request JSON buffer: Invalid value. at 0",
        ),
        (
            _binary(b"abcd", 6)[0],
            _binary(b"abcd", 6)[1],
            400,
            "unexpected size for input 'IN', expecting 2 additional bytes for model 'echo'",
        ),
        (
            _binary(b"abcd", 3)[0],
            _binary(b"abcd", 3)[1],
            400,
            "unexpected additional input data for model 'echo'",
        ),
        (
            b"{}",
            {_LENGTH: "3"},
            400,
            "inference header size should be in range (0, 2), got: 3",
        ),
        (
            b"{}",
            {_LENGTH: "two"},
            400,
            "Unable to parse Inference-Header-Content-Length, got: two",
        ),
    ],
)
async def test_a_bad_body_is_refused_and_the_connection_stays(http, body, headers, status, message):
    """After the error the same connection serves the next request."""
    async with http.post(_URL, data=body, headers=headers) as response:
        assert response.status == status
        assert await response.json() == {"error": message}
        assert response.headers.get("Connection") != "close"
    async with http.post(_URL, json=_json([1])) as response:
        assert response.status == 200


@pytest.mark.parametrize("headers", [{}, {_LENGTH: "0"}, {_LENGTH: "x"}])
async def test_an_unknown_model_is_reported_before_a_bad_body(http, headers):
    """404 wins over whatever is wrong with the body."""
    async with http.post("/v2/models/no/infer", data=b"rubbish", headers=headers) as response:
        assert response.status == 404


async def test_a_raw_request_to_a_model_of_strings(http, dataplane):
    """The whole body is the one string."""
    dataplane.spec = TensorSpec("IN", "BYTES", 0, (1,))
    async with http.post(_URL, data=b"text", headers={_LENGTH: "0"}) as response:
        assert (await response.read()).endswith(b"\x04\x00\x00\x00text")


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_compressed_both_ways(http, encoding, compress):
    """A compressed request is expanded, and the answer compressed as the client accepts."""
    headers = {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    body = compress(json.dumps(_json([1])).encode())
    async with http.post(_URL, data=body, headers=headers) as response:
        assert response.headers["Content-Encoding"] == encoding
        answer = zlib.decompress(await response.read(), 47)
    assert json.loads(answer)["outputs"][0]["data"] == [1.0]


async def test_a_client_that_prefers_plain_answers_gets_them(http):
    """Accepting an encoding is not asking for it when identity weighs more."""
    headers = {"Accept-Encoding": "gzip;q=0.5, identity"}
    async with http.post(_URL, json=_json([1]), headers=headers) as response:
        assert "Content-Encoding" not in response.headers
        assert (await response.json())["outputs"][0]["data"] == [1.0]


async def test_the_json_length_counts_expanded_bytes(http):
    """Binary requests and responses keep their header when compressed."""
    body, headers = _binary(bytes(20_000), parameters={"binary_data_output": True})
    headers |= {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    async with http.post(_URL, data=gzip.compress(body), headers=headers) as response:
        length = int(response.headers[_LENGTH])
        assert gzip.decompress(await response.read())[length:] == bytes(20_000)


async def test_a_compression_bomb_is_refused(http):
    """A small body that expands beyond the limit is answered 400, and the server goes on."""
    body = gzip.compress(bytes((1 << 20) + 1))
    async with http.post(_URL, data=body, headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 400
        assert (await response.json())["error"].startswith("Decompressed data size exceeds")
    async with http.post(_URL, json=_json([1])) as response:
        assert response.status == 200


async def test_an_unknown_encoding_names_the_known_ones(http):
    """501 comes with the encodings that would have worked."""
    async with http.post(_URL, data=b"x", headers={"Content-Encoding": "br"}) as response:
        assert response.status == 501
        assert response.headers["Accept-Encoding"] == "gzip, deflate"
        assert await response.read() == b'{"error":"Unsupported compression type"}'


async def test_a_large_json_body_is_read_beside_other_requests(dataplane, http):
    """JSON of almost the size limit and a large JSON answer go through threads."""
    count = (1 << 19) - 100
    entry = {"name": "IN", "datatype": "UINT8", "shape": [count], "data": [7] * count}
    padding = " " * 100
    body = json.dumps({"inputs": [entry]}, separators=(",", ":")) + padding
    assert len(body) <= 1 << 20
    async with http.post(_URL, data=body) as response:
        assert len((await response.json())["outputs"][0]["data"]) == count


async def test_json_beyond_the_inline_limit_is_decoded_in_a_thread(dataplane, server_with_limit):
    """JSON above one mebibyte does not stop the loop while it is read."""
    session = await server_with_limit(8 << 20)
    data = [1.5] * 300_000
    body = io.BytesIO(json.dumps(_json(data)).encode())
    async with session.post(_URL, data=body) as response:
        assert (await response.json())["outputs"][0]["data"] == data


async def test_deep_json_does_not_crash(http):
    """A quarter of a million brackets are an error like any other."""
    deep = b"[" * 250_000 + b"]" * 250_000
    body = b'{"inputs":[{"name":"IN","datatype":"FP32","shape":[1],"data":%s}]}' % deep
    async with http.post(_URL, data=body) as response:
        assert response.status == 400
        assert await response.json() == {
            "error": "JSON nesting depth exceeds maximum allowed limit (100)"
        }
    async with http.post(_URL, data=b"[" * 250_000) as response:
        assert response.status == 500


async def test_a_client_that_leaves_cancels_its_request(connect, dataplane):
    """The model does not go on working for a client that has disconnected."""
    dataplane.gate = asyncio.Event()
    body = json.dumps(_json([1])).encode()
    async with connect() as connection:
        connection.send(b"POST %s HTTP/1.1\r\nHost: x\r\n" % _URL.encode())
        connection.send(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await asyncio.wait_for(dataplane.started.wait(), 5)
    await asyncio.wait_for(dataplane.cancelled.wait(), 5)


async def test_a_client_that_leaves_during_a_large_answer(connect, http, dataplane):
    """A half-written answer does not disturb other clients."""
    values = np.zeros(32 << 20, np.uint8)
    dataplane.outputs = [Tensor("A", "UINT8", values.shape, array=values)]
    body, headers = _binary(b"", parameters={"binary_data_output": True})
    head = f"POST {_URL} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    head += f"{_LENGTH}: {headers[_LENGTH]}\r\n\r\n"
    async with connect() as connection:
        connection.send(head.encode() + body)
        await connection.reader.readexactly(100)
    dataplane.outputs = None
    async with http.post(_URL, json=_json([1])) as response:
        assert response.status == 200


async def test_without_a_header_there_is_no_deadline(http, dataplane):
    """The data plane is told so."""
    async with http.post(_URL, json=_json([1])) as response:
        assert response.status == 200
    assert dataplane.requests[0].deadline_ns == 0


async def test_a_deadline_reaches_the_data_plane(http, dataplane):
    """Counted from the arrival of the headers."""
    before_ns = time.monotonic_ns()
    async with http.post(_URL, json=_json([1]), headers={"inferd-timeout-ms": "60000"}) as response:
        assert response.status == 200
    waited_ns = dataplane.requests[0].deadline_ns - 60_000_000_000
    assert before_ns <= waited_ns <= dataplane.requests[0].received_ns


async def test_the_answer_does_not_come_after_the_deadline(http, dataplane):
    """It is an error then, and the request is taken back."""
    dataplane.gate = asyncio.Event()
    async with http.post(_URL, json=_json([1]), headers={"inferd-timeout-ms": "20"}) as response:
        assert response.status == 504
        assert await response.json() == {"error": "Deadline Exceeded"}
    await asyncio.wait_for(dataplane.cancelled.wait(), 10)


async def test_a_timeout_of_the_model_is_not_the_clients(http, dataplane):
    """Its own clock has not run out."""
    dataplane.failure = TimeoutError("of a framework")
    async with http.post(_URL, json=_json([1]), headers={"inferd-timeout-ms": "60000"}) as response:
        assert response.status == 500


async def test_a_header_that_is_no_number_is_refused(http):
    """The connection goes on."""
    for _ in range(2):
        headers = {"inferd-timeout-ms": "soon"}
        async with http.post(_URL, json=_json([1]), headers=headers) as response:
            assert response.status == 400
            assert "inferd-timeout-ms 'soon'" in (await response.json())["error"]
