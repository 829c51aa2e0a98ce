"""
What a ``ModelInferRequest`` means: its rules on parameters, outputs and tensor data.

Turns the message as sent into the :class:`InferRequest` both frontends share. The texts
are those of Triton's gRPC frontend (``InferGRPCToInput``, ``SetInferenceRequestMetadata``);
clients and tests match on them.
"""

from typing import Final

import numpy as np

from inferd.errors import InvalidRequest, UnsupportedFeature
from inferd.protocol.infer_protobuf import (
    INT64,
    STRING,
    UINT64,
    Contents,
    InputMessage,
    OutputMessage,
    Parameter,
    Parameters,
    RequestMessage,
)
from inferd.protocol.messages import SHARED_MEMORY_DISABLED, InferRequest, RequestedOutput
from inferd.protocol.tensors import Array, Tensor
from inferd.protocol.wire import Buffer

_EMPTY_FINAL_RESPONSE: Final = "triton_enable_empty_final_response"
_UINT64_MASK: Final = (1 << 64) - 1

CONTENTS: Final[dict[int, tuple[tuple[str, int], ...]]] = {
    1: (("BOOL", 1),),
    2: (("INT32", 4), ("INT8", 1), ("INT16", 2)),
    3: (("INT64", 8),),
    4: (("UINT32", 4), ("UINT8", 1), ("UINT16", 2)),
    5: (("UINT64", 8),),
    6: (("FP32", 4),),
    7: (("FP64", 8),),
    8: (("BYTES", 0),),
}
"""Field of ``InferTensorContents`` -> the datatypes it may carry and their sizes in bytes."""

_SHARED_MEMORY: Final = (
    ("shared_memory_region", STRING, "string_param"),
    ("shared_memory_offset", INT64, "int64_param"),
    ("shared_memory_byte_size", INT64, "int64_param"),
)


def to_request(message: RequestMessage) -> InferRequest:
    """
    Check a message and return the request it stands for.

    Raises:
        InvalidRequest: A parameter, an output or an input's data breaks the rules.
        UnsupportedFeature: It refers to shared memory.
    """
    request = InferRequest(
        message.model_name, {}, model_version=message.model_version, id=message.id
    )
    if message.parameters is not None:
        apply_parameters(request, message.parameters)
    if message.outputs:
        request.outputs = [_output(output) for output in message.outputs]
        _check_unique(request, "output", [output.name for output in message.outputs])
    _check_unique(request, "input", [tensor.name for tensor in message.inputs])
    used = 0
    for tensor in message.inputs:
        if tensor.parameters is not None:
            _check_no_shared_memory(message, tensor)
        if tensor.contents is not None:
            raw = _typed_data(message, tensor, tensor.contents)
        elif used < len(message.raw):
            raw = message.raw[used]
            used += 1
        else:
            raise InvalidRequest(
                f"unable to find data for input tensor '{tensor.name}' for model "
                f"'{message.model_name}' in request."
            )
        request.inputs[tensor.name] = Tensor(tensor.name, tensor.datatype, tensor.shape, raw=raw)
    if used < len(message.raw):
        raise InvalidRequest(
            f"expected {used} raw_input_contents for model '{message.model_name}', "
            f"got {len(message.raw)}"
        )
    return request


def _check_unique(request: InferRequest, kind: str, names: list[str]) -> None:
    if len(set(names)) == len(names):
        return
    name = next(name for index, name in enumerate(names) if name in names[:index])
    raise InvalidRequest(
        f"[request id: {request.id or '<id_unknown>'}] {kind} '{name}' already exists in request"
    )


def _typed_data(
    message: RequestMessage, tensor: InputMessage, contents: dict[int, Contents]
) -> Buffer:
    """Return the raw form of an input's ``contents``."""
    if message.raw:
        raise InvalidRequest(
            "contents field must not be specified when using raw_input_contents for "
            f"'{tensor.name}' for model '{message.model_name}'"
        )
    raw: Buffer = b""
    where = f"for input tensor '{tensor.name}' for model '{message.model_name}'"
    for number in sorted(contents):
        if not len(contents[number]):
            continue
        if len(raw):
            raise InvalidRequest(
                f"unexpected explicit tensor data {where}, binary data was already supplied."
            )
        accepted = CONTENTS[number]
        itemsize = dict(accepted).get(tensor.datatype)
        if itemsize is None:
            raise InvalidRequest(
                f"unexpected explicit tensor data {where} of type '{accepted[0][0]}', expected "
                f"datatype '{tensor.datatype}'"
            )
        raw = _raw(contents[number], tensor.datatype, itemsize)
    return raw


def _raw(contents: Contents, datatype: str, itemsize: int) -> Buffer:
    """Narrow integers as a C cast does: the low bytes are kept."""
    if not isinstance(contents, np.ndarray):
        return contents
    is_bool = datatype == "BOOL"
    elements: Array = contents != 0 if is_bool else contents.astype(f"<u{itemsize}")
    octets: memoryview = elements.view(np.uint8).data
    return octets


