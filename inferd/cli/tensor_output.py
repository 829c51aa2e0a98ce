"""Shows output tensors on a terminal, as JSON, and writes them to files."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd.cli.clients.client import UsageError, decoded
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor

Array = npt.NDArray[Any]

_SHOWN_ELEMENTS = 64


def values(tensor: Tensor) -> Array:
    """
    Return the values a person reads: text for ``BYTES``, FP32 for ``BF16``.

    Bytes that are not UTF-8 appear as ``\\xNN``.

    Raises:
        ClientError: The bytes do not make such a tensor.
    """
    array = decoded(tensor)
    if tensor.datatype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    if tensor.datatype == "BYTES":
        text = np.empty(array.shape, object)
        text.ravel()[:] = [element.decode(errors="backslashreplace") for element in array.ravel()]
        return text
    return array


def as_text(tensor: Tensor, *, full: bool) -> str:
    """
    Return a heading and the values.

    Args:
        tensor: The output.
        full: Show every value; otherwise long tensors are shortened in the middle.
    """
    threshold = sys.maxsize if full else _SHOWN_ELEMENTS
    with np.printoptions(threshold=threshold, linewidth=100):
        body = np.array2string(values(tensor), separator=", ")
    shape = ",".join(map(str, tensor.shape))
    return f"{tensor.name} {tensor.datatype} [{shape}]\n{body}"


def as_document(response: InferResponse) -> dict[str, Any]:
    """Return the response as the protocol's JSON has it, every output's ``data`` flat."""
    document: dict[str, Any] = {"id": response.id} if response.id else {}
    document |= {"model_name": response.model_name, "model_version": response.model_version}
    if response.parameters:
        document["parameters"] = response.parameters
    document["outputs"] = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "data": values(tensor).ravel().tolist(),
        }
        for tensor in response.outputs
    ]
    return document


def save(tensor: Tensor, path: Path) -> None:
    """
    Write the values to a ``.npy`` file; ``BYTES`` becomes a byte-string array.

    Raises:
        UsageError: The file cannot be written, or holds byte strings ending in a zero byte,
            which NumPy would drop.
    """
    array = values(tensor)
    if tensor.datatype == "BYTES":
        if any(element.endswith(b"\0") for element in decoded(tensor).ravel()):
            raise UsageError(f"output '{tensor.name}' ends in zero bytes, which .npy cannot hold")
        array = decoded(tensor).astype(bytes)
    try:
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}") from error
