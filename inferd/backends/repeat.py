"""
The built-in backend that answers a request with the elements of its input, one by one.

It is decoupled and has the tensors of Triton's backend of the same name, for trying out
clients and streams:

* ``IN``: any numeric datatype ``[n]``, the values to repeat;
* ``DELAY``: UINT32 ``[n]``, milliseconds before each of them;
* ``WAIT``: UINT32 ``[1]``, milliseconds after which the instance takes its next request;
* ``OUT``: the datatype of ``IN``, ``[1]``; ``IDX``: UINT32 ``[1]``, the element's place.

With ``n`` of 0 there is only the end to tell. Source: triton-inference-server/repeat_backend.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd.backend import (
    API_VERSION,
    Backend,
    BackendError,
    Batch,
    Instance,
    Model,
    ModelContext,
    Placement,
    ResponseSender,
)
from inferd.backends.contract import check_decoupled, check_tensors

Array = npt.NDArray[Any]


class RepeatBackend(Backend):
    """Sends the elements of an input as responses of their own."""

    API_VERSION = API_VERSION

    def load(self, context: ModelContext) -> Model:
        """
        Make a model from its config alone.

        Raises:
            BackendError: The config is not decoupled, batches, or has other tensors.
        """
        check_decoupled(context)
        check_tensors(context, inputs=("IN", "DELAY", "WAIT"), outputs=("OUT", "IDX"))
        return RepeatModel()


class RepeatModel(Model):
    """One version of a repeating model."""

    def create_instance(self, placement: Placement) -> Instance:
        """Make an instance."""
        return RepeatInstance()


class RepeatInstance(Instance):
    """
    One instance; its responses come from a thread per request.

    Closing it ends the waits of those threads.
    """

    def __init__(self) -> None:
        self._closed = threading.Event()

    def execute(self, batch: Batch) -> Sequence[Array]:
        """
        Begin to answer one request, and wait for as long as it says.

        Raises:
            BackendError: ``IN`` and ``DELAY`` are not of the same length.
        """
        values, delays = batch.inputs["IN"].ravel(), batch.inputs["DELAY"].ravel()
        if len(values) != len(delays):
            raise BackendError(
                f"inputs 'IN' and 'DELAY' of model '{batch.requests[0].model_name}' must have the "
                f"same number of elements, got {len(values)} and {len(delays)}"
            )
        answer = _Answer(values.copy(), delays.tolist(), batch.senders[0], self._closed.wait)
        threading.Thread(target=answer.send, name="repeat", daemon=True).start()
        self._closed.wait(int(batch.inputs["WAIT"].ravel()[0]) / 1000)
        return ()

    def close(self) -> None:
        """End the waits."""
        self._closed.set()


class _Answer:
    """
    The responses to one request.

    Args:
        values: The elements.
        delays_ms: Milliseconds before each of them.
        sender: Sends them.
        wait: Waits for a number of seconds.
    """

    def __init__(
        self,
        values: Array,
        delays_ms: Sequence[int],
        sender: ResponseSender,
        wait: Callable[[float], object],
    ) -> None:
        self._values = values
        self._delays_ms = delays_ms
        self._sender = sender
        self._wait = wait

    def send(self) -> None:
        """Send the elements until there are no more or nobody wants them."""
        for index, delay_ms in enumerate(self._delays_ms):
            if delay_ms:
                self._wait(delay_ms / 1000)
            outputs = {
                "OUT": self._values[index : index + 1],
                "IDX": np.array([index], np.uint32),
            }
            if not self._sender.send(outputs):
                break
        self._sender.finish()
