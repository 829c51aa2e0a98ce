"""
Executes batches of decoupled models: any number of responses per request, at any time.

The backend is given a sender per request. Whatever it does with them, every request ends
once: with the final reply it sends, with the error its execution raised, or, when it forgets
a sender, with an error that says so.
"""

import contextlib
import time
from abc import abstractmethod
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy.typing as npt

from inferd.backend import Instance, ResponseSender
from inferd.errors import BackendError, InferdError
from inferd.protocol.messages import InferRequest, InferResponse, ParameterValue
from inferd.scheduling.execution import Answer, Execution, Gathers, failure_of
from inferd.scheduling.replies import Reply, ReplyStream
from inferd.scheduling.threads import Completions

Array = npt.NDArray[Any]
Respond = Callable[
    [InferRequest, Mapping[str, Array], dict[str, ParameterValue] | None], InferResponse
]
"""Makes a response of the outputs a backend sends; raises BackendError when they are wrong."""


class ExecutionSender(ResponseSender):
    """A sender that the execution uses, too."""

    __slots__ = ()

    @abstractmethod
    def begin(self, start_ns: int, gathered_ns: int) -> None:
        """Note when an execution of the request began and when the backend was called."""

    @abstractmethod
    def end(self, answer: InferResponse | InferdError | None) -> None:
        """Send the final reply, unless there was one."""


class Sender(ExecutionSender):
    """
    Sends the replies of one request to the event loop.

    Args:
        stream: Where its client takes them.
        respond: Makes the responses.
        completions: The way to the loop.
    """

    __slots__ = ("_completions", "_respond", "_stream")

    def __init__(self, stream: ReplyStream, respond: Respond, completions: Completions) -> None:
        self._stream = stream
        self._respond = respond
        self._completions = completions

    @property
    def is_cancelled(self) -> bool:
        """Whether the client is gone."""
        return self._stream.cancelled

    @property
    def has_room(self) -> bool:
        """Whether the client has taken enough for another response."""
        return self._stream.has_room

    def begin(self, start_ns: int, gathered_ns: int) -> None:
        """Note that an execution of the request began."""
        self._stream.begin(start_ns, gathered_ns)

    def send(
        self,
        outputs: Mapping[str, Array],
        *,
        parameters: dict[str, ParameterValue] | None = None,
        final: bool = False,
    ) -> bool:
        """Send one response, once there is room for it."""
        return self._post(Reply(self._respond(self._stream.request, outputs, parameters), final))

    def fail(self, error: InferdError, *, final: bool = True) -> bool:
        """Send an error, once there is room for it."""
        return self._post(Reply(error, final))

    def finish(self) -> None:
        """Send the end, unless it was sent."""
        self.end(None)

    def end(self, answer: InferResponse | InferdError | None) -> None:
        """Send the final reply, unless there was one."""
        with contextlib.suppress(BackendError):
            self._post(Reply(answer, final=True))

    def _post(self, reply: Reply) -> bool:
        try:
            return self._stream.enter(reply, partial(self._completions.post, self._stream.deliver))
        except RuntimeError:
            raise BackendError(
                f"model '{self._stream.request.model_name}' sent a response after the final one"
            ) from None

    def __del__(self) -> None:
        if not self._stream.ended:
            name = self._stream.request.model_name
            self.end(BackendError(f"model '{name}' dropped a request without a final response"))


class Nobody(ExecutionSender):
    """Drops what is sent: the sender of a row that only fills an empty slot."""

    __slots__ = ()

    @property
    def is_cancelled(self) -> bool:
        """Nobody waits."""
        return True

    @property
    def has_room(self) -> bool:
        """There is nothing to wait for."""
        return True

    def send(
        self,
        outputs: Mapping[str, Array],
        *,
        parameters: dict[str, ParameterValue] | None = None,
        final: bool = False,
    ) -> bool:
        """Drop a response."""
        return False

    def fail(self, error: InferdError, *, final: bool = True) -> bool:
        """Drop an error."""
        return False

    def finish(self) -> None:
        """Do nothing."""

    def begin(self, start_ns: int, gathered_ns: int) -> None:
        """Do nothing."""

    def end(self, answer: InferResponse | InferdError | None) -> None:
        """Drop an answer."""


NOBODY: Final = Nobody()


def execute_decoupled(
    instance: Instance,
    assembler: Gathers,
    requests: Sequence[InferRequest],
    senders: Sequence[ExecutionSender],
) -> Execution:
    """
    Call a decoupled model once; never raises.

    Args:
        instance: What to call.
        assembler: Gathers the requests; scatters what the backend returns, if anything.
        requests: The requests.
        senders: One per request.

    Returns:
        The execution; its ``answers`` are empty, because the senders answer.
    """
    execution = Execution(time.monotonic_ns())
    try:
        batch = assembler.gather(requests)
        batch.senders = senders
        execution.gathered_ns = execution.executed_ns = time.monotonic_ns()
        for sender in senders:
            sender.begin(execution.start_ns, execution.gathered_ns)
        outputs = instance.execute(batch)
        execution.executed_ns = time.monotonic_ns()
        execution.size = batch.size
        execution.rescheduled = batch.rescheduled
        # None, which a backend that answered by its senders may return, says the same as nothing.
        if outputs is not None and len(outputs):
            _answer(senders, assembler.scatter(batch, outputs), batch.rescheduled or ())
        for index, failed in (batch.failures or {}).items():
            senders[index].end(failed)
            execution.failed += 1
    except BaseException as error:
        failure = failure_of(error)
        execution.failed = len(requests)
        for sender in senders:
            sender.end(failure)
    execution.end_ns = time.monotonic_ns()
    return execution


def _answer(
    senders: Sequence[ExecutionSender], answers: Sequence[Answer], rescheduled: Container[int]
) -> None:
    """Make what a backend returned the final reply of the requests that are not executed again."""
    for index, answer in enumerate(answers):
        if index not in rescheduled:
            senders[index].end(answer)
