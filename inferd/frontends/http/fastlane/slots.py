"""
A request's place in the order of a connection's answers.

A prompt inference needs no task: it is started when its body is there, and answered by the
callback of its future. That saves a task, its steps and a turn of the loop per request.
"""

import asyncio
from typing import Protocol

from inferd.frontends.http.fastlane.framing import Inference
from inferd.frontends.http.fastlane.replies import Reply
from inferd.frontends.http.inference import Started
from inferd.protocol.infer_json import DecodedRequest
from inferd.protocol.messages import InferResponse


class Answering(Protocol):
    """What a started inference needs of its connection."""

    def answer(self, slot: "Slot", future: "asyncio.Future[InferResponse]") -> None:
        """Take the answer of a started request."""


class Slot:
    """
    One request's place.

    Args:
        event: The request.

    Attributes:
        event: The request.
        decoded: What its body says, once that is known.
        reply: Its answer, once that is known.
        closes: Whether the connection ends behind it.
        is_open: Whether the server waits for it when it ends.
        task: What answers it, if a task does.
    """

    __slots__ = (
        "_answering",
        "_started",
        "closes",
        "decoded",
        "event",
        "is_open",
        "reply",
        "task",
    )

    def __init__(self, event: Inference) -> None:
        self.event = event
        self.decoded: DecodedRequest | None = None
        self.reply: Reply | None = None
        self.closes = not event.head.keep_alive
        self.is_open = False
        self.task: asyncio.Task[None] | None = None
        self._started: Started | None = None
        self._answering: Answering | None = None

    def wait(self, started: Started, answering: Answering) -> None:
        """Have the connection told of the answer."""
        self._started = started
        self._answering = answering
        started[1].future.add_done_callback(self._on_answer)

    def cancel(self) -> None:
        """Give the request up; nobody waits for its answer."""
        if self.task is not None:
            self.task.cancel()
        elif self._started is not None:
            queue, pending = self._started
            pending.future.remove_done_callback(self._on_answer)
            queue.take_back(pending)
            self._started = None

    def _on_answer(self, future: "asyncio.Future[InferResponse]") -> None:
        assert self._answering is not None
        self._started = None
        self._answering.answer(self, future)