def wants_empty_final_response(message: RequestMessage) -> bool:
    """Whether the end of a decoupled model's responses is to be told in one of its own."""
    _, value = (message.parameters or {}).get(_EMPTY_FINAL_RESPONSE, (0, False))
    return value is True


def apply_parameters(request: InferRequest, parameters: Parameters) -> None:
    """
    Keep a request's parameters where they belong.

    Raises:
        InvalidRequest: One is reserved or of the wrong type.
    """
    for key, (kind, value) in parameters.items():
        apply = _REQUEST_PARAMETERS.get(key)
        if apply is not None:
            apply(request, kind, value)
        elif key.startswith("triton_"):
            if key != _EMPTY_FINAL_RESPONSE:
                raise InvalidRequest(
                    "parameter keys starting with 'triton_' are reserved for Triton usage. Only "
                    "the following keys starting with 'triton_' are allowed: "
                    + _EMPTY_FINAL_RESPONSE
                )
            _flag(key, value)
        elif value is None or kind == UINT64:
            raise _wrong_type(key, "int64_param, bool_param, or string_param")
        else:
            request.parameters[key] = value


def _wrong_type(key: str, expected: str) -> InvalidRequest:
    return InvalidRequest(f"invalid value type for '{key}' parameter, expected {expected}.")


def _sequence_id(request: InferRequest, kind: int, value: Parameter) -> None:
    if kind == INT64 and isinstance(value, int):
        request.sequence_id = value & _UINT64_MASK
    elif isinstance(value, str):
        request.sequence_id = value
    else:
        raise _wrong_type("sequence_id", "int64_param or string_param")


def _sequence_start(request: InferRequest, kind: int, value: Parameter) -> None:
    request.sequence_start = _flag("sequence_start", value)


def _sequence_end(request: InferRequest, kind: int, value: Parameter) -> None:
    request.sequence_end = _flag("sequence_end", value)


def _flag(key: str, value: Parameter) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type(key, "bool_param")
    return value


def _priority(request: InferRequest, kind: int, value: Parameter) -> None:
    if kind not in (INT64, UINT64) or not isinstance(value, int):
        raise _wrong_type("priority", "int64_param or uint64_param")
    if value < 0:
        raise InvalidRequest("invalid value for 'priority', expected value >= 0.")
    request.priority = value


def _timeout(request: InferRequest, kind: int, value: Parameter) -> None:
    if kind != INT64 or not isinstance(value, int):
        raise _wrong_type("timeout", "int64_param")
    request.timeout_us = value & _UINT64_MASK


_REQUEST_PARAMETERS: Final = {
    "sequence_id": _sequence_id,
    "sequence_start": _sequence_start,
    "sequence_end": _sequence_end,
    "priority": _priority,
    "timeout": _timeout,
}


def _output(message: OutputMessage) -> RequestedOutput:
    parameters = message.parameters
    if parameters is None:
        return RequestedOutput(message.name)
    classification = _classification(parameters)
    if _names_shared_memory(message.name, parameters):
        if classification:
            raise InvalidRequest(
                "output can't set both 'shared_memory_region' and 'classification'"
            )
        raise UnsupportedFeature(SHARED_MEMORY_DISABLED)
    custom = {
        key: value
        for key, (_, value) in parameters.items()
        if value is not None and key != "classification"
    }
    return RequestedOutput(message.name, classification=classification, parameters=custom or None)


def _classification(parameters: Parameters) -> int:
    if "classification" not in parameters:
        return 0
    kind, count = parameters["classification"]
    if kind != INT64 or not isinstance(count, int):
        raise _wrong_type("classification", "int64_param")
    if count <= 0:
        raise InvalidRequest("invalid value for 'classification' parameter, expected >= 0")
    return count


def _check_no_shared_memory(message: RequestMessage, tensor: InputMessage) -> None:
    assert tensor.parameters is not None
    if not _names_shared_memory(tensor.name, tensor.parameters):
        return
    if tensor.contents is not None:
        raise InvalidRequest(
            "unexpected 'content' provided when using shared memory for input tensor "
            f"'{tensor.name}' for model '{message.model_name}'"
        )
    raise UnsupportedFeature(SHARED_MEMORY_DISABLED)


def _names_shared_memory(name: str, parameters: Parameters) -> bool:
    """Whether a tensor refers to a shared memory region, with its parameters checked."""
    for key, kind, expected in _SHARED_MEMORY:
        if key in parameters and parameters[key][0] != kind:
            raise InvalidRequest(
                f"invalid value type for '{key}' parameter for tensor '{name}', "
                f"expected {expected}."
            )
    if "shared_memory_region" not in parameters:
        return False
    if "shared_memory_byte_size" not in parameters:
        raise InvalidRequest(
            "'shared_memory_byte_size' must be specified along with 'shared_memory_region' "
            f"parameter for tensor '{name}'"
        )
    return True
