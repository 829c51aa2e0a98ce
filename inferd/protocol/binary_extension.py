"""
The binary tensor data extension: tensors behind the JSON of an HTTP body, as views.

A body is ``JSON ++ blob ++ blob ...``; the header ``Inference-Header-Content-Length`` says
where the JSON ends, ``binary_data_size`` how long each blob is. A JSON length of 0 makes
the whole body the only input of the model (a raw binary request).
"""

import math
from typing import Final

from inferd.errors import InvalidRequest
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor

HEADER: Final = "Inference-Header-Content-Length"
"""The HTTP header that holds the length of the JSON, in bytes."""


def json_length(header: str | None, content_length: int) -> int:
    """
    Return the length of the JSON at the start of a body, in bytes.

    Args:
        header: The value of :data:`HEADER`, or ``None`` when there is none, and then the
            whole body is JSON.
        content_length: The length of the body, in bytes.

    Raises:
        InvalidRequest: The value is no number or does not fit the body.
    """
    if header is None:
        return content_length
    text = header.strip()
    if not text:
        return 0
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidRequest(f"Unable to parse {HEADER}, got: {header}")
    # Twenty digits are more than any body has; int() refuses very long literals.
    length = int(text) if len(text) < 20 else content_length + 1
    if not 0 <= length <= content_length:
        raise InvalidRequest(
            f"inference header size should be in range (0, {content_length}), got: {header}"
        )
    return length


class Blobs:
    """
    The binary part of a body, taken piece by piece.

    Args:
        data: Everything behind the JSON.
        model_name: The model's name, for messages.
    """

    __slots__ = ("_data", "_model_name", "_offset")

    def __init__(self, data: memoryview, model_name: str) -> None:
        self._data = data
        self._model_name = model_name
        self._offset = 0

    def take(self, size: int, input_name: str) -> memoryview:
        """
        Return the next ``size`` bytes, which belong to an input.

        Raises:
            InvalidRequest: There are fewer.
        """
        end = self._offset + size
        missing = end - len(self._data)
        if missing > 0:
            raise InvalidRequest(
                f"unexpected size for input '{input_name}', expecting {missing} additional bytes "
                f"for model '{self._model_name}'"
            )
        piece = self._data[self._offset : end]
        self._offset = end
        return piece

    def finish(self) -> None:
        """
        Check that nothing is left.

        Raises:
            InvalidRequest: There is.
        """
        if self._offset != len(self._data):
            raise InvalidRequest(f"unexpected additional input data for model '{self._model_name}'")


def raw_input(signature: Signature, body: memoryview, max_size: int) -> Tensor:
    """
    Return the only input of a model, whose bytes are the whole body.

    Args:
        signature: The model's.
        body: The body.
        max_size: The largest body to accept, in bytes.

    Raises:
        InvalidRequest: The model has several inputs, or the shape cannot be deduced.
    """
    if len(body) > max_size:
        raise raw_input_too_large(len(body), max_size)
    if len(signature.inputs) != 1:
        raise _refusal(
            "Raw request must only have 1 input (found 1) to be deduced but got "
            f"{len(signature.inputs)} inputs in '{signature.model_name}' model configuration"
        )
    (spec,) = signature.inputs.values()
    batch = (1,) if signature.batches else ()
    if spec.datatype != "BYTES":
        shape = batch + _deduce(spec, len(body))
        expected = math.prod(shape) * spec.itemsize
        if expected != len(body):
            raise _refusal(
                f"input byte size mismatch for input 'raw_input' for model "
                f"'{signature.model_name}'. Expected {expected}, got {len(body)}"
            )
        return Tensor(spec.name, spec.datatype, shape, raw=body)
    if spec.dims != (1,):
        raise _refusal(
            f"For BYTE datatype raw input '{spec.name}', the model must have input shape [1]"
        )
    tensor = Tensor(spec.name, "BYTES", (*batch, 1))
    tensor.set_elements([bytes(body)])
    return tensor


def _refusal(text: str) -> InvalidRequest:
    """Return an error as the reference's core words it; a raw request has no id."""
    return InvalidRequest(f"[request id: <id_unknown>] {text}")


def raw_input_too_large(size: int, max_size: int) -> InvalidRequest:
    """Return the error for a raw binary request above the limit."""
    return InvalidRequest(
        f"Raw input has a byte_size ({size} bytes) that exceeds the maximum allowed value of "
        f"{max_size} bytes. Use --http-max-input-size to increase the limit."
    )


def _deduce(spec: TensorSpec, size: int) -> tuple[int, ...]:
    """Return the dimensions with the one variable dimension computed from the size."""
    if spec.dims.count(-1) > 1:
        raise _refusal(
            f"The shape of the raw input '{spec.name}' can not be deduced because there are more "
            "than one variable-sized dimension"
        )
    fixed = math.prod(dim for dim in spec.dims if dim != -1) * spec.itemsize
    variable = size // fixed if fixed else 0
    return tuple(variable if dim == -1 else dim for dim in spec.dims)
