"""Inference requests and responses in JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import InvalidRequest, MalformedDocument, UnsupportedFeature
from inferd.protocol.infer_json import decode_request, encode_response
from inferd.protocol.messages import InferResponse, RequestedOutput
from inferd.protocol.tensors import Tensor


def _decode(document, binary=b""):
    return decode_request(
        document,
        memoryview(binary),
        model_name="m",
        model_version="2",
        max_input_size=1 << 20,
    )


def _input(**fields):
    return {"name": "X", "datatype": "INT8", "shape": [1], "data": [1], **fields}


def _without(key):
    entry = _input()
    del entry[key]
    return entry


def _binary_input(name, size):
    entry = {"name": name, "datatype": "UINT8", "shape": [size]}
    return {**entry, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize("shape", [[1 << 32], [(1 << 32) + 1], [1 << 16, 1 << 17], [2, 0], []])
def test_shapes_are_taken_as_they_are(shape):
    """Large shapes, shapes with a 0 and the empty one come through like any other."""
    entry = {**_binary_input("X", 0), "shape": shape}
    request, _ = _decode({"inputs": [entry]})
    assert request.inputs["X"].shape == tuple(shape)


def test_a_minimal_request():
    """Everything but the inputs has a default."""
    request, binary_output = _decode({"inputs": [_input()]})
    assert (request.model_name, request.model_version, request.id) == ("m", "2", "")
    assert request.inputs["X"].array().tolist() == [1]
    assert list(request.outputs) == []
    assert request.parameters == {}
    assert (request.sequence_id, request.sequence_start, request.sequence_end) == (0, False, False)
    assert (request.priority, request.timeout_us, binary_output) == (0, 0, False)


def test_all_request_parameters():
    """Known parameters reach their field, others the model."""
    request, binary_output = _decode(
        {
            "id": "a",
            "parameters": {
                "sequence_id": 18446744073709551615,
                "sequence_start": True,
                "sequence_end": True,
                "priority": 3,
                "timeout": 9,
                "binary_data_output": True,
                "text": "t",
                "flag": False,
                "number": -1,
                "real": 0.5,
                "large": 1 << 63,
            },
            "inputs": [],
        }
    )
    assert request.id == "a"
    assert request.sequence_id == 18446744073709551615
    assert request.sequence_start
    assert request.sequence_end
    assert (request.priority, request.timeout_us, binary_output) == (3, 9, True)
    assert request.parameters == {
        "text": "t",
        "flag": False,
        "number": -1,
        "real": 0.5,
        "large": float(1 << 63),
    }


def test_a_sequence_may_be_named_by_a_string():
    """Correlation ids are numbers or strings."""
    document = {"parameters": {"sequence_id": "s"}, "inputs": []}
    assert _decode(document).request.sequence_id == "s"


def test_outputs_and_their_parameters():
    """Listed outputs are JSON unless they say otherwise."""
    outputs = [
        {"name": "A"},
        {"name": "B", "parameters": {"binary_data": True, "other": 1}},
        {"name": "C", "parameters": {"classification": 5}},
    ]
    request, _ = _decode({"inputs": [], "outputs": outputs})
    found = [(one.name, one.binary_data, one.classification) for one in request.outputs]
    assert found == [("A", False, 0), ("B", True, 0), ("C", False, 5)]


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_binary_inputs_follow_the_json_in_order(pieces):
    """Each binary input gets its own bytes."""
    inputs = [_binary_input(str(n), len(piece)) for n, piece in enumerate(pieces)]
    request, _ = _decode({"inputs": [*inputs, _input()]}, b"".join(pieces))
    assert [bytes(request.inputs[str(n)].raw()) for n in range(len(pieces))] == pieces


_NO_MEMBER = "attempt to access non-existing object member"
_NOT_UNSIGNED = "attempt to access JSON non-unsigned-integer as unsigned-integer"
_NOT_STRING = "attempt to access JSON non-string as string"
_NOT_BOOL = "attempt to access JSON non-boolean as boolean"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], f"Unable to parse 'inputs': {_NO_MEMBER} 'inputs'"),
        ({}, f"Unable to parse 'inputs': {_NO_MEMBER} 'inputs'"),
        ({"inputs": {}}, "Unable to parse 'inputs': attempt to access JSON non-array as array"),
        ({"id": 1, "inputs": []}, f"Unable to parse 'id': {_NOT_STRING}"),
        (
            {"parameters": [], "inputs": []},
            "failed to get request params.: attempt to get members for non-object",
        ),
        ({"inputs": [_without("name")]}, f"Unable to parse 'name': {_NO_MEMBER} 'name'"),
        ({"inputs": [_input(name=1)]}, f"Unable to parse 'name': {_NOT_STRING}"),
        (
            {"inputs": [_without("datatype")]},
            f"Unable to parse 'datatype': {_NO_MEMBER} 'datatype'",
        ),
        ({"inputs": [_without("shape")]}, f"Unable to parse 'shape': {_NO_MEMBER} 'shape'"),
        ({"inputs": [_input(shape=[2, -5])]}, f"Unable to parse 'shape': {_NOT_UNSIGNED}"),
        ({"inputs": [_input(shape=[1.0])]}, f"Unable to parse 'shape': {_NOT_UNSIGNED}"),
        (
            {"inputs": [_input(data=[1, 2])]},
            "Unable to parse 'data': Shape does not match true shape of 'data' field",
        ),
        (
            {"inputs": [{**_without("data"), "parameters": {"binary_data_size": "4"}}]},
            f"Unable to parse 'binary_data_size': {_NOT_UNSIGNED}",
        ),
        (
            {"inputs": [{**_without("data"), "parameters": {"shared_memory_region": 1}}]},
            f"Unable to parse 'shared_memory_region': {_NOT_STRING}",
        ),
        (
            {"inputs": [], "outputs": 1},
            "Unable to parse 'outputs': attempt to access JSON non-array as array",
        ),
        ({"inputs": [], "outputs": [{}]}, f"Unable to parse 'name': {_NO_MEMBER} 'name'"),
        (
            {"inputs": [], "outputs": [{"name": "A", "parameters": {"classification": -1}}]},
            f"Unable to set 'classification': {_NOT_UNSIGNED}",
        ),
        (
            {"inputs": [], "outputs": [{"name": "A", "parameters": {"binary_data": 1}}]},
            f"Unable to parse 'binary_data': {_NOT_BOOL}",
        ),
        *(
            ({"parameters": {key: value}, "inputs": []}, f"Unable to parse '{key}': {inner}")
            for key, value, inner in (
                ("sequence_id", -1, _NOT_STRING),
                ("sequence_start", 1, _NOT_BOOL),
                ("sequence_end", "true", _NOT_BOOL),
                ("priority", -1, _NOT_UNSIGNED),
                ("timeout", 1.5, _NOT_UNSIGNED),
                ("binary_data_output", 0, _NOT_BOOL),
            )
        ),
    ],
)
def test_fields_of_the_wrong_type(document, message):
    """What is missing or mistyped is named, as Triton's internal error."""
    with pytest.raises(MalformedDocument) as caught:
        _decode(document)
    assert caught.value.message == message


