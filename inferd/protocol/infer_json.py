"""
Inference requests and responses in JSON, with their tensors in it or behind it.

The texts of the errors are Triton's (``http_server.cc``), and so is the order of the
checks: id, parameters, inputs, binary data left over, outputs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard, cast

import orjson

from inferd.errors import InvalidRequest, MalformedDocument, UnsupportedFeature
from inferd.protocol import json_data
from inferd.protocol.binary_extension import Blobs
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.json_document import (
    as_array,
    as_bool,
    as_string,
    as_unsigned,
    field,
    find,
    has,
    members,
    optional,
)
from inferd.protocol.messages import (
    SHARED_MEMORY_DISABLED,
    InferRequest,
    InferResponse,
    ParameterValue,
    RequestedOutput,
)
from inferd.protocol.tensors import Buffer, Tensor

MAX_RANK: Final = 32
"""The most dimensions a tensor may have."""

_MAX_ELEMENTS: Final = (1 << 63) - 1
_FEW_ELEMENTS: Final = 1 << 32
"""So many elements of any datatype are far from every limit, and need no further look."""
_INTEGERS: Final = frozenset({int})

ReadData = Callable[[object, str, str, tuple[int, ...], int], Tensor]
"""What reads a ``data`` member: :func:`inferd.protocol.json_data.read` or a faster one."""

WriteData = Callable[[Tensor], object]
"""What writes an output's data: :func:`inferd.protocol.json_data.write` or a faster one."""


class DecodedRequest(NamedTuple):
    """
    What a request body says.

    Attributes:
        request: The request.
        binary_output: Whether outputs the request does not name are returned behind the
            JSON rather than in it.
    """

    request: InferRequest
    binary_output: bool


class EncodedResponse(NamedTuple):
    """
    A response body in pieces.

    Attributes:
        document: The JSON.
        blobs: The binary outputs that follow it; views on what the backend returned. When
            there are none the body is plain JSON.
    """

    document: bytes
    blobs: list[Buffer]


def decode_request(
    document: object,
    binary: memoryview,
    *,
    model_name: str,
    model_version: str,
    max_input_size: int,
    read: ReadData = json_data.read,
) -> DecodedRequest:
    """
    Read a request.

    Args:
        document: The parsed JSON.
        binary: The bytes behind the JSON; binary inputs are views on it.
        model_name: The model in the path.
        model_version: The version in the path, or ``""``.
        max_input_size: The largest tensor in the JSON, in bytes.
        read: Reads the data of an input as :func:`inferd.protocol.json_data.read` does.

    Raises:
        InvalidRequest: The request contradicts itself or the binary data.
        UnsupportedFeature: It uses shared memory.
        MalformedDocument: A field is missing or has the wrong JSON type.
    """
    request = InferRequest(
        model_name, {}, model_version=model_version, id=optional(document, "id", as_string, "")
    )
    binary_output = _read_parameters(document, request)
    blobs = Blobs(binary, model_name)
    for entry in field(document, "inputs", as_array):
        tensor = _read_input(entry, blobs, max_input_size, read)
        if tensor.name in request.inputs:
            raise _already_exists(request, "input", tensor.name)
        request.inputs[tensor.name] = tensor
    blobs.finish()
    if has(document, "outputs"):
        request.outputs = _read_outputs(document, request)
    return DecodedRequest(request, binary_output)


def _already_exists(request: InferRequest, what: str, name: str) -> InvalidRequest:
    return InvalidRequest(
        f"[request id: {request.id or '<id_unknown>'}] {what} '{name}' already exists in request"
    )


def _read_parameters(document: object, request: InferRequest) -> bool:
    """Fill in the request's parameters and return ``binary_data_output``."""
    if not has(document, "parameters"):
        return False
    try:
        parameters = members(find(document, "parameters"))
    except MalformedDocument as error:
        raise MalformedDocument(f"failed to get request params.: {error.message}") from error
    for key, value in parameters.items():
        if key not in _RESERVED:
            request.parameters[key] = _custom_parameter(key, value)
    request.sequence_id = _sequence_id(parameters)
    request.sequence_start = optional(parameters, "sequence_start", as_bool, False)
    request.sequence_end = optional(parameters, "sequence_end", as_bool, False)
    request.priority = optional(parameters, "priority", as_unsigned, 0)
    request.timeout_us = optional(parameters, "timeout", as_unsigned, 0)
    return optional(parameters, "binary_data_output", as_bool, False)


