"""
A request's place in the order of a connection's answers.

A prompt inference needs no task: it is started when its body is there, and its place is
itself what its answer is handed to. That saves a task, a future, their steps and two turns
of the loop per request.
"""

import asyncio
from typing import Protocol

from inferd.frontends.http.fastlane.framing import Inference
from inferd.frontends.http.fastlane.replies import Reply
from inferd.protocol.infer_json import DecodedRequest
from inferd.protocol.messages import InferResponse
from inferd.scheduling.pending import OwnFuture


class Answering(Protocol):
    """What a started inference needs of its connection."""

    def answer(self, slot: "Slot", response: InferResponse) -> None:
        """Take the answer of a started request."""

    def fail(self, slot: "Slot", error: BaseException) -> None:
        """Take what went wrong with one."""


class Slot(OwnFuture):
    """
    One request's place; the ``AnswerFuture`` of an inference without a task.

    Args:
        event: The request.
        connection: Its connection.

    Attributes:
        event: The request.
        decoded: What its body says, once that is known.
        reply: Its answer, once that is known.
        closes: Whether the connection ends behind it.
        is_open: Whether the server waits for it when it ends.
        task: What answers it, if a task does.
    """

    __slots__ = (
        "_connection",
        "closes",
        "decoded",
        "event",
        "is_open",
        "reply",
        "task",
    )

    def __init__(self, event: Inference, connection: Answering) -> None:
        self._done = False
        self._started = None
        self.event = event
        self.decoded: DecodedRequest | None = None
        self.reply: Reply | None = None
        self.closes = not event.head.keep_alive
        self.is_open = False
        self.task: asyncio.Task[None] | None = None
        self._connection = connection

    def take_back(self) -> None:
        """Give the request up; nobody waits for its answer."""
        if self.task is not None:
            self.task.cancel()
        else:
            super().take_back()

    def set_result(self, result: InferResponse, /) -> None:
        """Take the answer."""
        self._done = True
        self._started = None
        self._connection.answer(self, result)

    def set_exception(self, exception: BaseException, /) -> None:
        """Take what went wrong."""
        self._done = True
        self._started = None
        self._connection.fail(self, exception)
