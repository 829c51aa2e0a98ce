"""
What the response cache keeps of a response, and how a request is recognised.

It decides nothing and keeps no state; large tensors are digested and copied wherever
the caller is.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Buffer, Tensor

TENSOR_BYTES: Final = 384
"""What a kept tensor costs beside its bytes: its shape and the objects around it."""

_DIGEST_BYTES: Final = 32


class KeptResponse:
    """
    A response without its request: what the cache keeps.

    Args:
        response: What the model answered.
        owned: Whether to copy the tensors; a view on a batch would keep the whole batch.
    """

    __slots__ = ("_model_name", "_model_version", "_parameters", "_tensors")

    def __init__(self, response: InferResponse, *, owned: bool) -> None:
        self._model_name = response.model_name
        self._model_version = response.model_version
        self._parameters = response.parameters
        self._tensors: list[tuple[str, str, tuple[int, ...], Buffer]] = [
            (
                tensor.name,
                tensor.datatype,
                tensor.shape,
                bytes(tensor.raw()) if owned else tensor.raw(),
            )
            for tensor in response.outputs
        ]

    def answer(self, request: InferRequest) -> InferResponse:
        """Return the response to ``request``; the tensors share the kept bytes."""
        parameters = self._parameters
        return InferResponse(
            self._model_name,
            self._model_version,
            [Tensor(name, kind, shape, raw=raw) for name, kind, shape, raw in self._tensors],
            id=request.id,
            parameters=None if parameters is None else dict(parameters),
        )


def digest(prefix: bytes, request: InferRequest) -> bytes:
    """
    Return what identifies a checked request, the same for every order of its inputs.

    Args:
        prefix: Identifies the loaded version.
        request: Its inputs, requested outputs, parameters and sequence fields count; its
            id, priority and timeout do not.
    """
    tensors = [request.inputs[name] for name in sorted(request.inputs)]
    raws = [tensor.raw() for tensor in tensors]
    head = (
        [
            (tensor.name, tensor.datatype, tensor.shape, len(raw))
            for tensor, raw in zip(tensors, raws, strict=True)
        ],
        [(output.name, sorted((output.parameters or {}).items())) for output in request.outputs],
        sorted(request.parameters.items()),
        (request.sequence_id, request.sequence_start, request.sequence_end),
    )
    found = hashlib.blake2b(prefix, digest_size=_DIGEST_BYTES)
    found.update(repr(head).encode())
    for raw in raws:
        found.update(raw)
    return found.digest()


def kept_bytes(response: InferResponse) -> int:
    """Return the bytes a copied response keeps alive."""
    parameters = len(repr(response.parameters)) if response.parameters else 0
    return parameters + sum(len(tensor.raw()) + TENSOR_BYTES for tensor in response.outputs)


def nbytes(tensors: Iterable[Tensor]) -> int:
    """Return about how many bytes tensors have, without converting them."""
    return sum(len(tensor.raw()) if tensor.has_raw else tensor.array().nbytes for tensor in tensors)
