"""
The codec of inference messages that is used: native where it was built, else in Python.

Both do the same to the last error text. ``PYTHON`` is the specification, made of
:mod:`inferd.protocol.infer_protobuf`, :mod:`inferd.protocol.infer_rules` and
:mod:`inferd.protocol.infer_response_protobuf`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from inferd.errors import InvalidRequest
from inferd.protocol import infer_response_protobuf as encoding
from inferd.protocol import infer_rules
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.infer_protobuf import RequestMessage
from inferd.protocol.infer_protobuf import decode_request as decode_in_python
from inferd.protocol.messages import InferRequest, InferResponse, RequestedOutput
from inferd.protocol.native import codec
from inferd.protocol.tensors import Tensor
from inferd.protocol.wire import Buffer


class StreamEncoder(Protocol):
    """What encodes a ``ModelStreamInferResponse`` that answers."""

    def __call__(self, response: InferResponse, *, final: bool = True) -> list[Buffer]:
        """Encode a response; ``final`` says whether it is the last one to its request."""


@dataclass(frozen=True, slots=True)
class InferCodec:
    """
    One implementation.

    Attributes:
        name: ``"native"`` or ``"python"``.
        decode_request: As :func:`inferd.protocol.infer_protobuf.decode_request`; what it
            returns has the attributes of a ``RequestMessage``.
        to_request: As :func:`inferd.protocol.infer_rules.to_request`.
        encode_response: As
            :func:`inferd.protocol.infer_response_protobuf.encode_response`.
        encode_stream_response: As
            :func:`inferd.protocol.infer_response_protobuf.encode_stream_response`.
    """

    name: str
    decode_request: Callable[[bytes], RequestMessage]
    to_request: Callable[[RequestMessage], InferRequest]
    encode_response: Callable[[InferResponse], list[Buffer]]
    encode_stream_response: StreamEncoder


PYTHON: Final = InferCodec(
    "python",
    decode_in_python,
    infer_rules.to_request,
    encoding.encode_response,
    encoding.encode_stream_response,
)


def native(max_bytes: int = encoding.MAX_MESSAGE_BYTES) -> InferCodec | None:
    """Return the native implementation, or ``None`` where it was not built."""
    if codec is None:
        return None
    made = codec.Codec(
        error=InvalidRequest,
        request=InferRequest,
        tensor=Tensor,
        requested_output=RequestedOutput,
        response=InferResponse,
        apply_parameters=infer_rules.apply_parameters,
        to_request=infer_rules.to_request,
        encode_response=encoding.encode_response,
        encode_stream_response=encoding.encode_stream_response,
        contents={number: dict(accepted) for number, accepted in infer_rules.CONTENTS.items()},
        dtypes={one.name: one.dtype for one in BY_NAME.values() if one.itemsize},
        max_bytes=max_bytes,
    )
    return InferCodec(
        "native",
        made.decode_request,
        made.to_request,
        made.encode_response,
        made.encode_stream_response,
    )


CHOSEN: Final = native() or PYTHON
"""What the frontends use."""
