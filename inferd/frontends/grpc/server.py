"""
The gRPC server: listens, serves connections, drains.

Stopping keeps every promise made: calls in flight are finished and answered, new calls
on open connections are told why they are refused, and only then do the connections go.
"""

import asyncio
import ssl
from collections.abc import Collection
from typing import Final

from grpclib.const import Handler

from inferd.dataplane import DataPlane
from inferd.frontends.grpc.calls import CallHandler
from inferd.frontends.grpc.codec import InferenceCodec
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.health import HealthService
from inferd.frontends.grpc.protocol import ServerProtocol
from inferd.frontends.grpc.service import InferenceService
from inferd.listening.listener import Listener, listen

_ABANDON_SECONDS: Final = 1.0
"""How long cancelled calls get to end, and closed connections to take their last bytes."""


class GrpcServer:
    """
    Serves a data plane over gRPC.

    Args:
        dataplane: What is served.
        address: The address to listen on; ``unix:///path`` is a Unix domain socket.
        port: The port; 0 picks a free one.
        reuse_port: Let other processes listen on the same port.
        tls: How to encrypt, with ``h2`` offered by ALPN; ``None`` is plain text.
        max_message_bytes: The largest request message taken, in bytes.
    """

    def __init__(
        self,
        dataplane: DataPlane,
        *,
        address: str,
        port: int,
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
        max_message_bytes: int = 2**31 - 1,
    ) -> None:
        self._address = address
        self._port = port
        self._reuse_port = reuse_port
        self._tls = tls
        self._max_message_bytes = max_message_bytes
        self._drain = Drain()
        self._codec = InferenceCodec()
        self._mapping: dict[str, Handler] = {
            **InferenceService(dataplane, self._drain).__mapping__(),
            **HealthService(dataplane).__mapping__(),
        }
        self._listener: Listener | None = None
        self._connections: dict[ServerProtocol, CallHandler] = {}
        self._none_left = asyncio.Event()

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._port

    async def start(self) -> None:
        """
        Listen.

        Raises:
            OSError: The address cannot be listened on, such as when it is in use.
        """
        self._listener = await listen(
            self._new_protocol,
            self._address,
            self._port,
            reuse_port=self._reuse_port,
            tls=self._tls,
        )
        self._port = self._listener.port

    async def stop(self, grace_seconds: float) -> None:
        """
        Stop: refuse new calls, finish those in flight, close the connections.

        Args:
            grace_seconds: How long calls in flight may take; the rest are cancelled and
                answered ``UNAVAILABLE``.
        """
        if self._listener is None:
            return
        self._listener.close()
        self._drain.begin()
        if not await _all_done(self._calls(), grace_seconds):
            for handler in self._connections.values():
                handler.abandon()
            await _all_done(self._calls(), _ABANDON_SECONDS)
        await self._close_connections()

    def _new_protocol(self) -> ServerProtocol:
        handler = CallHandler(self._mapping, self._codec, self._drain, self._max_message_bytes)
        return ServerProtocol(
            handler, lambda made: self._connections.update({made: handler}), self._forget
        )

    def _forget(self, connection: ServerProtocol) -> None:
        self._connections.pop(connection, None)
        if not self._connections:
            self._none_left.set()

    def _calls(self) -> list["asyncio.Task[None]"]:
        return [task for handler in self._connections.values() for task in handler.tasks.values()]

    async def _close_connections(self) -> None:
        if not self._connections:
            return
        self._none_left.clear()
        for connection in self._connections:
            connection.connection.say_goodbye()
        try:
            async with asyncio.timeout(_ABANDON_SECONDS):
                await self._none_left.wait()
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.transport.abort()
            await self._none_left.wait()


async def _all_done(calls: Collection["asyncio.Task[None]"], seconds: float) -> bool:
    if not calls:
        return True
    _, pending = await asyncio.wait(calls, timeout=seconds)
    return not pending
