"""
What becomes of requests that a backend wants to execute again.

An iterative sequence executes them again; everywhere else they fail, because nothing would
ever answer them.
"""

import contextlib
from collections.abc import Sequence
from typing import Protocol

from inferd.errors import BackendError, InferdError
from inferd.protocol.messages import InferRequest
from inferd.scheduling.execution import Execution
from inferd.scheduling.pending import AnswerFuture
from inferd.scheduling.replies import Reply, ReplyStream


class Executed(Protocol):
    """A request of a batch that was executed."""

    request: InferRequest
    stream: ReplyStream | None

    @property
    def future(self) -> AnswerFuture:
        """What gets its answer."""


def refuse_rescheduled(batch: Sequence[Executed], done: Execution) -> None:
    """Fail the requests of an execution that were rescheduled; the text begins as Triton's."""
    for index in done.rescheduled or ():
        executed = batch[index]
        error = BackendError(
            "Request is released with TRITONSERVER_REQUEST_RELEASE_RESCHEDULE, but the sequence "
            f"batching of model '{executed.request.model_name}' is not iterative"
        )
        if executed.stream is None:
            done.answers[index] = error
        else:
            _end(executed.stream, error)


def end_unfinished(executed: Executed, error: InferdError | None = None) -> None:
    """End a decoupled request that is not executed again although its backend waits for it."""
    if executed.stream is not None:
        _end(executed.stream, error)


def goes_on(executed: Executed, done: Execution, index: int) -> bool:
    """Whether a rescheduled request is executed again: it has not failed and is waited for."""
    if executed.future.done():
        return False
    if executed.stream is not None:
        return not executed.stream.ended
    return not isinstance(done.answers[index], InferdError)


def _end(stream: ReplyStream, error: InferdError | None) -> None:
    with contextlib.suppress(RuntimeError):
        stream.enter(Reply(error, final=True), stream.deliver)
