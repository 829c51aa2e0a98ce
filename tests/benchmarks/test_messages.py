"""The requests of the benchmark."""

import pytest
from cases import CASES
from exchanges import exchange
from messages import encode, http_head

from inferd.protocol import infer_json
from inferd.protocol.infer_codec import PYTHON
from inferd.protocol.json_document import parse


def decoded(case):
    """Return a case's request as the server reads it."""
    request = encode(case.protocol, case.model)
    if not case.over_http:
        assert request.body[:5] == b"\0" + (len(request.body) - 5).to_bytes(4, "big")
        return PYTHON.to_request(PYTHON.decode_request(request.body[5:]))
    length = int(request.headers.get("inference-header-content-length", len(request.body)))
    view = memoryview(request.body)
    return infer_json.decode_request(
        parse(view[:length]),
        view[length:],
        model_name=case.model,
        model_version="",
        max_input_size=1 << 30,
    ).request


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_server_reads_what_is_meant(case):
    """Names, datatypes, shapes and elements are those of the exchange."""
    expected = exchange(case.model).inputs
    request = decoded(case)

    assert request.model_name == case.model
    assert {
        name: (tensor.datatype, tuple(tensor.shape), bytes(tensor.raw()))
        for name, tensor in request.inputs.items()
    } == {name: (one.datatype, one.shape, one.raw) for name, one in expected.items()}


def test_a_case_counts_the_bytes_of_its_tensors():
    """Inputs and outputs together."""
    for case in CASES:
        tensors = exchange(case.model)
        both = [*tensors.inputs.values(), *tensors.outputs.values()]
        assert case.both_ways == sum(len(one.raw) for one in both)


def test_a_head_says_where_the_body_ends():
    """A request over HTTP is its head and its body."""
    request = encode("http json", "simple_batched")
    head = http_head(request, "localhost", 8000)

    assert head.startswith(b"POST /v2/models/simple_batched/infer HTTP/1.1\r\n")
    assert b"\r\ncontent-length: %d\r\n" % len(request.body) in head
    assert head.endswith(b"\r\n\r\n")
