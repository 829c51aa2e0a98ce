"""
The contract of a transport, and the choice between the two there are.

A transport is what speaks HTTP/2 on a connection and runs the calls that come over it.
The native one needs the HTTP/2 kernel of ``inferd_kernels``; the other is grpclib's,
hardened, and needs nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from inferd.errors import ConfigError
from inferd.frontends.grpc.codec import InferenceCodec
from inferd.frontends.grpc.deflating import Deflater
from inferd.frontends.grpc.keepalive import KeepaliveSettings
from inferd.frontends.grpc.serving import Methods
from inferd.frontends.grpc.starting import Start
from inferd.listening.byte_ledger import ByteLedger
from inferd.listening.spinner import Spinner

log = logging.getLogger(__name__)

TransportName = Literal["auto", "native", "python"]

_NOT_BUILT = (
    "the native gRPC transport is not built: install libnghttp2's headers (Debian: "
    "libnghttp2-dev) and a C compiler, then reinstall inferd-kernels"
)


class Connection(Protocol):
    """One client connection, whatever carries it."""

    def in_flight(self) -> Iterable["asyncio.Future[Any]"]:
        """Return a future for each call, or for its answer, that is not written yet."""

    def abandon(self) -> None:
        """Cancel every call and answer it with ``UNAVAILABLE``; the grace period is over."""

    def say_goodbye(self) -> None:
        """Tell the peer that the connection ends, and close it when that is written."""

    def abort(self) -> None:
        """Close at once."""


@dataclass(frozen=True, slots=True)
class Hosting:
    """
    What a transport is given.

    Attributes:
        methods: What is served.
        direct: Method path -> what starts an inference that need not be awaited.
        codec: Encodes and decodes the messages.
        max_message_bytes: The largest request message taken, in bytes.
        on_made: Called with a connection when it is up.
        on_lost: Called with it when it is gone.
        connections: Those that are up.
        spinner: Whom to tell of input and answers.
        deflater: Compresses the answers to inferences; ``None`` sends them as they are.
        keepalive: When connections are pinged, turned away and retired.
        ledger: Knows which large messages there is room for; ``None`` takes all.
    """

    methods: Methods
    direct: Mapping[str, Start]
    codec: InferenceCodec
    max_message_bytes: int
    on_made: Callable[[Connection], object]
    on_lost: Callable[[Connection], object]
    connections: Collection[Connection]
    spinner: Spinner
    deflater: Deflater | None
    keepalive: KeepaliveSettings
    ledger: ByteLedger | None


def make_transport(
    wanted: TransportName, hosting: Hosting
) -> tuple[Literal["native", "python"], Callable[[], asyncio.BaseProtocol]]:
    """
    Choose a transport; return its name and what makes the protocol of a connection.

    Raises:
        ConfigError: The native one is asked for and not built.
    """
    if wanted != "python":
        try:
            from inferd.frontends.grpc.native import NativeConnection
        except ImportError:
            if wanted == "native":
                raise ConfigError(f"--grpc-transport: {_NOT_BUILT}") from None
            log.warning("gRPC runs on the slower pure-Python transport: %s", _NOT_BUILT)
        else:
            return "native", lambda: NativeConnection(hosting)
    from inferd.frontends.grpc.calls import PythonConnection

    return "python", lambda: PythonConnection(hosting)
