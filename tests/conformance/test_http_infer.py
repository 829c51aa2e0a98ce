"""Inference over HTTP as curl sees it: bodies byte by byte, and headers."""

import gzip
import json
import struct

ROW = list(range(16))
INPUTS = [
    {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32", "data": ROW},
    {"name": "INPUT1", "shape": [1, 16], "datatype": "INT32", "data": [1] * 16},
]
SUMS = ",".join(str(v + 1) for v in ROW)
DIFFERENCES = ",".join(str(v - 1) for v in ROW)
INFER = "/v2/models/simple/infer"
VECTOR = '{"inputs":[{"name":"INPUT0","shape":[4],"datatype":"FP32","data":[0.1,0.4,0.3,0.4]}]'


def test_json_request_gets_compact_json(curl):
    """A JSON request is answered with compact JSON in the reference's order of keys."""
    answer = curl(INFER, body=json.dumps({"id": "7", "inputs": INPUTS}).encode())
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert "inference-header-content-length" not in answer.headers
    assert answer.body.decode() == (
        '{"id":"7","model_name":"simple","model_version":"1","outputs":['
        f'{{"name":"OUTPUT0","datatype":"INT32","shape":[1,16],"data":[{SUMS}]}},'
        f'{{"name":"OUTPUT1","datatype":"INT32","shape":[1,16],"data":[{DIFFERENCES}]}}]}}'
    )


def test_nested_data_is_read(curl):
    """Data nested as the shape says gives the same answer as flat data."""
    nested = [{**each, "data": [each["data"]]} for each in INPUTS]
    flat = curl(INFER, body=json.dumps({"inputs": INPUTS}).encode())
    assert curl(INFER, body=json.dumps({"inputs": nested}).encode()).body == flat.body


def test_binary_tensors_follow_the_json(curl):
    """Binary inputs are read behind the JSON, and binary outputs come back the same way."""
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": each["name"],
                    "shape": [1, 16],
                    "datatype": "INT32",
                    "parameters": {"binary_data_size": 64},
                }
                for each in INPUTS
            ],
            "outputs": [
                {"name": "OUTPUT1", "parameters": {"binary_data": True}},
                {"name": "OUTPUT0", "parameters": {"binary_data": True}},
            ],
        }
    ).encode()
    body = head + b"".join(struct.pack("<16i", *each["data"]) for each in INPUTS)
    answer = curl(
        INFER,
        *("-H", "Content-Type: application/octet-stream"),
        *("-H", f"Inference-Header-Content-Length: {len(head)}"),
        body=body,
    )
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    outputs = json.loads(answer.body[:length])["outputs"]
    assert [o["name"] for o in outputs] == ["OUTPUT1", "OUTPUT0"]
    assert [o["parameters"] for o in outputs] == [{"binary_data_size": 64}] * 2
    values = struct.unpack("<32i", answer.body[length:])
    assert list(values) == [v - 1 for v in ROW] + [v + 1 for v in ROW]


def test_listed_outputs_are_json_unless_they_say_otherwise(curl):
    """``binary_data_output`` speaks only for outputs that are not listed."""
    body = {"inputs": INPUTS, "parameters": {"binary_data_output": True}}
    unlisted = curl(INFER, body=json.dumps(body).encode())
    assert "inference-header-content-length" in unlisted.headers
    assert unlisted.body.endswith(struct.pack("<16i", *(v - 1 for v in ROW)))
    listed = curl(INFER, body=json.dumps({**body, "outputs": [{"name": "OUTPUT0"}]}).encode())
    assert "inference-header-content-length" not in listed.headers
    assert json.loads(listed.body)["outputs"][0]["data"] == [v + 1 for v in ROW]


def test_a_raw_body_is_the_only_input(curl):
    """With a header length of 0 the body is the tensor, and the answer is binary."""
    values = struct.pack("<4f", 1, 2, 3, 4)
    answer = curl(
        "/v2/models/vector/infer", "-H", "Inference-Header-Content-Length: 0", body=values
    )
    assert answer.status == 200
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:length])["outputs"][0]["shape"] == [4]
    assert answer.body[length:] == values


def test_a_raw_body_gives_the_unknown_dimension(curl):
    """The batch of 1 is added and the one unknown dimension follows from the size."""
    answer = curl(
        "/v2/models/id_fp32/infer", "-H", "Inference-Header-Content-Length: 0", body=bytes(12)
    )
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:length])["outputs"][0]["shape"] == [1, 3]


def test_a_raw_string_needs_no_length(curl):
    """A model of one string takes the body as its text."""
    answer = curl(
        "/v2/models/one_string/infer", "-H", "Inference-Header-Content-Length: 0", body=b"hello"
    )
    assert answer.status == 200
    assert answer.body.endswith(b"\x05\0\0\0hello")


