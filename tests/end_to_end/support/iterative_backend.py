"""
A backend that counts a request down: one execution and one response per count.

``INPUT`` INT32 ``[1]`` is the number of executions; ``OUTPUT`` is how many are left.
"""

import numpy as np

from inferd.backend import API_VERSION, Backend, Instance, Model


class IterativeBackend(Backend):
    """Makes models that count down."""

    API_VERSION = API_VERSION

    def load(self, context):
        """Return a model."""
        return IterativeModel()


class IterativeModel(Model):
    """One version of a model that counts down."""

    def create_instance(self, placement):
        """Return an instance that counts down."""
        return IterativeInstance()


class IterativeInstance(Instance):
    """One instance; what is left of a request is kept by its correlation id."""

    def __init__(self):
        self._left = {}

    def execute(self, batch):
        """Answer each request with what is left of it."""
        left = np.zeros((batch.size, 1), np.int32)
        starts, ids = batch.inputs["START"], batch.inputs["CORRID"]
        for row, given in enumerate(batch.inputs["INPUT"]):
            key = ids[row, 0]
            before = int(given[0]) if starts[row, 0] else self._left.get(key, 1)
            left[row] = self._left[key] = before - 1
            if before > 1:
                batch.reschedule(row)
            else:
                del self._left[key]
            if batch.senders:
                batch.senders[row].send({"OUTPUT": left[row : row + 1]}, final=before <= 1)
        return () if batch.senders else [left]
