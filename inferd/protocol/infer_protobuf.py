"""
Decoding of ``ModelInferRequest`` from protobuf.

Written by hand on :mod:`inferd.protocol.wire`, because a generated codec builds an
object per element and copies every tensor. A decoded request holds views on the bytes
it came from; what it *means* is the matter of :mod:`inferd.protocol.infer_rules`, and
the way back that of :mod:`inferd.protocol.infer_response_protobuf`.
Field numbers: ``protos/grpc_service.proto``.
"""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from inferd.errors import InvalidRequest
from inferd.protocol import wire
from inferd.protocol.wire import FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, Buffer, tag

Parameter = bool | int | str | float | None
BOOL, INT64, STRING, DOUBLE, UINT64 = 1, 2, 3, 4, 5
"""The alternatives of ``InferParameter``'s oneof, by field number."""

Parameters = dict[str, tuple[int, Parameter]]
"""Parameter name -> (the alternative, its value); alternative 0 is none."""

Contents = Buffer | npt.NDArray[np.uint64]
"""What one field of ``InferTensorContents`` holds."""

BYTES_CONTENTS: Final = 8
_LENGTH: Final = struct.Struct("<I")
_DOUBLE: Final = struct.Struct("<d")
_FIXED_CONTENTS: Final = {6: FIXED32, 7: FIXED64}

_S1, _S2, _S3, _S4, _S5, _S6, _S7 = (tag(number, LENGTH_DELIMITED) for number in range(1, 8))
_V1, _V2, _V3, _V5 = (tag(number, VARINT) for number in (1, 2, 3, 5))
_F4 = tag(4, FIXED64)


class InputMessage:
    """
    One ``InferInputTensor`` as sent.

    Attributes:
        name: The input's name.
        datatype: The datatype as the client wrote it.
        shape: The dimensions.
        parameters: The parameters; ``None`` when there are none.
        contents: ``None`` without ``contents``, else what each of its fields holds, by
            field number. Integers are ``uint64`` arrays, floats little-endian bytes and
            ``bytes_contents`` length-prefixed elements.
    """

    __slots__ = ("contents", "datatype", "name", "parameters", "shape")

    def __init__(self) -> None:
        self.name = ""
        self.datatype = ""
        self.shape: list[int] = []
        self.parameters: Parameters | None = None
        self.contents: dict[int, Contents] | None = None


class OutputMessage:
    """
    One ``InferRequestedOutputTensor`` as sent.

    Attributes:
        name: The output's name.
        parameters: The parameters; ``None`` when there are none.
    """

    __slots__ = ("name", "parameters")

    def __init__(self) -> None:
        self.name = ""
        self.parameters: Parameters | None = None


class RequestMessage:
    """
    One ``ModelInferRequest`` as sent.

    Attributes:
        model_name: The model asked for.
        model_version: The version as written.
        id: The client's request id.
        parameters: The parameters; ``None`` when there are none.
        inputs: The inputs in order.
        outputs: The requested outputs in order.
        raw: ``raw_input_contents``: views on the received bytes.
    """

    __slots__ = ("id", "inputs", "model_name", "model_version", "outputs", "parameters", "raw")

    def __init__(self) -> None:
        self.model_name = ""
        self.model_version = ""
        self.id = ""
        self.parameters: Parameters | None = None
        self.inputs: list[InputMessage] = []
        self.outputs: list[OutputMessage] = []
        self.raw: list[memoryview] = []


def decode_request(data: bytes) -> RequestMessage:
    """
    Decode a ``ModelInferRequest``.

    Raises:
        InvalidRequest: The bytes are not such a message.
    """
    try:
        return _request(data)
    except wire.WireError as error:
        raise InvalidRequest(f"failed to parse ModelInferRequest: {error}") from None


def _request(data: bytes) -> RequestMessage:
    message = RequestMessage()
    view = memoryview(data)
    for found, start, stop in wire.fields(data, 0, len(data)):
        if found == _S7:
            message.raw.append(view[start:stop])
        elif found == _S5:
            message.inputs.append(_input(data, start, stop))
        elif found == _S6:
            message.outputs.append(_output(data, start, stop))
        elif found == _S1:
            message.model_name = wire.text(data, start, stop)
        elif found == _S2:
            message.model_version = wire.text(data, start, stop)
        elif found == _S3:
            message.id = wire.text(data, start, stop)
        elif found == _S4:
            message.parameters = _with_entry(message.parameters, data, start, stop, 1)
    return message


