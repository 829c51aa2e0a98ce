"""
The ``data`` arrays of JSON tensors: Python lists <-> arrays.

Requests may nest ``data`` as they like, responses are flat; both are row-major. FP16 and
BF16 travel only in the binary extension.
"""

import json
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from inferd.errors import InvalidRequest, MalformedDocument
from inferd.protocol import bytes_tensor
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.json_document import as_array
from inferd.protocol.tensors import Tensor

Array = npt.NDArray[Any]

MAX_DEPTH: Final = 100
"""How deep ``data`` may be nested (Triton's limit)."""

_BINARY_ONLY: Final = ("FP16", "BF16")

_Kind = tuple[frozenset[type], str]
_SIGNED: Final[_Kind] = (frozenset({int}), "non-signed-integer as signed-integer")
_UNSIGNED: Final[_Kind] = (frozenset({int}), "non-unsigned-integer as unsigned-integer")
_DOUBLE: Final[_Kind] = (frozenset({int, float}), "non-number as double")

_KINDS: Final[dict[str, _Kind]] = {
    "BOOL": (frozenset({bool}), "non-boolean as boolean"),
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64"), _SIGNED),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32", "UINT64"), _UNSIGNED),
    **dict.fromkeys(("FP32", "FP64"), _DOUBLE),
    "BYTES": (frozenset({str}), "non-string as string"),
}


def read(value: object, name: str, datatype: str, shape: tuple[int, ...], max_size: int) -> Tensor:
    """
    Return the input tensor a ``data`` member holds.

    Args:
        value: The parsed member.
        name: The input's name.
        datatype: Its wire datatype.
        shape: Its shape, every dimension >= 0; with a 0 in it ``data`` is ignored.
        max_size: The largest tensor to accept, in bytes.

    Raises:
        InvalidRequest: The datatype has no JSON form, a value does not fit it, or the
            tensor or its nesting is too large.
        MalformedDocument: An element has the wrong JSON type, or there are too many or
            too few of them.
    """
    count = Tensor(name, datatype, shape).element_count
    if count == 0:
        return Tensor(name, datatype, shape, raw=b"")
    if datatype in _BINARY_ONLY:
        raise InvalidRequest(
            f"receiving {datatype} data via JSON is not supported. Please use the binary data "
            f"format for input {name}"
        )
    if datatype not in _KINDS:
        raise InvalidRequest(f"invalid datatype for input {name}")
    _check_size(name, count * BY_NAME[datatype].itemsize, max_size)
    try:
        elements = _flatten(as_array(value), count, *_KINDS[datatype])
    except MalformedDocument as error:
        if datatype == "BYTES" and "non-string" in error.message:
            raise MalformedDocument(f"Unable to parse JSON bytes array: {error.message}") from None
        raise MalformedDocument(f"Unable to parse 'data': {error.message}") from None
    if len(elements) < count:
        raise MalformedDocument(
            "shape does not match true shape of 'data' field"
            if datatype == "BYTES"
            else "Failed to parse 'data' field: shape does not match true shape"
        )
    if datatype == "BYTES":
        return _bytes_tensor(elements, name, shape, max_size)
    array = _numbers(elements, name, datatype)
    return Tensor(name, datatype, shape, raw=array.view(np.uint8).data)


def _check_size(name: str, size: int, max_size: int) -> None:
    if size > max_size:
        raise InvalidRequest(
            f"JSON input '{name}' has a byte_size ({size} bytes) that exceeds the maximum allowed "
            f"value of {max_size} bytes. Use --http-max-input-size to increase the limit."
        )


def _flatten(value: list[Any], count: int, kinds: frozenset[type], mismatch: str) -> list[Any]:
    """Return the innermost elements in row-major order, at most ``count``, all of ``kinds``."""
    elements, depth = value, 1
    while list in (found := set(map(type, elements))):
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"JSON nesting depth exceeds maximum allowed limit ({MAX_DEPTH})")
        if len(found) == 1:
            elements = list(chain.from_iterable(elements))
        else:
            elements = [
                inner
                for element in elements
                for inner in (element if type(element) is list else (element,))
            ]
    if not found <= kinds and any(type(element) not in kinds for element in elements[:count]):
        raise MalformedDocument(f"attempt to access JSON {mismatch}")
    if len(elements) > count:
        raise MalformedDocument("Shape does not match true shape of 'data' field")
    return elements


def _numbers(elements: list[Any], name: str, datatype: str) -> Array:
    dtype = BY_NAME[datatype].dtype
    if datatype == "FP32":
        # Through float64, as Triton reads it; what float32 cannot hold becomes infinite.
        with np.errstate(over="ignore"):
            return np.array(elements, np.float64).astype(dtype)
    try:
        return np.array(elements, dtype)
    except OverflowError:
        pass
    _, mismatch = _KINDS[datatype]
    lowest, highest = (0, 1 << 64) if dtype.kind == "u" else (-(1 << 63), 1 << 63)
    if not all(lowest <= element < highest for element in elements):
        raise MalformedDocument(f"Unable to parse 'data': attempt to access JSON {mismatch}")
    limits = np.iinfo(dtype.name)
    wrong = next(value for value in elements if not limits.min <= value <= limits.max)
    raise InvalidRequest(f"value {wrong} of input '{name}' is out of range for {datatype}")


def _bytes_tensor(elements: list[str], name: str, shape: tuple[int, ...], max_size: int) -> Tensor:
    try:
        encoded = [element.encode("utf-8", "surrogateescape") for element in elements]
    except UnicodeEncodeError as error:
        raise MalformedDocument(
            "Unable to parse JSON bytes array: Invalid encoding in string."
        ) from error
    _check_size(name, sum(map(len, encoded)) + 4 * len(encoded), max_size)
    return Tensor(name, "BYTES", shape, array=bytes_tensor.to_array(encoded, shape))


def write(tensor: Tensor) -> object:
    """
    Return the flat ``data`` of an output: something ``orjson.dumps`` writes as Triton does.

    float32 becomes float64 first, so that it is printed as the shortest text of its double;
    ``NaN`` and the infinities are written bare. ``orjson.OPT_SERIALIZE_NUMPY`` is needed.

    Raises:
        InvalidRequest: The datatype has no JSON form.
    """
    if tensor.datatype in _BINARY_ONLY:
        raise InvalidRequest(
            f"sending {tensor.datatype} data via JSON is not supported. Please use the binary "
            f"data format for output {tensor.name}"
        )
    array = tensor.array().ravel()
    if tensor.datatype == "BYTES":
        return _strings(array.tolist())
    if array.dtype.kind != "f":
        return array
    if not np.isfinite(array).all():
        return orjson.Fragment(json.dumps(array.tolist(), separators=(",", ":")))
    return array.astype(np.float64, copy=False)


def _strings(elements: list[bytes | str]) -> object:
    try:
        return [item if isinstance(item, str) else item.decode() for item in elements]
    except UnicodeDecodeError:
        texts = [
            item if isinstance(item, str) else item.decode("utf-8", "surrogateescape")
            for item in elements
        ]
        document = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
        return orjson.Fragment(document.encode("utf-8", "surrogateescape"))
