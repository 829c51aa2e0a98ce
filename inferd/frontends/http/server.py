"""
The HTTP server: a listening socket in front of the application, and its orderly end.
"""

import logging
import ssl
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from inferd.dataplane import DataPlane
from inferd.frontends.http import errors
from inferd.frontends.http.application import Application
from inferd.frontends.http.drain import Drain
from inferd.frontends.http.fastlane.server import LaneServer
from inferd.frontends.http.limits import Limits
from inferd.listening.byte_ledger import ByteLedger
from inferd.listening.listener import Listener, listen
from inferd.listening.spinner import Spinner

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
        limits: The other limits of a connection.
        reuse_port: Whether other processes may listen on the same port.
        tls: How to encrypt; ``None`` is plain text.
        fast_lane: Whether inference requests are answered beside aiohttp.
        ledger: Knows which large requests there is room for; ``None`` takes all.
        spinner: Keeps the event loop awake after answers; ``None`` lets it sleep.
    """

    def __init__(
        self,
        dataplane: DataPlane,
        *,
        address: str,
        port: int,
        max_input_size: int = DEFAULT_MAX_INPUT_SIZE,
        limits: Limits | None = None,
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
        fast_lane: bool = True,
        ledger: ByteLedger | None = None,
        spinner: Spinner | None = None,
    ) -> None:
        self._dataplane = dataplane
        self._max_input_size = max_input_size
        self._limits = limits if limits is not None else Limits()
        self._fast_lane = fast_lane
        self._ledger = ledger
        self._spinner = spinner
        self._application = Application(dataplane, max_input_size=max_input_size, ledger=ledger)
        self._address = address
        self._port = port
        self._reuse_port = reuse_port
        self._tls = tls
        self._listener: Listener | None = None
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None
        self._drain = Drain()

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
        self._server = server = self._make_server()
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
        if not await self._drain.finish(grace_seconds):
            assert self._server is not None
            await self._server.shutdown(_CANCEL_SECONDS)
        await self._close()

    def _make_server(self) -> web.Server:
        options: dict[str, Any] = {
            "handler_cancellation": True,
            "access_log": None,
            "logger": _connections,
            "auto_decompress": False,
            "lingering_time": _LINGER_SECONDS,
        }
        return LaneServer(
            self._handle,
            self._dataplane,
            max_input_size=self._max_input_size,
            limits=self._limits,
            takes_inferences=self._fast_lane,
            drain=self._drain,
            ledger=self._ledger,
            spinner=self._spinner,
            **options,
        )

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        drain = self._drain
        if drain.begun:
            refusal = errors.respond(503, "Server exiting")
            refusal.force_close()
            return refusal
        drain.enter()
        try:
            response = await self._application.handle(request)
        finally:
            drain.leave()
        if drain.begun:
            response.force_close()
        return response
