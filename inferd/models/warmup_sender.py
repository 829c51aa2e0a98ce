"""Takes the responses of a warm-up sample of a decoupled model, and waits for their end."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from inferd.errors import InferdError
from inferd.protocol.messages import InferResponse, ParameterValue
from inferd.scheduling.decoupled import ExecutionSender

Array = npt.NDArray[Any]


class Outcome:
    """
    How the responses to one request ended.

    Attributes:
        over: Set with the final response, or when the backend dropped the sender.
        error: The first error among them.
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self.error: InferdError | None = None


class WarmupSender(ExecutionSender):
    """
    Drops responses and keeps how they end.

    Args:
        outcome: Where that is kept; it does not keep the sender alive.
    """

    __slots__ = ("_outcome",)

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    @property
    def is_cancelled(self) -> bool:
        """Somebody waits."""
        return False

    @property
    def has_room(self) -> bool:
        """There is room for everything."""
        return True

    def begin(self, start_ns: int, gathered_ns: int) -> None:
        """Do nothing."""

    def send(
        self,
        outputs: Mapping[str, Array],
        *,
        parameters: dict[str, ParameterValue] | None = None,
        final: bool = False,
    ) -> bool:
        """Drop a response."""
        if final:
            self.finish()
        return True

    def fail(self, error: InferdError, *, final: bool = True) -> bool:
        """Keep the first error."""
        self._outcome.error = self._outcome.error or error
        if final:
            self.finish()
        return True

    def finish(self) -> None:
        """Note the end."""
        self._outcome.over.set()

    def end(self, answer: InferResponse | InferdError | None) -> None:
        """Note the end and what it was."""
        if isinstance(answer, InferdError):
            self.fail(answer)
        self.finish()

    def __del__(self) -> None:
        self._outcome.over.set()
