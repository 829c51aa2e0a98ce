"""The rules of ModelInferRequest and the texts clients see when they are broken."""

import numpy as np
import pytest

from inferd.errors import InvalidRequest, UnsupportedFeature
from inferd.protocol.infer_rules import SHARED_MEMORY_DISABLED
from inferd.protocol.wire import delimited


@pytest.fixture
def decode(google, codec):
    """Encode a message of these fields with Google's library and return our request."""

    def decode_fields(**fields):
        message = google.ModelInferRequest(**{"model_name": "m", **fields})
        return codec.to_request(codec.decode_request(message.SerializeToString()))

    return decode_fields


@pytest.fixture
def refusal(decode):
    """Return the text with which a message of these fields is refused."""

    def refuse(**fields):
        with pytest.raises(InvalidRequest) as caught:
            decode(**fields)
        return caught.value.message

    return refuse


def tensor(datatype="FP32", name="IN", **fields):
    """Describe an input."""
    return {"name": name, "datatype": datatype, "shape": [1, 2], **fields}


def typed(datatype, **contents):
    """Describe an input with typed contents."""
    return {"inputs": [tensor(datatype, contents=contents)]}


def test_a_raw_request_is_understood(decode):
    """Names, id, outputs and raw inputs end up where both frontends expect them."""
    request = decode(
        model_version="2",
        id="7",
        inputs=[tensor(), tensor("INT8", "B")],
        outputs=[{"name": "OUT"}],
        raw_input_contents=[b"12345678", b"ab"],
    )
    assert (request.model_name, request.model_version, request.id) == ("m", "2", "7")
    assert list(request.inputs) == ["IN", "B"]
    assert request.inputs["IN"].shape == (1, 2)
    assert bytes(request.inputs["B"].raw()) == b"ab"
    assert [output.name for output in request.outputs] == ["OUT"]


@pytest.mark.parametrize(
    ("datatype", "contents", "expected"),
    [
        ("BOOL", {"bool_contents": [True, False]}, [True, False]),
        ("INT8", {"int_contents": [-1, 300]}, [-1, 44]),
        ("INT16", {"int_contents": [-32768, 70000]}, [-32768, 4464]),
        ("INT32", {"int_contents": [-(2**31), 2**31 - 1]}, [-(2**31), 2**31 - 1]),
        ("INT64", {"int64_contents": [-(2**63), 5]}, [-(2**63), 5]),
        ("UINT8", {"uint_contents": [255, 256]}, [255, 0]),
        ("UINT16", {"uint_contents": [65535, 65537]}, [65535, 1]),
        ("UINT32", {"uint_contents": [2**32 - 1, 0]}, [2**32 - 1, 0]),
        ("UINT64", {"uint64_contents": [2**64 - 1, 0]}, [2**64 - 1, 0]),
        ("FP32", {"fp32_contents": [1.5, -2.25]}, [1.5, -2.25]),
        ("FP64", {"fp64_contents": [1.5, 1e300]}, [1.5, 1e300]),
        ("BYTES", {"bytes_contents": [b"a", b""]}, [b"a", b""]),
    ],
)
def test_typed_contents_become_the_tensor(decode, datatype, contents, expected):
    """Every datatype has its field; small integers are cut to size as a C cast does."""
    array = decode(**typed(datatype, **contents)).inputs["IN"].array()
    assert array.shape == (1, 2)
    assert array.ravel().tolist() == expected


def test_a_large_typed_tensor_arrives_whole(decode):
    """Many integers of many lengths are all decoded."""
    values = np.random.default_rng(0).integers(-(2**31), 2**31, 50_000)
    request = decode(inputs=[tensor("INT32", shape=[50_000], contents={"int_contents": values})])
    assert (request.inputs["IN"].array() == values).all()


def test_contents_without_elements_are_an_empty_tensor(decode):
    """An input of zero elements may come with empty contents."""
    request = decode(inputs=[tensor(shape=[0], contents={})])
    assert request.inputs["IN"].array().shape == (0,)


def test_an_empty_field_beside_the_right_one_is_no_data(codec):
    """A client that writes an empty list for the fields it does not use is understood."""
    contents = delimited(2, b"") + delimited(6, bytes(8))
    given = delimited(1, b"IN") + delimited(2, b"FP32") + delimited(5, contents)
    request = codec.to_request(codec.decode_request(delimited(5, given)))
    assert bytes(request.inputs["IN"].raw()) == bytes(8)


