"""
Inferences that are started without being awaited, as the frontend and its transports see them.
"""

from collections.abc import Callable
from typing import Protocol

from inferd.protocol.infer_protobuf import RequestMessage
from inferd.scheduling.pending import Pending


class Queue(Protocol):
    """Where a request was queued."""

    def take_back(self, pending: Pending) -> None:
        """Give a request up; what is still queued is never executed."""


Started = tuple[Queue, Pending]
"""A request that was queued; its future gets the answer."""

Start = Callable[[RequestMessage], Started | None]
"""Starts an inference; ``None`` says that this one has to be awaited."""
