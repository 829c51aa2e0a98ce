"""
The short ways to read and answer the requests that clients send most; what is unusual is
left to :mod:`inferd.protocol.infer_json`.

A request in JSON with nothing but inputs is taken apart directly. One whose tensors follow
the JSON often has, byte for byte, the JSON of the one before: that is read once. So is the
JSON in front of the tensors of its answer, or around short data in it, written once.
"""

import struct
import sys
from typing import Any, Final, NamedTuple

import orjson

from inferd.protocol.infer_json import (
    MAX_RANK,
    DecodedRequest,
    EncodedResponse,
    encode_response,
)
from inferd.protocol.messages import InferRequest, InferResponse, RequestedOutput
from inferd.protocol.tensors import Buffer, Tensor

_MAX_KNOWN: Final = 256
"""So many different headers are remembered."""

_ENTRY_FIELDS: Final = 4
"""Name, datatype, shape and data."""


class _Form(NamedTuple):
    """How a datatype is written: ``struct``'s code, its bytes, and the types it is made of."""

    code: str
    itemsize: int
    kinds: frozenset[type]


_INTEGER: Final = frozenset({int})
_NUMBER: Final = frozenset({int, float})
_FORMS: Final = {
    "BOOL": _Form("?", 1, frozenset({bool})),
    "INT8": _Form("b", 1, _INTEGER),
    "INT16": _Form("h", 2, _INTEGER),
    "INT32": _Form("i", 4, _INTEGER),
    "INT64": _Form("q", 8, _INTEGER),
    "UINT8": _Form("B", 1, _INTEGER),
    "UINT16": _Form("H", 2, _INTEGER),
    "UINT32": _Form("I", 4, _INTEGER),
    "UINT64": _Form("Q", 8, _INTEGER),
    "FP32": _Form("f", 4, _NUMBER),
    "FP64": _Form("d", 8, _NUMBER),
}


_INTEGERS: Final[dict[str, Any]] = {
    name: form.code
    for name, form in _FORMS.items()
    if name not in ("FP32", "FP64") and sys.byteorder == "little"
}
"""Those whose numbers are printed in one way only; ``memoryview`` has the same codes."""

_SHORT_BYTES: Final = 1 << 10
"""Tensors up to this long are printed without NumPy."""

_ROOM: Final = b"\0"
"""A byte that JSON has nowhere else."""


def decode_plain(
    document: object, model_name: str, model_version: str, max_input_size: int
) -> DecodedRequest | None:
    """
    Read a request in JSON that has inputs with data, perhaps an id, and nothing else.

    Args:
        document: The parsed JSON.
        model_name: The model in the path.
        model_version: The version in the path, or ``""``.
        max_input_size: The largest tensor, in bytes.

    Returns:
        The request, or ``None`` when it has anything else.
    """
    if type(document) is not dict or len(document) != 1 + ("id" in document):
        return None
    entries, request_id = document.get("inputs"), document.get("id", "")
    if type(entries) is not list or type(request_id) is not str or not request_id.isascii():
        return None
    inputs: dict[str, Tensor] = {}
    for entry in entries:
        tensor = _read_input(entry, max_input_size)
        if tensor is None or tensor.name in inputs:
            return None
        inputs[tensor.name] = tensor
    request = InferRequest(model_name, inputs, model_version=model_version, id=request_id)
    return DecodedRequest(request, False)


def _read_input(entry: object, max_size: int) -> Tensor | None:
    if type(entry) is not dict or len(entry) != _ENTRY_FIELDS:
        return None
    name, datatype = entry.get("name"), entry.get("datatype")
    shape, data = entry.get("shape"), entry.get("data")
    if type(name) is not str or not name.isascii() or type(datatype) is not str:
        return None
    if type(shape) is not list or type(data) is not list or len(shape) > MAX_RANK:
        return None
    count = 1
    for size in shape:
        if type(size) is not int or size < 1:
            return None
        count *= size
    form = _FORMS.get(datatype)
    if form is None or len(data) != count or count * form.itemsize > max_size:
        return None
    if not form.kinds.issuperset(map(type, data)):
        return None
    try:
        raw = struct.pack(f"<{count}{form.code}", *data)
    except (struct.error, OverflowError):
        return None
    return Tensor(name, datatype, shape, raw=raw)