@pytest.mark.parametrize(
    ("datatype", "contents", "sent"),
    [
        ("FP32", {"int_contents": [1]}, "INT32"),
        ("INT32", {"bool_contents": [True]}, "BOOL"),
        ("INT64", {"int_contents": [1]}, "INT32"),
        ("INT32", {"int64_contents": [1]}, "INT64"),
        ("INT8", {"uint_contents": [1]}, "UINT32"),
        ("UINT32", {"uint64_contents": [1]}, "UINT64"),
        ("FP64", {"fp32_contents": [1]}, "FP32"),
        ("FP16", {"fp32_contents": [1]}, "FP32"),
        ("BF16", {"uint_contents": [1]}, "UINT32"),
        ("FP32", {"fp64_contents": [1]}, "FP64"),
        ("FP32", {"bytes_contents": [b"a"]}, "BYTES"),
    ],
)
def test_the_wrong_typed_field_is_refused(refusal, datatype, contents, sent):
    """Contents in another datatype's field are refused; FP16 and BF16 have none."""
    assert refusal(**typed(datatype, **contents)) == (
        f"unexpected explicit tensor data for input tensor 'IN' for model 'm' of type '{sent}', "
        f"expected datatype '{datatype}'"
    )


def test_two_typed_fields_are_refused(refusal):
    """An input has one source of data."""
    assert refusal(**typed("INT32", int_contents=[1], fp32_contents=[1])) == (
        "unexpected explicit tensor data for input tensor 'IN' for model 'm', "
        "binary data was already supplied."
    )


def test_raw_and_typed_contents_do_not_mix(refusal):
    """A request is either raw or typed."""
    fields = typed("FP32", fp32_contents=[1])
    assert refusal(**fields, raw_input_contents=[b"1234"]) == (
        "contents field must not be specified when using raw_input_contents for 'IN' for model 'm'"
    )


def test_an_input_without_data_is_refused(refusal):
    """Fewer raw contents than inputs names the first input that has none."""
    fields = {"inputs": [tensor(), tensor(name="B")], "raw_input_contents": [b"12345678"]}
    assert refusal(**fields) == (
        "unable to find data for input tensor 'B' for model 'm' in request."
    )


def test_raw_contents_without_an_input_are_refused(refusal):
    """More raw contents than inputs is a client's mistake, and said so."""
    assert refusal(inputs=[tensor()], raw_input_contents=[b"a", b"b"]) == (
        "expected 1 raw_input_contents for model 'm', got 2"
    )


@pytest.mark.parametrize(("id", "shown"), [("", "<id_unknown>"), ("7", "7")])
def test_inputs_and_outputs_are_named_once(refusal, id, shown):
    """A name given twice is refused with the request's id."""
    twice = [tensor(), tensor(name="B"), tensor()]
    assert refusal(id=id, inputs=twice, raw_input_contents=[b""] * 3) == (
        f"[request id: {shown}] input 'IN' already exists in request"
    )
    assert refusal(id=id, outputs=[{"name": "O"}, {"name": "O"}]) == (
        f"[request id: {shown}] output 'O' already exists in request"
    )


def test_request_parameters_are_understood(decode):
    """Sequence, priority and timeout go to their fields, the rest to the model."""
    request = decode(
        parameters={
            "sequence_id": {"int64_param": 42},
            "sequence_start": {"bool_param": True},
            "sequence_end": {"bool_param": False},
            "priority": {"uint64_param": 2**64 - 1},
            "timeout": {"int64_param": 1000},
            "triton_enable_empty_final_response": {"bool_param": True},
            "a": {"int64_param": -1},
            "b": {"bool_param": True},
            "c": {"string_param": "x"},
            "d": {"double_param": 0.5},
        }
    )
    assert (request.sequence_id, request.sequence_start, request.sequence_end) == (42, True, False)
    assert (request.priority, request.timeout_us) == (2**64 - 1, 1000)
    assert request.parameters == {"a": -1, "b": True, "c": "x", "d": 0.5}


@pytest.mark.parametrize(
    ("sent", "sequence_id"),
    [({"string_param": "s"}, "s"), ({"int64_param": 0}, 0), ({"int64_param": -1}, 2**64 - 1)],
)
def test_a_correlation_id_is_a_string_or_unsigned(decode, sent, sequence_id):
    """Correlation ids are strings or 64-bit numbers without a sign."""
    assert decode(parameters={"sequence_id": sent}).sequence_id == sequence_id


@pytest.mark.parametrize(("sent", "priority"), [(0, 0), (5, 5)])
def test_a_priority_may_be_signed(decode, sent, priority):
    """Older clients send the priority as int64; 0 is the smallest."""
    assert decode(parameters={"priority": {"int64_param": sent}}).priority == priority