def test_classification_names_value_index_and_label(curl):
    """Classes come largest first, the lower index first among equals, labels where known."""
    outputs = ',"outputs":[{"name":"OUTPUT0","parameters":{"classification":9}}]}'
    answer = curl("/v2/models/vector/infer", body=(VECTOR + outputs).encode())
    (output,) = json.loads(answer.body)["outputs"]
    assert output == {
        "name": "OUTPUT0",
        "datatype": "BYTES",
        "shape": [4],
        "data": ["0.400000:1:one", "0.400000:3", "0.300000:2:two", "0.100000:0:zero"],
    }


def test_classification_of_integers_has_no_decimals(curl):
    """Integer classes are printed plainly, with the batch dimension kept."""
    request = {
        "inputs": INPUTS,
        "outputs": [{"name": "OUTPUT0", "parameters": {"classification": 2}}],
    }
    answer = curl(INFER, body=json.dumps(request).encode())
    (output,) = json.loads(answer.body)["outputs"]
    assert (output["shape"], output["data"]) == ([1, 2], ["16:15", "15:14"])


def test_floats_are_printed_as_the_reference_does(curl):
    """A float is printed as the double it converts to; NaN and infinities are bare words."""
    given = (
        b'{"inputs":[{"name":"INPUT0","shape":[1,6],"datatype":"FP32",'
        b'"data":[NaN,Infinity,-Infinity,0.1,1,1e40]}]}'
    )
    answer = curl("/v2/models/id_fp32/infer", body=given)
    assert b'"data":[NaN,Infinity,-Infinity,0.10000000149011612,1.0,Infinity]' in answer.body


def test_text_is_not_escaped_to_ascii(curl):
    """UTF-8 passes through; quotes and control characters are escaped."""
    inputs = [{"name": "INPUT0", "shape": [1, 2], "datatype": "BYTES", "data": ["é☕", '"\n\x01']}]
    request = json.dumps({"id": "ü", "inputs": inputs}).encode()
    answer = curl("/v2/models/simple_identity/infer", body=request)
    assert '{"id":"ü",'.encode() in answer.body
    assert '"data":["é☕","\\"\\n\\u0001"]'.encode() in answer.body


def test_a_tensor_without_elements_is_answered(curl):
    """A dimension of 0 gives an empty answer and needs no data."""
    given = b'{"inputs":[{"name":"INPUT0","shape":[1,0],"datatype":"FP32","data":[]}]}'
    answer = curl("/v2/models/id_fp32/infer", body=given)
    assert json.loads(answer.body)["outputs"][0]["shape"] == [1, 0]
    assert b'"data":[]' in answer.body


def test_half_floats_cannot_be_printed(curl):
    """FP16 outputs are binary only."""
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "INPUT0",
                    "shape": [1, 1],
                    "datatype": "FP16",
                    "parameters": {"binary_data_size": 2},
                }
            ]
        }
    ).encode()
    answer = curl(
        "/v2/models/id_fp16/infer",
        *("-H", f"Inference-Header-Content-Length: {len(head)}"),
        body=head + b"\0\x3c",
    )
    assert answer.status == 400
    assert json.loads(answer.body)["error"].startswith(
        "sending FP16 data via JSON is not supported. Please use the binary data format for output"
    )


def test_answers_are_compressed_when_asked(curl):
    """``--compressed`` gets a gzip or deflate answer with the same content."""
    request = json.dumps({"inputs": INPUTS}).encode()
    plain = curl(INFER, body=request)
    for way in ("gzip", "deflate"):
        packed = curl(INFER, "--compressed", "-H", f"Accept-Encoding: {way}", body=request)
        assert packed.headers["content-encoding"] == way
        assert packed.body == plain.body


def test_a_chunked_request_is_read(curl):
    """A body sent in chunks is answered like any other."""
    request = json.dumps({"inputs": INPUTS}).encode()
    chunked = curl(INFER, "-H", "Transfer-Encoding: chunked", body=request)
    assert chunked.body == curl(INFER, body=request).body


def test_a_compressed_request_is_read(curl):
    """So is one whose body is compressed, also when it comes in chunks."""
    request = json.dumps({"inputs": INPUTS}).encode()
    plain = curl(INFER, body=request)
    encoding = ("-H", "Content-Encoding: gzip")
    packed = gzip.compress(request)
    assert curl(INFER, *encoding, body=packed).body == plain.body
    chunked = ("-H", "Transfer-Encoding: chunked")
    assert curl(INFER, *encoding, *chunked, body=packed).body == plain.body


def test_an_offer_to_speak_http_2_is_declined(curl):
    """curl's ``--http2`` asks for it beside a request; that is answered in HTTP/1.1."""
    request = json.dumps({"inputs": INPUTS}).encode()
    answer = curl(INFER, "--http2", body=request)
    assert answer.status == 200
    assert answer.body == curl(INFER, body=request).body
