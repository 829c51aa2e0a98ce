"""
The metrics service on port 8002.

Any path but ``/metrics`` answers 200 with nothing in it: Triton does, and probes that
ask for ``/`` rely on it.

Source: Triton's ``HTTPMetricsServer``.
"""

import asyncio
import logging
from typing import Final

from aiohttp import web

from inferd.listening.listener import Listener, listen
from inferd.telemetry.metrics import Metrics
from inferd.telemetry.prometheus import CONTENT_TYPE, Exposition

_log = logging.getLogger(__name__)

_PATHS: Final = ("/metrics", "/metrics/")


class MetricsServer:
    """
    Serves one :class:`~inferd.telemetry.metrics.Metrics` to Prometheus.

    Args:
        metrics: What to render at every scrape.
        address: Address to listen on; ``unix:///path`` is a Unix domain socket.
        port: Port to listen on; 0 picks a free one.
        reuse_port: Whether other processes may listen on the same port.
    """

    def __init__(
        self, metrics: Metrics, *, address: str, port: int, reuse_port: bool = False
    ) -> None:
        self._metrics = metrics
        self._address = address
        self._port = port
        self._reuse_port = reuse_port
        self._listener: Listener | None = None
        self._runner: web.ServerRunner | None = None

    @property
    def port(self) -> int:
        """The port listened on; before :meth:`start`, the one asked for."""
        return self._port

    async def start(self) -> None:
        """
        Listen.

        Raises:
            OSError: The address cannot be listened on.
        """
        server = web.Server(self._answer, access_log=None)
        self._runner = runner = web.ServerRunner(server)
        await runner.setup()
        self._listener = await listen(
            server, self._address, self._port, reuse_port=self._reuse_port
        )
        self._port = self._listener.port

    async def stop(self) -> None:
        """Stop listening and close what is open, also after a start that failed."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.method != "GET":
            return _error(405, b"Method Not Allowed")
        if request.path not in _PATHS:
            return _text(b"")
        try:
            return _text(await self._render())
        except Exception:
            _log.exception("failed to render the metrics")
            return _error(500, b"internal error")

    async def _render(self) -> bytes:
        """Render in steps, with a turn of the event loop for the requests in between."""
        page = Exposition()
        for _ in self._metrics.read_into(page):
            await asyncio.sleep(0)
        return page.encode()


def _text(body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


def _error(status: int, message: bytes) -> web.Response:
    body = b'{"error":"%b"}' % message
    return web.Response(status=status, body=body, content_type="application/json")