@pytest.mark.parametrize(
    ("key", "sent", "text"),
    [
        ("sequence_id", {"bool_param": True}, "expected int64_param or string_param."),
        ("sequence_id", {"uint64_param": 1}, "expected int64_param or string_param."),
        ("sequence_start", {"int64_param": 1}, "expected bool_param."),
        ("sequence_end", {}, "expected bool_param."),
        ("priority", {"string_param": "1"}, "expected int64_param or uint64_param."),
        ("priority", {"bool_param": True}, "expected int64_param or uint64_param."),
        ("timeout", {"uint64_param": 1}, "expected int64_param."),
        ("triton_enable_empty_final_response", {"int64_param": 1}, "expected bool_param."),
        ("mine", {"uint64_param": 1}, "expected int64_param, bool_param, or string_param."),
        ("mine", {}, "expected int64_param, bool_param, or string_param."),
    ],
)
def test_parameters_of_the_wrong_type_are_refused(refusal, key, sent, text):
    """The text names the parameter and the types it may have."""
    assert refusal(parameters={key: sent}) == f"invalid value type for '{key}' parameter, {text}"


def test_a_negative_priority_is_refused(refusal):
    """Priorities count from 0."""
    assert refusal(parameters={"priority": {"int64_param": -1}}) == (
        "invalid value for 'priority', expected value >= 0."
    )


def test_triton_parameters_are_reserved(refusal):
    """Only the known parameters of that prefix may be given."""
    assert refusal(parameters={"triton_x": {"bool_param": True}}) == (
        "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following "
        "keys starting with 'triton_' are allowed: triton_enable_empty_final_response"
    )


def outputs(**parameters):
    """Describe one requested output."""
    return {"outputs": [{"name": "O", "parameters": parameters}]}


def test_output_parameters_are_understood(decode):
    """Classification is the server's, the rest is kept."""
    [output] = decode(**outputs(classification={"int64_param": 1}, x={"bool_param": True})).outputs
    assert (output.classification, output.parameters) == (1, {"x": True})
    [output] = decode(**outputs(x={})).outputs
    assert (output.classification, output.parameters) == (0, None)


@pytest.mark.parametrize("count", [0, -1])
def test_a_classification_needs_a_count(refusal, count):
    """Zero classes are not a classification."""
    assert refusal(**outputs(classification={"int64_param": count})) == (
        "invalid value for 'classification' parameter, expected >= 0"
    )


@pytest.mark.parametrize("sent", [{"string_param": "3"}, {"bool_param": True}, {"uint64_param": 3}])
def test_a_classification_is_a_number(refusal, sent):
    """A count of another type is refused."""
    assert refusal(**outputs(classification=sent)) == (
        "invalid value type for 'classification' parameter, expected int64_param."
    )


REGION = {
    "shared_memory_region": {"string_param": "r"},
    "shared_memory_byte_size": {"int64_param": 8},
}


def test_shared_memory_is_switched_off(decode):
    """Inputs and outputs in shared memory are refused with the option that would allow it."""
    for fields in (outputs(**REGION), {"inputs": [tensor(parameters=REGION)]}):
        with pytest.raises(UnsupportedFeature) as caught:
            decode(**fields)
        assert caught.value.message == SHARED_MEMORY_DISABLED


def test_shared_memory_goes_with_nothing_else(refusal):
    """A tensor in shared memory has no contents and no classification."""
    fields = {"inputs": [tensor(parameters=REGION, contents={"fp32_contents": [1]})]}
    assert refusal(**fields) == (
        "unexpected 'content' provided when using shared memory for input tensor 'IN' for model 'm'"
    )
    assert refusal(**outputs(**REGION, classification={"int64_param": 1})) == (
        "output can't set both 'shared_memory_region' and 'classification'"
    )


@pytest.mark.parametrize(
    ("key", "sent", "expected"),
    [
        ("shared_memory_region", {"int64_param": 1}, "string_param"),
        ("shared_memory_offset", {"string_param": "1"}, "int64_param"),
        ("shared_memory_byte_size", {"bool_param": True}, "int64_param"),
    ],
)
def test_shared_memory_parameters_have_types(refusal, key, sent, expected):
    """The text names the parameter, the tensor and the type."""
    assert refusal(**outputs(**{**REGION, key: sent})) == (
        f"invalid value type for '{key}' parameter for tensor 'O', expected {expected}."
    )


def test_a_shared_memory_region_needs_a_size(refusal):
    """A region without a size is refused."""
    fields = {"inputs": [tensor(parameters={"shared_memory_region": {"string_param": "r"}})]}
    assert refusal(**fields) == (
        "'shared_memory_byte_size' must be specified along with 'shared_memory_region' "
        "parameter for tensor 'IN'"
    )


def test_other_input_parameters_are_ignored(decode):
    """Parameters of an input that mean nothing here do no harm."""
    given = tensor(parameters={"mine": {"bool_param": True}})
    assert "IN" in decode(inputs=[given], raw_input_contents=[b"12345678"]).inputs