class _Input(NamedTuple):
    name: str
    datatype: str
    shape: tuple[int, ...]
    size: int


class Headers:
    """The JSON of responses whose tensors all follow it: the same for the same shapes."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], bytes] = {}

    def encode(self, response: InferResponse) -> EncodedResponse:
        """Write a response without id and parameters, with every output behind the JSON."""
        key: list[object] = [response.model_name, response.model_version]
        blobs: list[Buffer] = []
        for tensor in response.outputs:
            raw = tensor.raw()
            size = len(raw)
            key += (tensor.name, tensor.datatype, tensor.shape, size)
            if size:
                blobs.append(raw)
        known = tuple(key)
        document = self._known.get(known)
        if document is None:
            document = encode_response(response, (), True).document
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[known] = document
        return EncodedResponse(document, blobs)


class Frames:
    """The JSON around the data of responses: the same for the same shapes."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], list[bytes]] = {}

    def encode(self, response: InferResponse) -> EncodedResponse | None:
        """
        Write a response without id and parameters, with every output in the JSON.

        Returns:
            The response, or ``None`` when its outputs are not short and of integers.
        """
        key: list[object] = [response.model_name, response.model_version]
        texts: list[bytes] = []
        for tensor in response.outputs:
            form = _INTEGERS.get(tensor.datatype)
            if form is None:
                return None
            raw = tensor.raw()
            if len(raw) > _SHORT_BYTES:
                return None
            key += (tensor.name, tensor.datatype, tensor.shape)
            texts.append(orjson.dumps(memoryview(raw).cast(form).tolist()))
        known = tuple(key)
        around = self._known.get(known)
        if around is None:
            around = self._frame(known, response)
        pieces = [around[0]]
        for text, following in zip(texts, around[1:], strict=True):
            pieces += (text, following)
        return EncodedResponse(b"".join(pieces), [])

    def _frame(self, known: tuple[object, ...], response: InferResponse) -> list[bytes]:
        around = encode_response(response, (), False, _leave_room).document.split(_ROOM)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[known] = around
        return around


def _leave_room(_: Tensor) -> object:
    return orjson.Fragment(_ROOM)


class _Template(NamedTuple):
    """A request without its tensors' bytes."""

    model_name: str
    model_version: str
    inputs: tuple[_Input, ...]
    outputs: tuple[RequestedOutput, ...]
    binary_output: bool
    size: int


class Templates:
    """Headers that were read, for requests whose tensors all follow them."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[bytes, _Template] = {}

    def find(
        self, header: bytes, binary: memoryview, model_name: str, model_version: str
    ) -> DecodedRequest | None:
        """Return the request with a header that was kept for this model, and these tensors."""
        found = self._found.get(header)
        if found is None or found.size != len(binary):
            return None
        if found.model_name != model_name or found.model_version != model_version:
            return None
        inputs: dict[str, Tensor] = {}
        at = 0
        for name, datatype, shape, size in found.inputs:
            inputs[name] = Tensor(name, datatype, shape, raw=binary[at : at + size])
            at += size
        request = InferRequest(
            model_name, inputs, model_version=model_version, outputs=found.outputs
        )
        return DecodedRequest(request, found.binary_output)

    def keep(self, header: bytes, binary_size: int, decoded: DecodedRequest) -> None:
        """
        Remember a header, if requests with it differ in nothing but their tensors.

        Args:
            header: The JSON.
            binary_size: The length of what followed it, in bytes.
            decoded: The request.
        """
        request, binary_output = decoded
        if not _is_plain(request):
            return
        inputs = tuple(
            _Input(tensor.name, tensor.datatype, tensor.shape, len(tensor.raw()))
            for tensor in request.inputs.values()
        )
        if sum([one.size for one in inputs]) != binary_size:
            return  # some of the tensors are in the JSON
        if len(self._found) >= _MAX_KNOWN:
            self._found.clear()
        self._found[header] = _Template(
            request.model_name,
            request.model_version,
            inputs,
            tuple(request.outputs),
            binary_output,
            binary_size,
        )


def _is_plain(request: InferRequest) -> bool:
    """Whether nothing in a header is likely to change with every request."""
    return not (
        request.id
        or request.parameters
        or request.sequence_id
        or request.sequence_start
        or request.sequence_end
        or request.priority
        or request.timeout_us
    )
