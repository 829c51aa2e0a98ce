"""One codec for both kinds of messages."""

import pytest

from inferd._generated import inference as pb
from inferd.errors import InvalidRequest
from inferd.frontends.grpc.codec import InferenceCodec, StreamReply
from inferd.protocol.infer_protobuf import RequestMessage
from inferd.protocol.messages import InferResponse


@pytest.fixture
def codec():
    """The codec."""
    return InferenceCodec()


def test_generated_messages_pass_through(codec):
    """The rare RPCs use the generated messages."""
    message = pb.ModelReadyRequest(name="m", version="1")
    data = codec.encode(message, pb.ModelReadyRequest)
    assert codec.decode(data, pb.ModelReadyRequest) == message


def test_inference_messages_are_ours(codec, messages):
    """Inference requests and responses go through the hand-written codec."""
    data = messages.ModelInferRequest(model_name="m").SerializeToString()
    assert codec.decode(data, RequestMessage).model_name == "m"
    response = InferResponse("m", "1", (), id="7")
    data = codec.encode(response, InferResponse)
    assert messages.ModelInferResponse.FromString(data).id == "7"
    data = codec.encode(StreamReply(response), StreamReply)
    assert messages.ModelStreamInferResponse.FromString(data).infer_response.id == "7"
    data = codec.encode(StreamReply(response, "oh"), StreamReply)
    assert messages.ModelStreamInferResponse.FromString(data).error_message == "oh"


@pytest.mark.parametrize("data", [b"\x0a\x05abc", b"\x0a\x01\xff", b"\x0b\x0c", b"\x08"])
def test_damaged_generated_messages_are_refused(codec, data):
    """A message that is cut short or not text where it should be is refused by name."""
    with pytest.raises(InvalidRequest, match="failed to parse ModelReadyRequest: "):
        codec.decode(data, pb.ModelReadyRequest)
