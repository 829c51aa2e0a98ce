"""
How a call ends, whichever transport carries it: always with a status.

Replaces what grpclib's request handler does with a call, which leaves it unanswered when
its metadata cannot be read and answers every unforeseen error ``UNKNOWN``.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from grpclib.const import Handler, Status
from grpclib.exceptions import GRPCError
from h2.exceptions import ProtocolError

from inferd.errors import InferdError
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.errors import INTERNAL_ERROR, SHUTTING_DOWN, status_of

log = logging.getLogger(__name__)

Outcome = tuple[Status, str | None]


class Opened(Protocol):
    """A call as handlers see it; has what they use of ``grpclib.server.Stream``."""

    timeout_seconds: float | None

    def open(self, method: Handler) -> None:
        """Make the call ready for a method."""

    async def recv_message(self) -> Any:
        """Return the next message, or ``None`` at the end of a stream of them."""

    async def send_message(self, message: Any) -> None:
        """Send a message."""


class Methods:
    """
    What is served.

    Args:
        mapping: Method path -> how it is served.
        drain: Whether new calls are refused.
    """

    def __init__(self, mapping: Mapping[str, Handler], drain: Drain) -> None:
        self._mapping = mapping
        self.drain = drain

    async def serve(self, call: Opened, path: str) -> Outcome:
        """
        Serve a call and say how it ended.

        Raises:
            asyncio.CancelledError: The task was cancelled, as opposed to the request.
            ProtocolError: The peer reset the stream or closed the connection.
        """
        if self.drain.begun:
            return Status.UNAVAILABLE, SHUTTING_DOWN
        method = self._mapping.get(path)
        if method is None:
            return Status.UNIMPLEMENTED, f"unknown method '{path}'"
        try:
            call.open(method)
            await _invoke(method, call)
        except asyncio.CancelledError as error:
            # No local of this frame may be the task: its exception refers to the frame, and
            # what the call holds would wait for a garbage collection.
            if _is_task_cancelled():
                raise
            return failure(error, path)
        except ProtocolError:
            raise
        except Exception as error:
            return failure(error, path)
        return Status.OK, None


def _is_task_cancelled() -> bool:
    current = asyncio.current_task()
    return current is None or current.cancelling() > 0


def failure(error: BaseException, path: str) -> Outcome:
    """Return how a call ends that raised this; what nobody foresaw is logged."""
    if isinstance(error, InferdError):
        return status_of(error), error.message
    if isinstance(error, GRPCError):
        # Generated methods that are not overridden raise UNIMPLEMENTED without a text.
        name = path.rpartition("/")[2]
        return error.status, error.message or f"{name} is not implemented by this server"
    if isinstance(error, asyncio.CancelledError):
        return Status.CANCELLED, "Request cancelled"
    log.error("gRPC call %s failed", path, exc_info=error)
    return Status.INTERNAL, INTERNAL_ERROR


async def _invoke(method: Handler, call: Opened) -> None:
    """Run the method until the client's deadline."""
    if call.timeout_seconds is None:
        await method.func(call)
        return
    try:
        async with asyncio.timeout(call.timeout_seconds) as clock:
            await method.func(call)
    except TimeoutError:
        if clock.expired():
            raise GRPCError(Status.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        raise


def http_refusal(method: str, content_type: str) -> tuple[str, str] | None:
    """Return the HTTP status and reason for a request that is not gRPC's."""
    if method != "POST":
        return "405", "gRPC requests are POST"
    if content_type not in ("application/grpc", "application/grpc+proto"):
        return "415", f"unacceptable content-type '{content_type}'"
    return None
