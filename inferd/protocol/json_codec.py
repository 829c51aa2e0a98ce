"""
Inference requests and responses in JSON as bytes: with the kernel for numbers, or without.

``PYTHON`` is the specification, made of :mod:`inferd.protocol.json_document`,
:mod:`inferd.protocol.infer_json` and :mod:`inferd.protocol.json_data`. With the kernel, long
arrays of numbers never become Python objects. It does what is usual; whatever else a document
holds, every error included, is left to the specification, which reads it from the start.
"""

import math
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from inferd.errors import InferdError
from inferd.protocol import json_data
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.infer_json import (
    DecodedRequest,
    EncodedResponse,
    decode_request,
    encode_response,
)
from inferd.protocol.json_document import QuickParseError, parse_quickly
from inferd.protocol.messages import InferResponse, RequestedOutput
from inferd.protocol.native import numbers
from inferd.protocol.tensors import Array, Tensor

LONG_TEXT: Final = 2048
"""Arrays whose text has so many bytes are read by the kernel. Those of a hundred numbers cost as
much with it as by :func:`inferd.protocol.infer_json_plain.decode_plain`."""

_KINDS: Final = {
    "BOOL": 0,
    "INT8": 1,
    "INT16": 2,
    "INT32": 3,
    "INT64": 4,
    "UINT8": 5,
    "UINT16": 6,
    "UINT32": 7,
    "UINT64": 8,
    "FP32": 9,
    "FP64": 10,
}
"""Datatype -> what the kernel calls it."""

_FLOATS: Final = {"FP32": 9, "FP64": 10}

_PLACE: Final = orjson.Fragment(b"\0")
"""Where the kernel writes an array: a byte that JSON has nowhere else."""


class _Span(NamedTuple):
    """Where the text of an array is that was cut out of a document."""

    start: int
    stop: int


class _Unusual(Exception):
    """The kernel does not read this; the specification tells whether it is wrong."""


class JsonCodec:
    """
    One implementation.

    Args:
        kernel: The native module, or ``None`` for the specification.
        long_text: As :data:`LONG_TEXT`.
    """

    __slots__ = ("_kernel", "_long_text")

    def __init__(self, kernel: ModuleType | None, long_text: int = LONG_TEXT) -> None:
        self._kernel = kernel
        self._long_text = long_text

    def decode_quickly(
        self,
        raw: bytes | memoryview,
        binary: memoryview,
        *,
        model_name: str,
        model_version: str,
        max_input_size: int,
    ) -> DecodedRequest | None:
        """
        Read a request with long arrays of numbers, or return ``None`` without delay.

        ``None`` says nothing about the request, only that it has to be parsed and read by
        :func:`inferd.protocol.infer_json.decode_request`.

        Args:
            raw: The JSON.
            binary: The bytes behind it.
            model_name: The model in the path.
            model_version: The version in the path, or ``""``.
            max_input_size: The largest tensor in the JSON, in bytes.
        """
        kernel = self._kernel
        if kernel is None or len(raw) < self._long_text:
            return None
        found = kernel.cut(raw, self._long_text)
        if found is None:
            return None
        rest, cuts = found
        try:
            return decode_request(
                _put_together(parse_quickly(rest), cuts),
                binary,
                model_name=model_name,
                model_version=model_version,
                max_input_size=max_input_size,
                read=partial(_read, kernel, raw),
            )
        except (QuickParseError, InferdError, _Unusual):
            return None

    def encode_response(
        self, response: InferResponse, requested: Sequence[RequestedOutput], binary_output: bool
    ) -> EncodedResponse:
        """Write a response, as :func:`inferd.protocol.infer_json.encode_response` does."""
        kernel = self._kernel
        if kernel is None or not any([one.datatype in _FLOATS for one in response.outputs]):
            return encode_response(response, requested, binary_output)
        arrays: list[tuple[int, Array]] = []
        encoded = encode_response(response, requested, binary_output, partial(_write, arrays))
        if not arrays:
            return encoded
        return EncodedResponse(kernel.write(encoded.document, arrays), encoded.blobs)


def _write(arrays: list[tuple[int, Array]], tensor: Tensor) -> object:
    """Return what ``orjson.dumps`` writes; for floats the place where the kernel will."""
    kind = _FLOATS.get(tensor.datatype)
    if kind is None:
        return json_data.write(tensor)
    array = tensor.array()
    if array.dtype is not BY_NAME[tensor.datatype].dtype:
        return json_data.write(tensor)
    arrays.append((kind, np.ascontiguousarray(array)))
    return _PLACE


def _put_together(document: Any, cuts: list[tuple[int, int, int]]) -> object:
    """Return the document with the places of the cut arrays where they were."""
    for index, start, stop in cuts:
        document["inputs"][index]["data"] = _Span(start, stop)
    return document


def _read(
    kernel: ModuleType,
    raw: bytes | memoryview,
    value: object,
    name: str,
    datatype: str,
    shape: tuple[int, ...],
    max_size: int,
) -> Tensor:
    """Return the input tensor of a ``data`` member that is parsed or was cut out."""
    if type(value) is not _Span:
        return json_data.read(value, name, datatype, shape, max_size)
    kind = _KINDS.get(datatype)
    count = math.prod(shape)
    # An element takes two bytes of text at least: no array is made for what cannot be there.
    if kind is None or 2 * count > value.stop - value.start:
        raise _Unusual
    dtype = BY_NAME[datatype].dtype
    if count * dtype.itemsize > max_size:
        raise _Unusual
    array = np.empty(count, dtype)
    if not kernel.fill(raw, value.start, value.stop, kind, array):
        raise _Unusual
    return Tensor(name, datatype, shape, raw=array.view(np.uint8).data)


PYTHON: Final = JsonCodec(None)
"""The specification, where nothing is decoded quickly."""

CHOSEN: Final = PYTHON if numbers is None else JsonCodec(numbers)
"""What the frontends use."""
