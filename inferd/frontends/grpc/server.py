"""
The gRPC server: listens, serves connections, drains.

Stopping keeps every promise made: calls in flight are finished and answered, new calls
on open connections are told why they are refused, and only then do the connections go.
"""

import asyncio
import ssl
import time
from typing import Final, Protocol

from grpclib.const import Handler

from inferd.dataplane import DataPlane
from inferd.frontends.grpc.codec import InferenceCodec
from inferd.frontends.grpc.deflating import Level, deflater
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.health import HealthService
from inferd.frontends.grpc.keepalive import KeepaliveSettings
from inferd.frontends.grpc.reflection import ReflectionService
from inferd.frontends.grpc.service import InferenceService
from inferd.frontends.grpc.serving import Methods
from inferd.frontends.grpc.transport import Connection, Hosting, TransportName, make_transport
from inferd.listening.byte_ledger import ByteLedger
from inferd.listening.listener import Listener, listen
from inferd.listening.spinner import Spinner

_ABANDON_SECONDS: Final = 1.0
"""How long cancelled calls get to end, and closed connections to take their last bytes."""


class Service(Protocol):
    """What answers some methods."""

    def __mapping__(self) -> dict[str, Handler]:
        """Return its methods by their paths."""


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
        transport: What speaks HTTP/2; ``auto`` is the native one where it is built.
        reflection: Tell clients that ask what services there are.
        spinner: Keeps the event loop awake after answers; ``None`` lets it sleep.
        compression_level: How hard the answers to inferences are compressed, for clients
            that accept it.
        keepalive: When connections are pinged, turned away and retired.
        ledger: Knows which large messages there is room for; ``None`` takes all.

    Attributes:
        transport: Which was chosen, ``native`` or ``python``.

    Raises:
        ConfigError: The native transport is asked for and not built.
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
        transport: TransportName = "auto",
        reflection: bool = True,
        spinner: Spinner | None = None,
        compression_level: Level = "none",
        keepalive: KeepaliveSettings | None = None,
        ledger: ByteLedger | None = None,
    ) -> None:
        self._address = address
        self._port = port
        self._reuse_port = reuse_port
        self._tls = tls
        self._drain = Drain()
        self._connections: set[Connection] = set()
        inference = InferenceService(dataplane, self._drain)
        services: list[Service] = [inference, HealthService(dataplane)]
        if reflection:
            services.append(ReflectionService(self._drain))
        mapping = {path: one for each in services for path, one in each.__mapping__().items()}
        compressor = deflater(compression_level)
        hosting = Hosting(
            Methods(mapping, self._drain),
            # Compression may leave the loop, and what has no task cannot wait for it.
            inference.direct() if compressor is None else {},
            InferenceCodec(),
            max_message_bytes,
            self._remember,
            self._forget,
            self._connections,
            spinner or Spinner(0),
            compressor,
            keepalive or KeepaliveSettings(),
            ledger,
        )
        self.transport, self._new_protocol = make_transport(transport, hosting)
        self._listener: Listener | None = None
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
        if not await self._all_answered(grace_seconds):
            for connection in self._connections:
                connection.abandon()
            await self._all_answered(_ABANDON_SECONDS)
        await self._close_connections()

    def _remember(self, connection: Connection) -> None:
        self._connections.add(connection)

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._none_left.set()

    async def _all_answered(self, seconds: float) -> bool:
        """Wait until every call is answered, for so long at most."""
        end = time.monotonic() + seconds
        while calls := [one for each in self._connections for one in each.in_flight()]:
            _, pending = await asyncio.wait(calls, timeout=max(0.0, end - time.monotonic()))
            if pending and time.monotonic() >= end:
                return False
        return True

    async def _close_connections(self) -> None:
        if not self._connections:
            return
        self._none_left.clear()
        for connection in tuple(self._connections):
            connection.say_goodbye()
        try:
            async with asyncio.timeout(_ABANDON_SECONDS):
                await self._none_left.wait()
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.abort()
            await self._none_left.wait()
