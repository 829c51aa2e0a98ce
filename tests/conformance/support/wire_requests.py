"""
One inference request, written once and sent in every encoding of the protocol.

An :class:`Ask` holds what a client wants to say, right or wrong; :func:`as_json`,
:func:`as_binary` and :func:`as_grpc` say it as plain JSON, with the binary tensor
extension, and as the JSON form of ``ModelInferRequest``. Nothing here checks anything:
the tests need requests that no client library would send.
"""

import base64
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8",
    "INT8": "i1", "INT16": "i2", "INT32": "i4", "INT64": "i8",
    "FP16": "f2", "FP32": "f4", "FP64": "f8", "BF16": "u2",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """
    One input.

    Attributes:
        name: The input's name.
        datatype: Its wire datatype, or something that is none.
        shape: Its shape as sent.
        values: Its elements, flat.
        raw: Its binary form where that differs from what ``values`` encode to.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    values: Sequence[Any] = ()
    raw: bytes | None = None

    def encoded(self) -> bytes:
        """Return the binary form."""
        if self.raw is not None:
            return self.raw
        if self.datatype == "BYTES":
            return b"".join(struct.pack("<I", len(v)) + v for v in map(str.encode, self.values))
        return np.array(self.values, DTYPES.get(self.datatype, "i4")).tobytes()


@dataclass(frozen=True)
class Ask:
    """
    One inference request.

    Attributes:
        model: The model's name.
        inputs: The inputs in order.
        outputs: ``(name, parameters)`` of the outputs asked for.
        version: The version asked for, ``""`` for any.
        id: The request id, ``""`` for none.
        parameters: The request's parameters.
    """

    model: str
    inputs: Sequence[Given]
    outputs: Sequence[tuple[str, dict[str, Any]]] = ()
    version: str = ""
    id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    def path(self) -> str:
        """Return the HTTP path the request is posted to."""
        version = f"/versions/{self.version}" if self.version else ""
        return f"/v2/models/{self.model}{version}/infer"


def _document(ask: Ask, inputs: list[dict[str, Any]]) -> bytes:
    document: dict[str, Any] = {"id": ask.id} if ask.id else {}
    if ask.parameters:
        document["parameters"] = ask.parameters
    document["inputs"] = inputs
    if ask.outputs:
        document["outputs"] = [{"name": n, "parameters": p} for n, p in ask.outputs]
    return json.dumps(document).encode()


def as_json(ask: Ask) -> tuple[dict[str, str], bytes]:
    """Return the headers and body with every tensor as JSON data."""
    inputs = [
        {"name": t.name, "datatype": t.datatype, "shape": list(t.shape), "data": list(t.values)}
        for t in ask.inputs
    ]
    return {"Content-Type": "application/json"}, _document(ask, inputs)


def as_binary(ask: Ask) -> tuple[dict[str, str], bytes]:
    """Return the headers and body with every tensor as binary data."""
    blobs = [t.encoded() for t in ask.inputs]
    inputs = [
        {
            "name": t.name,
            "datatype": t.datatype,
            "shape": list(t.shape),
            "parameters": {"binary_data_size": len(blob)},
        }
        for t, blob in zip(ask.inputs, blobs, strict=True)
    ]
    head = _document(ask, inputs)
    return {"Inference-Header-Content-Length": str(len(head))}, head + b"".join(blobs)


def as_grpc(ask: Ask) -> dict[str, Any]:
    """Return ``ModelInferRequest`` in its JSON form, with raw contents."""
    return {
        "model_name": ask.model,
        "model_version": ask.version,
        "id": ask.id,
        "parameters": {k: _parameter(v) for k, v in ask.parameters.items()},
        "inputs": [
            {"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in ask.inputs
        ],
        "outputs": [
            {"name": n, "parameters": {k: _parameter(v) for k, v in p.items()}}
            for n, p in ask.outputs
            if "binary_data" not in p
        ],
        "raw_input_contents": [base64.b64encode(t.encoded()).decode() for t in ask.inputs],
    }


def _parameter(value: bool | int | float | str) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"bool_param": value}
    if isinstance(value, int):
        return {"int64_param": value}
    if isinstance(value, float):
        return {"double_param": value}
    return {"string_param": value}
