"""
The application's side of a connection that the fast lane owns.

aiohttp's handler of a connection gets the bytes of the requests that are its own, and a
transport that it may treat as the only user of.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from inferd.frontends.http.fastlane.connection import Connection


_INTERIM: Final = b"HTTP/1.1 100 "


class ApplicationHandler(web.RequestHandler):
    """
    Answers the requests it is fed, and says when each answer is written.

    Args:
        manager: The server it belongs to.
        connection: Whose requests it answers.
        options: Those of aiohttp's handler.
    """

    __slots__ = ("_connection",)

    def __init__(
        self,
        manager: web.Server,
        connection: "Connection",
        *,
        loop: asyncio.AbstractEventLoop,
        **options: Any,
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self._connection = connection

    def _process_keepalive(self) -> None:
        """Leave an idle connection alone; whether it is one, only the whole of it knows."""
        self._keepalive_handle = None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the rest of a response and hand the connection back."""
        finished, is_lost = await super().finish_response(request, resp, start_time)
        if not is_lost:
            self._connection.application_answered(keep_alive=bool(finished.keep_alive))
        return finished, is_lost


class SharedTransport(asyncio.Transport):
    """
    A connection's transport as the application sees it.

    Closing and pausing go through the connection, which has reasons of its own for both.
    """

    def __init__(self, transport: asyncio.Transport, connection: "Connection") -> None:
        super().__init__()
        self._transport = transport
        self._connection = connection

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact of the real transport."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether the real transport is."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the connection once everything is written."""
        self._connection.application_closed()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write bytes."""
        if data[: len(_INTERIM)] != _INTERIM:
            self._connection.application_wrote = True
        self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write pieces."""
        self._connection.application_wrote = True
        self._transport.writelines(list_of_data)

    def pause_reading(self) -> None:
        """Have nothing more received for the application."""
        self._connection.hold_reading(True)

    def resume_reading(self) -> None:
        """Take that back."""
        self._connection.hold_reading(False)
