"""
aiohttp's server with the fast lane in front: what a listening socket makes connections with.
"""

import asyncio
from typing import Any, Final, cast

from aiohttp import web

from inferd.dataplane import DataPlane
from inferd.frontends.http.drain import Drain
from inferd.frontends.http.fastlane.application import ApplicationHandler
from inferd.frontends.http.fastlane.connection import Connection
from inferd.frontends.http.fastlane.lane import Lane
from inferd.frontends.http.limits import Limits

_IDLE_SECONDS: Final = 1815.0
"""Half of what aiohttp leaves a silent connection."""


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
        idle_seconds: Connections silent for between one and two such times are closed.
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
        idle_seconds: float = _IDLE_SECONDS,
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
        )
        self._idle_seconds = idle_seconds
        self._sweeping = self._loop.call_later(idle_seconds, self._sweep)

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        # asyncio only needs a protocol; aiohttp's annotation is narrower than that.
        return cast("web.RequestHandler", Connection(self._lane))

    def _attach(self, connection: Connection) -> ApplicationHandler:
        return ApplicationHandler(self, connection, loop=self._loop, **self._kwargs)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Cancel the requests in the lane, end the others as aiohttp does, and close."""
        self._sweeping.cancel()
        tasks = [task for each in self._lane.connections for task in each.cancel()]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        await super().shutdown(timeout)
        for connection in tuple(self._lane.connections):
            connection.close()

    def _sweep(self) -> None:
        """Close connections that nothing was heard of since the last time."""
        for connection in tuple(self._lane.connections):
            if connection.is_idle and not connection.heard:
                connection.close()
            connection.heard = False
        self._sweeping = self._loop.call_later(self._idle_seconds, self._sweep)
