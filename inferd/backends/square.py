"""
The built-in backend that answers a request for ``n`` with ``n`` responses, each of them ``n``.

It is decoupled, with ``IN`` and ``OUT``, an integer ``[1]`` each, like Triton's backend of
the same name. A response waits until the client has taken enough of those before it.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy.typing as npt

from inferd._generated.inference import DataType
from inferd.backend import API_VERSION, Backend, Batch, Instance, Model, ModelContext
from inferd.backends.contract import (
    FilelessModel,
    check_decoupled,
    check_one_element,
    check_same_datatype,
    check_tensors,
)

Array = npt.NDArray[Any]

_INTEGERS: Final = (
    DataType.TYPE_INT8,
    DataType.TYPE_INT16,
    DataType.TYPE_INT32,
    DataType.TYPE_INT64,
    DataType.TYPE_UINT8,
    DataType.TYPE_UINT16,
    DataType.TYPE_UINT32,
    DataType.TYPE_UINT64,
)


class SquareBackend(Backend):
    """Repeats a number as often as it says."""

    API_VERSION = API_VERSION

    def load(self, context: ModelContext) -> Model:
        """
        Make a model from its config alone.

        Raises:
            BackendError: The config is not decoupled, batches, or has other tensors.
        """
        check_decoupled(context)
        check_tensors(context, inputs={"IN": _INTEGERS}, outputs={"OUT": _INTEGERS})
        check_same_datatype(context, "IN", "OUT")
        check_one_element(context, "IN")
        return FilelessModel(SquareInstance)


class SquareInstance(Instance):
    """One instance; it answers one request after the other."""

    def execute(self, batch: Batch) -> Sequence[Array]:
        """Send the responses to one request."""
        number, sender = batch.inputs["IN"].ravel().copy(), batch.senders[0]
        for _ in range(int(number[0])):
            if not sender.send({"OUT": number}):
                break
        sender.finish()
        return ()