_RESERVED: Final = frozenset(
    ("sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "binary_data_output")
)


def _sequence_id(parameters: dict[str, object]) -> int | str:
    try:
        return as_unsigned(parameters.get("sequence_id", 0))
    except MalformedDocument:
        return field(parameters, "sequence_id", as_string)


def _custom_parameter(key: str, value: object) -> ParameterValue:
    if key.startswith("triton_"):
        raise InvalidRequest(
            "parameter keys starting with 'triton_' are reserved for Triton usage and should not "
            "be specified."
        )
    if isinstance(value, str):
        return as_string(value)
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else float(value)
    if isinstance(value, float):
        return value
    raise InvalidRequest(
        f"parameter '{key}' has invalid type. It should be either 'int', 'bool', or 'string'."
    )


def _read_input(entry: object, blobs: Blobs, max_size: int, read: ReadData) -> Tensor:
    parameters = find(entry, "parameters")
    if parameters is not None or not has(entry, "data"):
        _check_one_source(entry, parameters)
    name = field(entry, "name", as_string)
    datatype = field(entry, "datatype", as_string)
    shape = _read_shape(entry, name, datatype)
    if has(parameters, "binary_data_size"):
        size = field(parameters, "binary_data_size", as_unsigned)
        return Tensor(name, datatype, shape, raw=blobs.take(size, name))
    if has(parameters, "shared_memory_region"):
        raise _shared_memory(parameters)
    return read(find(entry, "data"), name, datatype, shape, max_size)


def _check_one_source(entry: object, parameters: object) -> None:
    given = [
        f"'{key}'"
        for parent, key in (
            (entry, "data"),
            (parameters, "binary_data_size"),
            (parameters, "shared_memory_region"),
        )
        if has(parent, key)
    ]
    if len(given) != 1:
        raise InvalidRequest(
            "Input must set only one of the following fields: 'data', 'binary_data_size' in "
            "'parameters', 'shared_memory_region' in 'parameters'. But "
            + (f"set {' '.join(given)}" if given else "no field is set")
        )


def _is_plain_shape(values: list[object]) -> TypeGuard[list[int]]:
    """Return whether a shape is within every limit, whatever the datatype."""
    if len(values) > MAX_RANK or set(map(type, values)) != _INTEGERS:
        return False
    sizes = cast("list[int]", values)
    return min(sizes) > 0 and math.prod(sizes) <= _FEW_ELEMENTS


def _read_shape(entry: object, name: str, datatype: str) -> tuple[int, ...]:
    values = field(entry, "shape", as_array)
    if _is_plain_shape(values):
        return tuple(values)
    try:
        shape = tuple(map(as_unsigned, values))
    except MalformedDocument as error:
        raise MalformedDocument(f"Unable to parse 'shape': {error.message}") from error
    if len(shape) > MAX_RANK:
        raise InvalidRequest(
            f"input '{name}' has {len(shape)} dimensions, the maximum is {MAX_RANK}"
        )
    # A dimension of 0 does not excuse the others: NumPy refuses such shapes all the same.
    count = math.prod(dim for dim in shape if dim)
    if count > _MAX_ELEMENTS:
        raise InvalidRequest(
            f"invalid shape for input '{name}': shape [{','.join(map(str, shape))}] causes total "
            f"element count to exceed maximum size of {_MAX_ELEMENTS}"
        )
    known = BY_NAME.get(datatype)
    if known is not None and count * max(known.itemsize, known.dtype.itemsize) > _MAX_ELEMENTS:
        raise InvalidRequest(
            f"byte size overflow for input '{name}': {count} elements of {datatype} exceed "
            f"maximum size of {_MAX_ELEMENTS}"
        )
    return shape


def _shared_memory(parameters: object) -> UnsupportedFeature:
    """Return the error for a shared-memory tensor, after checking its fields."""
    field(parameters, "shared_memory_region", as_string)
    optional(parameters, "shared_memory_offset", as_unsigned, 0)
    optional(parameters, "shared_memory_byte_size", as_unsigned, 0)
    return UnsupportedFeature(SHARED_MEMORY_DISABLED)


def _read_outputs(document: object, request: InferRequest) -> list[RequestedOutput]:
    outputs: dict[str, RequestedOutput] = {}
    for entry in field(document, "outputs", as_array):
        output = _read_output(entry)
        if output.name in outputs:
            raise _already_exists(request, "output", output.name)
        outputs[output.name] = output
    return list(outputs.values())


def _read_output(entry: object) -> RequestedOutput:
    parameters = find(entry, "parameters")
    if has(parameters, "shared_memory_region"):
        _check_shared_memory_output(parameters)
    name = field(entry, "name", as_string)
    classification = _classification(parameters)
    if has(parameters, "shared_memory_region"):
        raise _shared_memory(parameters)
    binary = optional(parameters, "binary_data", as_bool, False)
    return RequestedOutput(name, classification=classification, binary_data=binary)


def _classification(parameters: object) -> int:
    if not has(parameters, "classification"):
        return 0
    try:
        return as_unsigned(find(parameters, "classification"))
    except MalformedDocument as error:
        raise MalformedDocument(f"Unable to set 'classification': {error.message}") from error


def _check_shared_memory_output(parameters: object) -> None:
    if has(parameters, "classification"):
        raise InvalidRequest("Output can't set both 'shared_memory_region' and 'classification'")
    if optional(parameters, "binary_data", as_bool, False):
        raise InvalidRequest("Output can't set both 'shared_memory_region' and 'binary_data'")


def encode_response(
    response: InferResponse,
    requested: Sequence[RequestedOutput],
    binary_output: bool,
    write: WriteData = json_data.write,
) -> EncodedResponse:
    """
    Write a response.

    Args:
        response: The response.
        requested: The outputs the request named.
        binary_output: Whether outputs it did not name go behind the JSON.
        write: Writes the data of an output as :func:`inferd.protocol.json_data.write` does.

    Raises:
        InvalidRequest: FP16 or BF16 was asked for in the JSON.
    """
    binary: Mapping[str, bool] = {output.name: output.binary_data for output in requested}
    blobs: list[Buffer] = []
    outputs = [
        _write_output(tensor, binary.get(tensor.name, binary_output), blobs, write)
        for tensor in response.outputs
    ]
    document: dict[str, object] = {"id": response.id} if response.id else {}
    document["model_name"] = response.model_name
    document["model_version"] = response.model_version
    if response.parameters:
        document["parameters"] = response.parameters
    document["outputs"] = outputs
    return EncodedResponse(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), blobs)


def _write_output(
    tensor: Tensor, binary: bool, blobs: list[Buffer], write: WriteData
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
    }
    if binary:
        raw = tensor.raw()
        size = len(raw)
        entry["parameters"] = {"binary_data_size": size}
        if size:
            blobs.append(raw)
    else:
        entry["data"] = write(tensor)
    return entry