def _input(data: bytes, start: int, stop: int) -> InputMessage:
    message = InputMessage()
    runs: dict[int, Buffer] | None = None
    for found, first, last in wire.fields(data, start, stop, 1):
        if found == _S1:
            message.name = wire.text(data, first, last)
        elif found == _S2:
            message.datatype = wire.text(data, first, last)
        elif found == _S3:
            message.shape.extend(_packed_int64(data, first, last))
        elif found == _V3:
            message.shape.append(wire.int64(data, first, last))
        elif found == _S4:
            message.parameters = _with_entry(message.parameters, data, first, last, 2)
        elif found == _S5:
            runs = {} if runs is None else runs
            _collect_contents(runs, data, first, last)
    if runs is not None:
        message.contents = {number: _contents(number, run) for number, run in runs.items()}
    return message


def _contents(number: int, run: Buffer) -> Contents:
    return (
        run if number in _FIXED_CONTENTS or number == BYTES_CONTENTS else wire.packed_varints(run)
    )


def _output(data: bytes, start: int, stop: int) -> OutputMessage:
    message = OutputMessage()
    for found, first, last in wire.fields(data, start, stop, 1):
        if found == _S1:
            message.name = wire.text(data, first, last)
        elif found == _S2:
            message.parameters = _with_entry(message.parameters, data, first, last, 2)
    return message


def _packed_int64(data: bytes, position: int, stop: int) -> list[int]:
    values: list[int] = []
    while position < stop:
        value, position = wire.read_varint(data, position, stop)
        values.append(value - (1 << 64) if value >> 63 else value)
    return values


def _collect_contents(runs: dict[int, Buffer], data: bytes, start: int, stop: int) -> None:
    """
    Add the fields of one ``InferTensorContents`` to the runs of those before it.

    A run is what a packed field would hold; elements sent one by one are strung together
    to the same bytes, so that both spellings, and any mixture, are decoded alike.
    """
    view = memoryview(data)
    for found, first, last in wire.fields(data, start, stop, 2):
        number, wire_type = found >> 3, found & 7
        if number == BYTES_CONTENTS and wire_type == LENGTH_DELIMITED:
            _extend(runs, number, _LENGTH.pack(last - first))
            _extend(runs, number, view[first:last])
        elif 1 <= number < BYTES_CONTENTS:
            element = _FIXED_CONTENTS.get(number, VARINT)
            if wire_type == LENGTH_DELIMITED:
                _check_run(element, data, first, last)
                _extend(runs, number, view[first:last])
            elif wire_type == element:
                _extend(runs, number, data[first:last])


def _check_run(element: int, data: bytes, start: int, stop: int) -> None:
    if element == VARINT:
        whole = start == stop or data[stop - 1] < 0x80
    else:
        whole = (stop - start) % (4 if element == FIXED32 else 8) == 0
    if not whole:
        raise wire.WireError("truncated packed field")


def _extend(runs: dict[int, Buffer], number: int, piece: Buffer) -> None:
    """Append to a run; only one that came in a single packed piece stays a view."""
    held = runs.get(number)
    if held is None:
        runs[number] = piece if isinstance(piece, memoryview) else bytearray(piece)
        return
    if not isinstance(held, bytearray):
        held = runs[number] = bytearray(held)
    held += piece


def _with_entry(
    parameters: Parameters | None, data: bytes, start: int, stop: int, depth: int
) -> Parameters:
    """Add one map entry; a missing key is ``""`` and a missing value has no alternative."""
    key = ""
    value: tuple[int, Parameter] = (0, None)
    for found, first, last in wire.fields(data, start, stop, depth):
        if found == _S1:
            key = wire.text(data, first, last)
        elif found == _S2:
            value = _parameter(value, data, first, last, depth + 1)
    parameters = {} if parameters is None else parameters
    parameters[key] = value
    return parameters


def _parameter(
    value: tuple[int, Parameter], data: bytes, start: int, stop: int, depth: int
) -> tuple[int, Parameter]:
    for found, first, last in wire.fields(data, start, stop, depth):
        if found == _V1:
            value = BOOL, wire.uint64(data, first, last) != 0
        elif found == _V2:
            value = INT64, wire.int64(data, first, last)
        elif found == _S3:
            value = STRING, wire.text(data, first, last)
        elif found == _F4:
            value = DOUBLE, _DOUBLE.unpack_from(data, first)[0]
        elif found == _V5:
            value = UINT64, wire.uint64(data, first, last)
    return value
