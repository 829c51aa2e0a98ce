"""
aiohttp's server with the fast lane in front: what a listening socket makes connections with.
"""

import asyncio
import time
from typing import Any, cast

from aiohttp import web

from inferd.dataplane import DataPlane
from inferd.frontends.http.drain import Drain
from inferd.frontends.http.fastlane.application import ApplicationHandler
from inferd.frontends.http.fastlane.connection import Connection
from inferd.frontends.http.fastlane.lane import Lane
from inferd.frontends.http.fastlane.watch import interval_seconds
from inferd.frontends.http.limits import Limits
from inferd.listening.byte_ledger import ByteLedger
from inferd.listening.spinner import Spinner


class LaneServer(web.Server):
    """
    Makes connections whose inference requests take the fast lane.

    Args:
        handler: The application, for every other request.
        dataplane: What answers inference requests.
        max_input_size: The largest body, in bytes.
        limits: The other limits of a connection.
        takes_inferences: Whether there is a fast lane at all.
        drain: Says when the server ends.
        ledger: Knows which large requests there is room for; ``None`` takes all.
        spinner: Keeps the event loop awake after answers; ``None`` lets it sleep.
        options: Those of aiohttp's server.
    """

    def __init__(
        self,
        handler: Any,
        dataplane: DataPlane,
        *,
        max_input_size: int,
        limits: Limits,
        takes_inferences: bool = True,
        drain: Drain,
        ledger: ByteLedger | None = None,
        spinner: Spinner | None = None,
        **options: Any,
    ) -> None:
        # aiohttp's own limits are for parts of a head, and a head is bounded already.
        longest = limits.head_bytes
        options.update(max_line_size=longest, max_field_size=longest, max_headers=longest)
        super().__init__(handler, **options)
        self._lane = Lane(
            dataplane,
            max_input_size=max_input_size,
            limits=limits,
            takes_inferences=takes_inferences,
            drain=drain,
            handler=self._attach,
            spinner=spinner or Spinner(0),
            ledger=ledger,
        )
        self._interval = interval_seconds(limits)
        self._looking: asyncio.TimerHandle | None = None
        self._look_later()

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        # asyncio only needs a protocol; aiohttp's annotation is narrower than that.
        return cast("web.RequestHandler", Connection(self._lane))

    def _attach(self, connection: Connection) -> ApplicationHandler:
        return ApplicationHandler(self, connection, loop=self._loop, **self._kwargs)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Cancel the requests in the lane, end the others as aiohttp does, and close."""
        if self._looking is not None:
            self._looking.cancel()
        tasks = [task for each in self._lane.connections for task in each.cancel()]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        await super().shutdown(timeout)
        for connection in tuple(self._lane.connections):
            connection.close()

    def _look_later(self) -> None:
        if self._interval is not None:
            self._looking = self._loop.call_later(self._interval, self._look)

    def _look(self) -> None:
        """Look at every connection; one timer does for all."""
        now_ns = time.monotonic_ns()
        for connection in tuple(self._lane.connections):
            connection.look(now_ns)
        self._look_later()
