"""
What the fast lane's connections share, and the ways of one inference request through it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from inferd.dataplane import DataPlane
from inferd.errors import InferdError, InvalidRequest, MalformedDocument, RequestCancelled
from inferd.frontends.http import bodies, inference
from inferd.frontends.http.drain import Drain
from inferd.frontends.http.fastlane import framing, replies
from inferd.frontends.http.fastlane.replies import Reply, Tails
from inferd.frontends.http.inference import Inference
from inferd.frontends.http.limits import Limits
from inferd.frontends.http.routes import Route
from inferd.listening.byte_ledger import LARGE_BYTES, ByteLedger, Claim
from inferd.listening.spinner import Spinner
from inferd.protocol.infer_json import DecodedRequest, EncodedResponse
from inferd.protocol.infer_json_plain import Frames, Headers
from inferd.protocol.messages import InferResponse
from inferd.scheduling.pending import AnswerFuture, Started

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
        limits: The other limits of a connection.
        takes_inferences: Whether inferences are answered here at all.
        drain: Says when the server ends, and is told of the requests.
        handler: Makes the application's side of a connection.
        spinner: Keeps the event loop awake after answers.
        ledger: Knows which large requests there is room for; ``None`` takes all.

    Attributes:
        connections: Those that are open.
    """

    __slots__ = (
        "_frames",
        "_headers",
        "_inference",
        "_max_input_size",
        "connections",
        "drain",
        "handler",
        "ledger",
        "limits",
        "max_body",
        "spinner",
        "tails",
    )

    def __init__(
        self,
        dataplane: DataPlane,
        *,
        max_input_size: int,
        limits: Limits,
        takes_inferences: bool,
        drain: Drain,
        handler: "Callable[[Connection], ApplicationHandler]",
        spinner: Spinner,
        ledger: ByteLedger | None = None,
    ) -> None:
        self.ledger = ledger
        self._inference = Inference(dataplane, max_input_size)
        self._frames = Frames()
        self._headers = Headers()
        self._max_input_size = max_input_size
        self.max_body = max_input_size if takes_inferences else 0
        self.limits = limits
        self.drain = drain
        self.handler = handler
        self.spinner = spinner
        self.tails = Tails()
        self.connections: set[Connection] = set()

    def start(
        self, event: framing.Inference, future: AnswerFuture
    ) -> tuple[DecodedRequest, Started | None]:
        """
        Read a prompt request and start it, where it needs no task.

        Args:
            event: The request.
            future: Gets the answer, or what went wrong.

        Returns:
            The request, and how it was started; ``None`` says that :meth:`reply` has to
            answer it.

        Raises:
            InferdError: It is refused.
        """
        head, body, _ = event
        received_ns = time.monotonic_ns()
        try:
            decoded = self._inference.decode_now(body, head.json_length, head.route)
        except (InvalidRequest, MalformedDocument):
            self._check_known(head.route)
            raise
        request = decoded.request
        request.received_ns = received_ns
        if head.timeout_ms:
            request.deadline_ns = received_ns + head.timeout_ms * 1_000_000
            return decoded, None
        if head.encoding != "identity":
            return decoded, None
        return decoded, self._inference.start(request, future)

    def answer(self, response: InferResponse, decoded: DecodedRequest) -> Reply:
        """Write the answer to a started request that is not long."""
        try:
            return replies.encoded(self._encode(response, decoded))
        except Exception as error:
            return failure(error, decoded.request.model_name)

    def _encode(self, response: InferResponse, decoded: DecodedRequest) -> EncodedResponse:
        """Write a response that is not long, in a short way where there is one."""
        if not (response.id or response.parameters):
            if inference.all_binary(decoded):
                return self._headers.encode(response)
            if not decoded.request.outputs:
                encoded = self._frames.encode(response)
                if encoded is not None:
                    return encoded
        return inference.encode_now(response, decoded)

    async def reply(self, event: framing.Inference, decoded: DecodedRequest | None) -> Reply:
        """
        Answer a request; only cancellation leaves it.

        Args:
            event: The request.
            decoded: What its body says, if that was read.
        """
        claim = None
        if self.ledger is not None and event.head.is_compressed:
            claim = Claim(self.ledger)
        try:
            if decoded is None:
                decoded = await self._decode(event, claim)
            return await self._finish(await self._inference.run(decoded.request), event, decoded)
        except Exception as error:
            return failure(error, event.head.route.name)
        finally:
            if claim is not None:
                claim.release()

    async def write(
        self, response: InferResponse, event: framing.Inference, decoded: DecodedRequest
    ) -> Reply:
        """Return a long answer."""
        try:
            return await self._finish(response, event, decoded)
        except Exception as error:
            return failure(error, event.head.route.name)

    async def _decode(self, event: framing.Inference, claim: Claim | None) -> DecodedRequest:
        head, body, _ = event
        received_ns = time.monotonic_ns()
        try:
            content: bytes | memoryview = body
            if head.is_compressed:
                content = await bodies.decompress(body, self._max_input_size)
                if claim is not None:
                    # The connection counts no body that is small before it is decompressed.
                    small = len(body) if len(body) <= LARGE_BYTES else 0
                    claim.grow(len(content) + small)
            decoded = await self._inference.decode(content, head.json_length, head.route)
        except (InvalidRequest, MalformedDocument):
            self._check_known(head.route)
            raise
        request = decoded.request
        request.received_ns = received_ns
        if head.timeout_ms:
            request.deadline_ns = received_ns + head.timeout_ms * 1_000_000
        return decoded

    async def _finish(
        self, response: InferResponse, event: framing.Inference, decoded: DecodedRequest
    ) -> Reply:
        encoded = await inference.encode(response, decoded)
        if event.head.encoding == "identity":
            return replies.encoded(encoded)
        return replies.good(await inference.answer(encoded, event.head.encoding))

    def _check_known(self, route: Route) -> None:
        """Report an unknown model before anything that is wrong with the body."""
        self._inference.signature(route.name, route.version)


def failure(error: BaseException, name: str) -> Reply:
    """Return the answer to a request that failed; what nobody foresaw is logged."""
    if isinstance(error, InferdError):
        return replies.failed(error)
    if isinstance(error, asyncio.CancelledError):
        return replies.failed(RequestCancelled("Request cancelled"))
    _log.error("unforeseen error in an inference of %r", name, exc_info=error)
    return replies.message(500, "internal error")
