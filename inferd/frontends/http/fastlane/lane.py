"""
What the fast lane's connections share, and the way of one inference request through it.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from inferd.dataplane import DataPlane
from inferd.errors import InferdError, InvalidRequest, MalformedDocument
from inferd.frontends.http import inference
from inferd.frontends.http.drain import Drain
from inferd.frontends.http.fastlane import framing, replies
from inferd.frontends.http.fastlane.replies import Reply, Tails
from inferd.frontends.http.inference import Answer, Inference
from inferd.listening.byte_ledger import ByteLedger

if TYPE_CHECKING:
    from inferd.frontends.http.fastlane.application import ApplicationHandler
    from inferd.frontends.http.fastlane.connection import Connection

_log = logging.getLogger(__name__)


class Lane:
    """
    Answers inference requests.

    Args:
        dataplane: What answers them.
        max_input_size: The largest body, in bytes.
        drain: Says when the server ends, and is told of the requests.
        handler: Makes the application's side of a connection.
        ledger: Knows which large requests there is room for; ``None`` takes all.

    Attributes:
        connections: Those that are open.
    """

    __slots__ = (
        "_inference",
        "connections",
        "drain",
        "handler",
        "ledger",
        "max_input_size",
        "tails",
    )

    def __init__(
        self,
        dataplane: DataPlane,
        *,
        max_input_size: int,
        drain: Drain,
        handler: "Callable[[Connection], ApplicationHandler]",
        ledger: ByteLedger | None = None,
    ) -> None:
        self.ledger = ledger
        self._inference = Inference(dataplane, max_input_size)
        self.max_input_size = max_input_size
        self.drain = drain
        self.handler = handler
        self.tails = Tails()
        self.connections: set[Connection] = set()

    async def reply(self, event: framing.Inference) -> Reply:
        """Answer a request; only cancellation leaves it."""
        if self.drain.begun:
            return replies.message(503, "Server exiting")
        self.drain.enter()
        try:
            return replies.good(await self._answer(event))
        except InferdError as error:
            return replies.failed(error)
        except Exception:
            _log.exception("unforeseen error in an inference of %r", event.head.route.name)
            return replies.message(500, "internal error")
        finally:
            self.drain.leave()

    async def _answer(self, event: framing.Inference) -> Answer:
        head, body = event
        route, json_length, timeout_ms, encoding, _, _ = head
        received_ns = time.monotonic_ns()
        try:
            decoded = await self._inference.decode(body, json_length, route)
        except (InvalidRequest, MalformedDocument):
            # An unknown model is reported before anything that is wrong with the body.
            self._inference.signature(route.name, route.version)
            raise
        request = decoded.request
        request.received_ns = received_ns
        if timeout_ms:
            request.deadline_ns = received_ns + timeout_ms * 1_000_000
        response = await self._inference.run(request)
        return await inference.answer(await inference.encode(response, decoded), encoding)