_ONE_SOURCE = (
    "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', "
    "'shared_memory_region' in 'parameters'. But "
)
_MAXIMUM = 9223372036854775807


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"inputs": [_without("data")]}, _ONE_SOURCE + "no field is set"),
        ({"inputs": [1]}, _ONE_SOURCE + "no field is set"),
        (
            {"inputs": [_input(parameters={"binary_data_size": 1})]},
            _ONE_SOURCE + "set 'data' 'binary_data_size'",
        ),
        (
            {"inputs": [_input(parameters={"shared_memory_region": "r", "binary_data_size": 1})]},
            _ONE_SOURCE + "set 'data' 'binary_data_size' 'shared_memory_region'",
        ),
        (
            {"inputs": [_input(), _input()]},
            "[request id: <id_unknown>] input 'X' already exists in request",
        ),
        (
            {"id": "a", "inputs": [_input(), _input()]},
            "[request id: a] input 'X' already exists in request",
        ),
        (
            {"inputs": [], "outputs": [{"name": "A"}, {"name": "A"}]},
            "[request id: <id_unknown>] output 'A' already exists in request",
        ),
        (
            {"inputs": [_binary_input("X", 1)]},
            "unexpected size for input 'X', expecting 1 additional bytes for model 'm'",
        ),
        (
            {"parameters": {"triton_x": 1}, "inputs": []},
            "parameter keys starting with 'triton_' are reserved for Triton usage and should not "
            "be specified.",
        ),
        (
            {"parameters": {"x": []}, "inputs": []},
            "parameter 'x' has invalid type. It should be either 'int', 'bool', or 'string'.",
        ),
        (
            {"parameters": {"x": None}, "inputs": []},
            "parameter 'x' has invalid type. It should be either 'int', 'bool', or 'string'.",
        ),
        (
            {"inputs": [_input(shape=[1] * 33)]},
            "input 'X' has 33 dimensions, the maximum is 32",
        ),
        (
            {"inputs": [_input(shape=[1 << 62, 2])]},
            "invalid shape for input 'X': shape [4611686018427387904,2] causes total element "
            f"count to exceed maximum size of {_MAXIMUM}",
        ),
        (
            {"inputs": [_input(shape=[0, 1 << 63])]},
            "invalid shape for input 'X': shape [0,9223372036854775808] causes total element "
            f"count to exceed maximum size of {_MAXIMUM}",
        ),
        (
            {"inputs": [_input(datatype="INT64", shape=[1 << 60])]},
            "byte size overflow for input 'X': 1152921504606846976 elements of INT64 exceed "
            f"maximum size of {_MAXIMUM}",
        ),
        (
            {
                "inputs": [],
                "outputs": [
                    {
                        "name": "A",
                        "parameters": {"shared_memory_region": "r", "classification": 1},
                    }
                ],
            },
            "Output can't set both 'shared_memory_region' and 'classification'",
        ),
        (
            {
                "inputs": [],
                "outputs": [
                    {"name": "A", "parameters": {"shared_memory_region": "r", "binary_data": True}}
                ],
            },
            "Output can't set both 'shared_memory_region' and 'binary_data'",
        ),
    ],
)
def test_requests_that_contradict_themselves(document, message):
    """The error quotes what is at odds."""
    with pytest.raises(InvalidRequest) as caught:
        _decode(document)
    assert caught.value.message == message


