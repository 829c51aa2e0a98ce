"""
Runs one batch on one instance, from requests to answers, and says how long each part took.

Called on the event loop for a model that runs inline, on the instance's thread otherwise;
it touches nothing but its arguments.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy.typing as npt

from inferd.backend import Batch, Instance
from inferd.errors import BackendError, InferdError
from inferd.protocol.messages import InferRequest, InferResponse

logger = logging.getLogger(__name__)

Answer = InferResponse | InferdError


class Gathers(Protocol):
    """Makes one batch of requests, and their answers of its outputs."""

    def gather(self, requests: Sequence[InferRequest]) -> Batch:
        """Return the requests as one batch."""

    def scatter(self, batch: Batch, outputs: Sequence[npt.NDArray[Any]]) -> list[Answer]:
        """Return one answer per request, in order."""


class Execution:
    """
    What came of one batch.

    Attributes:
        answers: One per request, in order.
        size: Rows executed; 0 when the execution failed.
        failed: How many requests the backend or its failure left without an answer.
        start_ns: When gathering began, monotonic.
        gathered_ns: When the backend was called.
        executed_ns: When the backend returned.
        end_ns: When the answers were ready.
        rescheduled: Which requests the backend wants to execute again, if any.
    """

    __slots__ = (
        "answers",
        "end_ns",
        "executed_ns",
        "failed",
        "gathered_ns",
        "rescheduled",
        "size",
        "start_ns",
    )

    def __init__(self, start_ns: int) -> None:
        self.answers: list[Answer] = []
        self.size = self.failed = 0
        self.rescheduled: set[int] | None = None
        self.start_ns = self.gathered_ns = self.executed_ns = self.end_ns = start_ns


def execute(instance: Instance, assembler: Gathers, requests: Sequence[InferRequest]) -> Execution:
    """
    Answer the requests with one execution; never raises.

    Whatever the backend does, every request gets exactly one answer.
    """
    execution = Execution(time.monotonic_ns())
    try:
        batch = assembler.gather(requests)
        execution.gathered_ns = execution.executed_ns = time.monotonic_ns()
        outputs = instance.execute(batch)
        execution.executed_ns = time.monotonic_ns()
        execution.size = batch.size
        execution.rescheduled = batch.rescheduled
        execution.answers = assembler.scatter(batch, outputs)
        if batch.failures is not None:
            execution.failed = len(batch.failures)
    except BaseException as error:
        # SystemExit and the like, too: they would end the instance's thread, or the event loop.
        execution.answers = [failure_of(error)] * len(requests)
        execution.failed = len(requests)
    execution.end_ns = time.monotonic_ns()
    return execution


def failure_of(error: BaseException) -> InferdError:
    """Return what clients are told of an exception; one nobody foresaw is logged."""
    if isinstance(error, InferdError):
        # Its traceback refers to the batch, and the batch's answers to it: tensors would live on.
        return error.with_traceback(None)
    logger.error("a backend raised an unforeseen exception", exc_info=error)
    return BackendError("internal error")
