"""
Requests the server must refuse: which status, which words, and that it serves on.

Every request of a table goes over a connection that is used again right after it for a
request that must succeed.
"""

import base64
import json
from typing import Any

import pytest
from bad_grpc import GRPC_ROWS
from bad_http import HTTP_ROWS
from bad_requests import GRPC_CODES, ROWS, simple
from plain_http import PlainHttp
from wire_requests import as_binary, as_grpc, as_json

HTTP_ENCODINGS = {"json": as_json, "binary": as_binary}
GOOD = simple()
BOTH = [(row, encoding) for row in ROWS for encoding in row.encodings]


def good_answer(connection: PlainHttp) -> list[int]:
    """Return the sums the server computes for a good request on this connection."""
    headers, body = as_json(GOOD)
    answer = connection.post(GOOD.path(), body, headers)
    assert answer.status == 200, answer
    return answer.json()["outputs"][0]["data"]


@pytest.fixture(scope="module")
def grpc_answers(grpc_requests) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """For each gRPC row, its answer and that of the good request sent next on the channel."""
    wanted = [
        (f"{row.name}/grpc", ["ModelInfer", as_grpc(row.ask)]) for row, e in BOTH if e == "grpc"
    ]
    wanted += [(row.name, [row.rpc, row.message]) for row in GRPC_ROWS]
    good = ["ModelInfer", as_grpc(GOOD)]
    answers = iter(grpc_requests([each for _, bad in wanted for each in (bad, good)]))
    return {name: (next(answers), next(answers)) for name, _ in wanted}


@pytest.mark.parametrize(
    ("row", "encoding"), BOTH, ids=[f"{r.name.replace(' ', '-')}-{e}" for r, e in BOTH]
)
def test_a_request_that_does_not_fit_the_model_is_refused(http, grpc_answers, row, encoding):
    """Status and text are the reference's in every encoding, and the connection serves on."""
    if encoding == "grpc":
        bad, good = grpc_answers[f"{row.name}/grpc"]
        assert bad["code"] == GRPC_CODES[row.status], bad
        assert row.fits(bad["text"]), f"{bad['text']}\nexpected: {row.text}"
        assert good["code"] == "OK", good
        return
    headers, body = HTTP_ENCODINGS[encoding](row.ask)
    answer = http.post(row.ask.path(), body, headers)
    assert answer.status == row.status, answer
    assert row.fits(answer.error), f"{answer.error}\nexpected: {row.text}"
    assert good_answer(http) == [2] * 16


@pytest.mark.parametrize("row", HTTP_ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_a_body_that_is_no_request_is_refused(http, row):
    """A wrong body or header gets the reference's status and text on a connection that stays."""
    answer = http.post(row.path, row.body, row.headers)
    assert (answer.status, answer.error) == (row.status, row.text)
    assert answer.headers["content-type"] == "application/json"
    assert good_answer(http) == [2] * 16


@pytest.mark.parametrize("row", GRPC_ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_a_message_that_is_no_request_is_refused(grpc_answers, row):
    """A wrong message gets the reference's code and text on a channel that stays."""
    bad, good = grpc_answers[row.name]
    assert (bad["code"], bad["text"]) == (row.code, row.text)
    assert good["code"] == "OK", good


def test_errors_are_compact_json(http):
    """An error body is compact JSON with one key."""
    answer = http.post("/v2/models/nope/infer", b'{"inputs":[]}')
    assert answer.body == b'{"error":"Request for unknown model: \'nope\' is not found"}'


def test_a_body_over_the_limit_is_refused_before_it_is_parsed(server, http, input_limit):
    """One byte over ``--http-max-input-size`` is refused by name of the flag."""
    body = b" " * (input_limit + 1)
    try:
        answer = http.post("/v2/models/simple/infer", body, {"Content-Type": "application/json"})
    except (BrokenPipeError, ConnectionResetError):
        pytest.fail("the connection was cut before the client could read the answer")
    assert answer.status == 400
    assert answer.error == (
        f"request JSON size of {input_limit + 1} bytes exceeds the maximum allowed input size of"
        f" {input_limit} bytes. Use --http-max-input-size to increase the limit."
    )
    another = PlainHttp(server.http)
    assert good_answer(another) == [2] * 16
    another.close()


def test_a_body_at_the_limit_is_read(http, input_limit):
    """Exactly ``--http-max-input-size`` bytes are accepted."""
    headers, body = as_json(GOOD)
    answer = http.post(GOOD.path(), body + b" " * (input_limit - len(body)), headers)
    assert answer.status == 200, answer
    assert good_answer(http) == [2] * 16


def test_deep_nesting_is_an_answer_not_a_crash(http):
    """A quarter of a million opening brackets are refused like any other bad JSON."""
    for path in ("/v2/models/simple/infer", "/v2/repository/index"):
        answer = http.post(path, b"[" * 250_000)
        assert answer.status in (400, 500), answer
        assert "error" in answer.json()
    assert good_answer(http) == [2] * 16


def test_a_gzip_body_that_is_not_gzip_is_refused(http):
    """A body that does not match its Content-Encoding is an error of that request."""
    answer = http.post(GOOD.path(), as_json(GOOD)[1], {"Content-Encoding": "gzip"})
    assert answer.status == 400, answer
    assert good_answer(http) == [2] * 16


def test_an_unknown_compression_is_refused(http):
    """An unknown Content-Encoding is answered with the ones the server knows."""
    answer = http.post(GOOD.path(), as_json(GOOD)[1], {"Content-Encoding": "br"})
    assert (answer.status, answer.error) == (501, "Unsupported compression type")
    assert answer.headers["accept-encoding"] == "gzip, deflate"
    assert good_answer(http) == [2] * 16


def test_text_that_is_no_number_is_the_models_error(http, grpc_requests):
    """What the model itself refuses is an internal error with the backend's reason."""
    words = [{"name": n, "shape": [1, 16], "datatype": "BYTES", "data": ["x"] * 16} for n in
             ("INPUT0", "INPUT1")]  # fmt: skip
    answer = http.post("/v2/models/simple_string/infer", json.dumps({"inputs": words}).encode())
    assert answer.status == 500, answer
    assert "onnx runtime error" in answer.error.lower()
    raw = base64.b64encode(b"\x01\0\0\0x" * 16).decode()
    message = {
        "model_name": "simple_string",
        "inputs": [{"name": w["name"], "shape": [1, 16], "datatype": "BYTES"} for w in words],
        "raw_input_contents": [raw, raw],
    }
    (refused,) = grpc_requests([["ModelInfer", message]])
    assert refused["code"] == "INTERNAL"
    assert refused["text"] == answer.error
    assert good_answer(http) == [2] * 16