def test_bytes_that_belong_to_no_input():
    """Data behind the JSON has to be announced."""
    with pytest.raises(InvalidRequest, match="unexpected additional input data for model 'm'"):
        _decode({"inputs": [_input()]}, b"x")


def test_the_largest_shapes_are_taken():
    """Thirty-two dimensions are as many as a tensor may have; unknown datatypes pass."""
    request, _ = _decode({"inputs": [_input(shape=[1] * 32)]})
    assert request.inputs["X"].array().shape == (1,) * 32
    entry = {**_without("data"), "datatype": "OTHER", "parameters": {"binary_data_size": 0}}
    assert _decode({"inputs": [entry]}).request.inputs["X"].datatype == "OTHER"


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": [{**_without("data"), "parameters": {"shared_memory_region": "r"}}]},
        {
            "inputs": [],
            "outputs": [
                {"name": "A", "parameters": {"shared_memory_region": "r", "binary_data": False}}
            ],
        },
    ],
)
def test_shared_memory_is_disabled(document):
    """The error names the flag of the server that would allow it."""
    with pytest.raises(UnsupportedFeature) as caught:
        _decode(document)
    assert caught.value.message == (
        "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to "
        "enable."
    )


def _output(name, values):
    array = np.array(values, np.int32)
    return Tensor(name, "INT32", array.shape, array=array)


def test_a_response_in_json():
    """Members are in Triton's order; id and parameters only where there are any."""
    response = InferResponse("m", "1", [_output("Y", [[1, 2]])])
    assert encode_response(response, [], False) == (
        b'{"model_name":"m","model_version":"1","outputs":'
        b'[{"name":"Y","datatype":"INT32","shape":[1,2],"data":[1,2]}]}',
        [],
    )
    response = InferResponse("m", "1", [], id="a", parameters={"p": 1, "q": "r"})
    assert encode_response(response, [], False).document == (
        b'{"id":"a","model_name":"m","model_version":"1","parameters":{"p":1,"q":"r"},"outputs":[]}'
    )


def test_binary_outputs_are_views_behind_the_json():
    """Listed outputs follow their own flag, the others the request's; nothing is copied."""
    first, second, third = _output("A", [1]), _output("B", [2]), _output("C", [3])
    requested = [RequestedOutput("A", binary_data=True), RequestedOutput("B")]
    document, blobs = encode_response(
        InferResponse("m", "1", [first, second, third]), requested, True
    )
    outputs = json.loads(document)["outputs"]
    assert outputs[0]["parameters"] == {"binary_data_size": 4}
    assert outputs[1]["data"] == [2]
    assert outputs[2]["parameters"] == {"binary_data_size": 4}
    assert blobs == [first.raw(), third.raw()]
    assert np.shares_memory(np.frombuffer(blobs[0], np.uint8), first.array())


def test_an_empty_binary_output_adds_no_blob():
    """A tensor without bytes is announced with size 0."""
    document, blobs = encode_response(InferResponse("m", "1", [_output("A", [])]), [], True)
    assert json.loads(document)["outputs"][0]["parameters"] == {"binary_data_size": 0}
    assert blobs == []
