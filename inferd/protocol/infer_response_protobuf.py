"""
Encoding of ``ModelInferResponse`` and ``ModelStreamInferResponse`` to protobuf.

The result is a list of buffers to be sent one after the other; a large tensor is one of
them as the backend returned it, without a copy. Tensors always travel in
``raw_output_contents``, one entry per output, as Triton's clients expect.
Field numbers: ``protos/grpc_service.proto``.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from inferd.errors import BackendError, InvalidRequest
from inferd.protocol.messages import InferResponse, ParameterValue
from inferd.protocol.wire import FIXED64, LENGTH_DELIMITED, VARINT, Buffer, delimited, tag, varint

MAX_MESSAGE_BYTES: Final = 2**31 - 1
"""The largest protobuf message."""

FINAL_RESPONSE: Final[dict[str, ParameterValue]] = {"triton_final_response": True}
"""The parameter every response on a stream carries."""

NOT_FINAL_RESPONSE: Final[dict[str, ParameterValue]] = {"triton_final_response": False}
"""The same of a response with others behind it."""

_RAW_CONTENTS: Final = varint(tag(6, LENGTH_DELIMITED))
_JOINED_BYTES: Final = 4096
"""A tensor up to this size is copied next to its neighbours rather than sent on its own."""


def encode_response(response: InferResponse) -> list[Buffer]:
    """
    Encode a ``ModelInferResponse``.

    Raises:
        InvalidRequest: It is larger than gRPC can carry.
        BackendError: A response parameter does not fit the protocol.
    """
    buffers = _response(response, response.parameters or {})
    _check_size(buffers)
    return buffers


def encode_stream_response(response: InferResponse, *, final: bool = True) -> list[Buffer]:
    """
    Encode a ``ModelStreamInferResponse`` that answers; raises as :func:`encode_response`.

    Args:
        response: The response.
        final: Whether it is the last one to its request.
    """
    mark = FINAL_RESPONSE if final else NOT_FINAL_RESPONSE
    buffers = _response(response, {**(response.parameters or {}), **mark})
    size = _check_size(buffers)
    return [varint(tag(2, LENGTH_DELIMITED)) + varint(size), *buffers]


def encode_stream_error(message: str, failed: InferResponse) -> list[Buffer]:
    """Encode a ``ModelStreamInferResponse`` that reports an error of the request ``failed``."""
    body = b"".join(_response(failed, failed.parameters or {}))
    return [delimited(1, message.encode()) + delimited(2, body)]


def _check_size(buffers: list[Buffer]) -> int:
    size = sum(map(len, buffers))
    if size > MAX_MESSAGE_BYTES:
        raise InvalidRequest(
            f"Response has byte size {size} which exceeds gRPC's byte size limit "
            f"{MAX_MESSAGE_BYTES}."
        )
    return size


def _response(response: InferResponse, parameters: Mapping[str, ParameterValue]) -> list[Buffer]:
    head = bytearray(_names(response.model_name, response.model_version))
    if response.id:
        head += delimited(3, response.id.encode())
    for key, value in parameters.items():
        head += _parameter(key, value)
    for output in response.outputs:
        head += _tensor(output.name, output.datatype, output.shape)
    buffers: list[Buffer] = [head]
    for output in response.outputs:
        raw = output.raw()
        head += _RAW_CONTENTS
        head += varint(len(raw))
        if len(raw) <= _JOINED_BYTES:
            head += raw
        else:
            head = bytearray()
            buffers += (raw, head)
    if not head:
        buffers.pop()
    return buffers


@lru_cache(maxsize=1024)
def _names(name: str, version: str) -> bytes:
    fields = (
        delimited(number, text.encode()) for number, text in ((1, name), (2, version)) if text
    )
    return b"".join(fields)


@lru_cache(maxsize=4096)
def _tensor(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """Encode an output without its data; a model's shapes recur, so the result is kept."""
    body = delimited(1, name.encode()) + delimited(2, datatype.encode())
    if shape:
        body += delimited(3, b"".join(map(varint, shape)))
    return delimited(5, body)


def _parameter(key: str, value: ParameterValue) -> bytes:
    return delimited(4, delimited(1, key.encode()) + delimited(2, _choice(key, value)))


def _choice(key: str, value: ParameterValue) -> bytes:
    if isinstance(value, bool):
        return varint(tag(1, VARINT)) + varint(value)
    if isinstance(value, str):
        return delimited(3, value.encode())
    if isinstance(value, float):
        return varint(tag(4, FIXED64)) + struct.pack("<d", value)
    if -(1 << 63) <= value < 1 << 63:
        return varint(tag(2, VARINT)) + varint(value)
    if 0 <= value < 1 << 64:
        return varint(tag(5, VARINT)) + varint(value)
    raise BackendError(f"response parameter '{key}' does not fit 64 bits: {value}")
