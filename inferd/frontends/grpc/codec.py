"""
The message codec of the gRPC frontend: its own for inference, betterproto2 for the rest.

The types in a handler's mapping entry say which is used, so a transport only ever calls
:meth:`InferenceCodec.decode` and :meth:`InferenceCodec.encode_buffers`.
"""

from typing import Any, ClassVar

from grpclib.encoding.base import CodecBase

from inferd.errors import InvalidRequest
from inferd.protocol import wire
from inferd.protocol.infer_codec import CHOSEN
from inferd.protocol.infer_protobuf import RequestMessage
from inferd.protocol.infer_response_protobuf import encode_stream_error
from inferd.protocol.messages import InferResponse
from inferd.protocol.wire import Buffer


class StreamReply:
    """
    One ``ModelStreamInferResponse``.

    Attributes:
        response: The answer; with an error, what is known of the failed request.
        error_message: What went wrong, or ``""``.
        final: Whether the request's client gets nothing after it.
    """

    __slots__ = ("error_message", "final", "response")

    def __init__(
        self, response: InferResponse, error_message: str = "", *, final: bool = True
    ) -> None:
        self.response = response
        self.error_message = error_message
        self.final = final


class InferenceCodec(CodecBase):
    """Encodes and decodes by the message type of the mapping entry."""

    __content_subtype__: ClassVar[str] = "proto"

    def decode(self, data: bytes, message_type: Any) -> Any:
        """
        Decode a request.

        Raises:
            InvalidRequest: The bytes are not such a message.
        """
        if message_type is RequestMessage:
            return CHOSEN.decode_request(data)
        try:
            # betterproto2 takes a message that is cut short for a shorter one, and what is
            # in a group for fields of the message.
            if any(tag & 7 == wire.START_GROUP for tag, _, _ in wire.fields(data, 0, len(data))):
                raise wire.WireError("group")
            return message_type.parse(data)
        except Exception as error:
            # It documents no error of its own either; whatever it raises is the data's fault.
            name = message_type.__name__
            raise InvalidRequest(f"failed to parse {name}: {error}") from None

    def encode_buffers(self, message: Any, message_type: Any) -> list[Buffer]:
        """
        Encode a response as buffers to be sent one after the other.

        Raises:
            InvalidRequest: It is larger than gRPC can carry.
        """
        if message_type is InferResponse:
            return CHOSEN.encode_response(message)
        if message_type is StreamReply:
            if message.error_message:
                return encode_stream_error(message.error_message, message.response)
            return CHOSEN.encode_stream_response(message.response, final=message.final)
        return [bytes(message)]

    def encode(self, message: Any, message_type: Any) -> bytes:
        """Encode a response as one piece."""
        return b"".join(self.encode_buffers(message, message_type))
