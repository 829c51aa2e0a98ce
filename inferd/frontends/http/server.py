"""
The HTTP server: a listening socket in front of the application, and its orderly end.
"""

import asyncio
import logging
import ssl
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from inferd.dataplane import DataPlane
from inferd.frontends.http import errors
from inferd.frontends.http.application import Application
from inferd.listening.listener import Listener, listen

DEFAULT_MAX_INPUT_SIZE: Final = 64 << 20
"""The largest request body by default, in bytes (Triton's)."""

_LINGER_SECONDS: Final = 2.0
"""How long the rest of a refused body is read and dropped, so that the answer gets through."""
_CLOSE_SECONDS: Final = 1.0
"""How long answers that are already on their way may take when the server closes."""
_CANCEL_SECONDS: Final = 0.01
"""How long requests that outlived the grace period are waited for."""

_connections = logging.getLogger(f"{__name__}.connections")


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell a bug from bytes that are not HTTP, which any port scanner may send."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_connections.addFilter(_is_ours)


class HttpServer:
    """
    Serves the protocol over HTTP.

    Args:
        dataplane: What answers the requests.
        address: The address to listen on; ``unix:///path`` is a Unix domain socket.
        port: The port to listen on; 0 picks a free one.
        max_input_size: The largest request body, in bytes.
        reuse_port: Whether other processes may listen on the same port.
        tls: How to encrypt; ``None`` is plain text.
    """

    def __init__(
        self,
        dataplane: DataPlane,
        *,
        address: str,
        port: int,
        max_input_size: int = DEFAULT_MAX_INPUT_SIZE,
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._application = Application(dataplane, max_input_size=max_input_size)
        self._address = address
        self._port = port
        self._reuse_port = reuse_port
        self._tls = tls
        self._listener: Listener | None = None
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None
        self._in_flight = 0
        self._stopping = False
        self._drained = asyncio.Event()

    @property
    def port(self) -> int:
        """The port the server listens on; the chosen one once it is started."""
        return self._port

    async def start(self) -> None:
        """
        Begin to listen.

        Raises:
            OSError: The address is not available.
        """
        self._server = server = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            logger=_connections,
            auto_decompress=False,
            lingering_time=_LINGER_SECONDS,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        self._runner = runner
        try:
            self._listener = await listen(
                server, self._address, self._port, reuse_port=self._reuse_port, tls=self._tls
            )
        except OSError:
            await self._close()
            raise
        self._port = self._listener.port

    async def stop(self, grace_seconds: float) -> None:
        """
        Refuse new requests, let the others finish, and close.

        Args:
            grace_seconds: How long requests may take to finish; those that do not are
                cancelled.
        """
        self._stopping = True
        if self._in_flight:
            try:
                async with asyncio.timeout(grace_seconds):
                    await self._drained.wait()
            except TimeoutError:
                assert self._server is not None
                await self._server.shutdown(_CANCEL_SECONDS)
        await self._close()

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._stopping:
            refusal = errors.respond(503, "Server exiting")
            refusal.force_close()
            return refusal
        self._in_flight += 1
        try:
            response = await self._application.handle(request)
        finally:
            self._in_flight -= 1
            if self._stopping and not self._in_flight:
                self._drained.set()
        if self._stopping:
            response.force_close()
        return response
