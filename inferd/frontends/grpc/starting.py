"""
Inferences that are started without being awaited, as the frontend and its transports see them.
"""

from collections.abc import Callable
from typing import Protocol

from inferd.protocol.infer_protobuf import RequestMessage
from inferd.scheduling.pending import AnswerFuture, Pending


class Queue(Protocol):
    """Where a request was queued."""

    def end_turn(self) -> None:
        """Execute what this turn of the loop has queued; nothing more will come in it."""

    def take_back(self, pending: Pending) -> None:
        """Give a request up; what is still queued is never executed."""


Started = tuple[Queue, Pending]
"""Where a request was queued, and the request."""

Start = Callable[[RequestMessage, AnswerFuture], Started | None]
"""Starts an inference that a future gets the answer of; ``None``: it has to be awaited."""
