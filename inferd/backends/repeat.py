"""
The built-in backend that answers a request with the elements of its input, one by one.

It is decoupled and has the tensors of Triton's backend of the same name, for trying out
clients and streams:

* ``IN``: any datatype ``[n]``, the values to repeat;
* ``DELAY``: UINT32 ``[n]``, milliseconds before each of them;
* ``WAIT``: UINT32 ``[1]``, milliseconds after which the instance takes its next request;
* ``OUT``: the datatype of ``IN``, ``[1]``; ``IDX``: UINT32 ``[1]``, the element's place.

With ``n`` of 0 there is only the end to tell. Source: triton-inference-server/repeat_backend.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import DataType
from inferd.backend import (
    API_VERSION,
    Backend,
    BackendError,
    Batch,
    Instance,
    Model,
    ModelContext,
    ResponseSender,
)
from inferd.backends.contract import (
    FilelessModel,
    check_decoupled,
    check_one_element,
    check_same_datatype,
    check_tensors,
)

Array = npt.NDArray[Any]

_LOOK_S: Final = 0.05
"""How often a wait looks for a client that is gone, in seconds."""


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
        unsigned = (DataType.TYPE_UINT32,)
        check_tensors(
            context,
            inputs={"IN": (), "DELAY": unsigned, "WAIT": unsigned},
            outputs={"OUT": (), "IDX": unsigned},
        )
        check_same_datatype(context, "IN", "OUT")
        check_one_element(context, "WAIT")
        return FilelessModel(RepeatInstance)


class RepeatInstance(Instance):
    """
    One instance; its responses come from a thread per request.

    All waits end early when the instance is closed or the client is gone.
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
        pause = partial(_pause, self._closed, batch.senders[0])
        answer = _Answer(values.copy(), delays.tolist(), batch.senders[0], pause)
        threading.Thread(target=answer.send, name="repeat", daemon=True).start()
        pause(int(batch.inputs["WAIT"].ravel()[0]))
        return ()

    def close(self) -> None:
        """End the waits."""
        self._closed.set()


def _pause(closed: threading.Event, sender: ResponseSender, duration_ms: int) -> None:
    """Wait, but not when the instance is closed or nobody waits for the sender's responses."""
    end_ns = time.monotonic_ns() + duration_ms * 1_000_000
    while not sender.is_cancelled:
        rest_s = (end_ns - time.monotonic_ns()) / 1e9
        if rest_s <= 0 or closed.wait(min(rest_s, _LOOK_S)):
            return


class _Answer:
    """
    The responses to one request.

    Args:
        values: The elements.
        delays_ms: Milliseconds before each of them.
        sender: Sends them.
        pause: Waits for a number of milliseconds.
    """

    def __init__(
        self,
        values: Array,
        delays_ms: Sequence[int],
        sender: ResponseSender,
        pause: Callable[[int], None],
    ) -> None:
        self._values = values
        self._delays_ms = delays_ms
        self._sender = sender
        self._pause = pause

    def send(self) -> None:
        """Send the elements until there are no more or nobody wants them."""
        try:
            self._send_elements()
        except BackendError as error:
            self._sender.fail(error)
        else:
            self._sender.finish()

    def _send_elements(self) -> None:
        for index, delay_ms in enumerate(self._delays_ms):
            self._pause(delay_ms)
            outputs = {
                "OUT": self._values[index : index + 1],
                "IDX": np.array([index], np.uint32),
            }
            if not self._sender.send(outputs):
                break
