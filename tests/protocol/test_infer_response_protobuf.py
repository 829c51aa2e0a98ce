"""Encoding ModelInferResponse: Google's parser reads what was meant."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.errors import BackendError, InvalidRequest
from inferd.protocol import infer_codec
from inferd.protocol import infer_response_protobuf as encoding
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor

parameter = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.text(max_size=5),
    st.floats(allow_nan=False),
)
tensor = st.builds(
    lambda name, shape, raw: Tensor(name, "UINT8", shape, raw=raw),
    st.text(max_size=5),
    st.lists(st.integers(0, 2**40), max_size=3),
    st.binary(max_size=10) | st.sampled_from([b"x" * 4095, b"x" * 4096, b"x" * 4097]),
)


def value(message):
    """Return the value of an InferParameter."""
    return getattr(message, message.WhichOneof("parameter_choice"))


@settings(deadline=None)
@given(
    names=st.tuples(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5)),
    outputs=st.lists(tensor, max_size=4),
    parameters=st.dictionaries(st.text(max_size=5), parameter, max_size=4),
)
def test_google_reads_what_was_written(google, codec, names, outputs, parameters):
    """Names, id, parameters, shapes and data arrive, small and large tensors alike."""
    name, version, id = names
    response = InferResponse(name, version, outputs, id=id, parameters=parameters)
    message = google.ModelInferResponse.FromString(b"".join(codec.encode_response(response)))
    assert (message.model_name, message.model_version, message.id) == names
    assert [(o.name, o.datatype, tuple(o.shape)) for o in message.outputs] == [
        (output.name, "UINT8", output.shape) for output in outputs
    ]
    assert list(message.raw_output_contents) == [bytes(output.raw()) for output in outputs]
    assert {key: value(found) for key, found in message.parameters.items()} == parameters


@pytest.mark.parametrize(
    ("given_value", "choice"),
    [
        (True, "bool_param"),
        (-1, "int64_param"),
        (2**63 - 1, "int64_param"),
        (2**63, "uint64_param"),
        (2**64 - 1, "uint64_param"),
        ("x", "string_param"),
        (1.0, "double_param"),
    ],
)
def test_a_parameter_takes_the_field_of_its_type(google, codec, given_value, choice):
    """Clients find a response parameter in the field of its type."""
    response = InferResponse("m", "1", (), parameters={"p": given_value})
    message = google.ModelInferResponse.FromString(b"".join(codec.encode_response(response)))
    assert message.parameters["p"].WhichOneof("parameter_choice") == choice


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1])
def test_a_parameter_beyond_64_bits_is_an_error(codec, number):
    """A number the protocol cannot carry is not silently changed."""
    with pytest.raises(BackendError, match="response parameter 'p' does not fit 64 bits"):
        codec.encode_response(InferResponse("m", "1", (), parameters={"p": number}))


def test_a_large_tensor_is_sent_as_it_is(codec):
    """The bytes of a large output are not copied into the message."""
    array = np.zeros((1, 5000), np.float32)
    output = Tensor("O", "FP32", array.shape, array=array)
    buffers = codec.encode_response(InferResponse("m", "1", [output]))
    assert len(buffers) == 2
    assert np.shares_memory(np.frombuffer(buffers[1], np.float32), array)


def test_a_response_beyond_two_gigabytes_is_refused(monkeypatch, codec):
    """What gRPC cannot carry is an error with its size; the limit itself passes."""
    response = InferResponse("m", "1", [Tensor("O", "UINT8", [100], raw=b"x" * 100)])
    size = sum(map(len, codec.encode_response(response)))
    monkeypatch.setattr(encoding, "MAX_MESSAGE_BYTES", size)
    limited(codec, size).encode_response(response)
    monkeypatch.setattr(encoding, "MAX_MESSAGE_BYTES", size - 1)
    with pytest.raises(InvalidRequest) as caught:
        limited(codec, size - 1).encode_response(response)
    assert caught.value.message == (
        f"Response has byte size {size} which exceeds gRPC's byte size limit {size - 1}."
    )


def limited(codec, max_bytes):
    """Return a codec of the same kind with another limit."""
    return infer_codec.native(max_bytes) if codec.name == "native" else codec


def test_a_stream_answer_says_it_is_final(google, codec):
    """Every answer on a stream carries triton_final_response beside the backend's parameters."""
    response = InferResponse(
        "m", "1", [Tensor("O", "UINT8", [3], raw=b"abc")], id="7", parameters={"a": 1}
    )
    buffers = codec.encode_stream_response(response)
    message = google.ModelStreamInferResponse.FromString(b"".join(buffers))
    assert message.error_message == ""
    assert message.infer_response.id == "7"
    assert message.infer_response.raw_output_contents[0] == b"abc"
    assert message.infer_response.parameters["triton_final_response"].bool_param is True
    assert message.infer_response.parameters["a"].int64_param == 1


def test_a_stream_error_names_its_request(google):
    """An error on a stream carries its text and the request's id."""
    failed = InferResponse("", "", (), id="7")
    message = google.ModelStreamInferResponse.FromString(
        b"".join(encoding.encode_stream_error("it failed", failed))
    )
    assert (message.error_message, message.infer_response.id) == ("it failed", "7")
    assert message.HasField("infer_response")
    assert not message.infer_response.parameters
