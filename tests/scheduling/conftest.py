"""A backend instance that is released by hand, and builders for requests."""

import threading

import numpy as np
import pytest

from inferd.backend import Batch, Instance
from inferd.protocol.messages import InferRequest, RequestedOutput
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor


class FakeInstance(Instance):
    """
    Adds one to its input. ``hold()`` makes it wait until ``release()``.

    Attributes:
        sizes: Batch sizes executed, in order.
        error: Raised instead of answering, when set.
        outputs: Returned instead of the sum, when set.
    """

    def __init__(self):
        self.sizes = []
        self.error = None
        self.outputs = None
        self.closed = 0
        self.started = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)
        self._held = False

    def hold(self):
        """Make executions wait for a release each."""
        self._held = True

    def release(self, count=1):
        """Let held executions go on."""
        for _ in range(count):
            self._gate.release()

    def open(self):
        """Hold no more, and let everything go on."""
        self._held = False
        self.release(1000)

    def execute(self, batch: Batch):
        """Record the batch, wait if held, answer input + 1."""
        self.sizes.append(batch.size)
        self.started.release()
        if self._held and not self._gate.acquire(timeout=30):
            raise TimeoutError("the test did not release the instance")
        if self.error is not None:
            raise self.error
        if self.outputs is not None:
            return self.outputs
        return [batch.inputs["X"] + 1 for _ in batch.output_names]

    def close(self):
        """Count the calls."""
        self.closed += 1


def spec(name="X", datatype="INT32", itemsize=4, dims=(2,), **more):
    """Return a tensor spec."""
    return TensorSpec(name, datatype, itemsize, tuple(dims), **more)


def signature(max_batch_size=4, dims=(2,)):
    """Return a signature with input X and output Y."""
    return Signature("m", max_batch_size, [spec("X", dims=dims)], [spec("Y", dims=dims)])


def request(value=0, rows=1, width=2, raw=True, outputs=(), **more):
    """Return a checked request whose rows are all ``value``."""
    array = np.full((rows, width), value, "<i4")
    tensor = (
        Tensor("X", "INT32", array.shape, raw=array.tobytes())
        if raw
        else Tensor("X", "INT32", array.shape, array=array)
    )
    made = InferRequest(
        "m", {"X": tensor}, outputs=[RequestedOutput(name) for name in outputs], **more
    )
    made.batch_size = rows
    return made


@pytest.fixture(name="make")
def _make():
    """The builders above, for tests that import nothing from here."""
    return _Builders


class _Builders:
    instance = FakeInstance
    spec = staticmethod(spec)
    signature = staticmethod(signature)
    request = staticmethod(request)
