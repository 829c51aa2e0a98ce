"""
Listening: makes the sockets of a service and hands their connections to its protocol.

Every TCP connection has ``TCP_NODELAY``; asyncio and uvloop both set it themselves.
"""

import asyncio
import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable
from typing import Any, Final

from inferd.listening.address import unix_path

BACKLOG: Final = 4096
"""Connections that may wait to be accepted; Linux's ``net.core.somaxconn`` lowers it."""

UNIX_MODE: Final = 0o660
"""Mode of a socket's file: who connects must be the server's user or in its group."""

_HANDSHAKE_SECONDS: Final = 15.0
"""How long a TLS handshake may take; a client that says nothing is cut off then."""
_SHUTDOWN_SECONDS: Final = 2.0
"""How long a client has to say TLS's goodbye when the server closes a connection."""
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A host name may have addresses that this machine lacks, such as ::1 for localhost."""

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Listener:
    """
    The sockets of one service, accepting.

    Attributes:
        port: The port listened on; 0 for a Unix domain socket.
    """

    __slots__ = ("_file", "_servers", "port")

    def __init__(self, port: int, servers: list[asyncio.Server], file: "SocketFile | None") -> None:
        self.port = port
        self._servers = servers
        self._file = file

    def close(self) -> None:
        """Accept no more connections and remove the socket's file; open connections stay."""
        for server in self._servers:
            server.close()
        if self._file is not None:
            self._file.remove()
            self._file = None


class SocketFile:
    """
    The file of a Unix domain socket that was just bound.

    Args:
        path: Its path.
    """

    __slots__ = ("_identity", "_path")

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._identity = _identity(self._path)

    def remove(self) -> None:
        """Remove it unless somebody else has put another in its place."""
        if _identity(self._path) == self._identity:
            os.unlink(self._path)


async def listen(
    factory: ProtocolFactory,
    address: str,
    port: int,
    *,
    reuse_port: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Listener:
    """
    Listen and serve every connection with a protocol of ``factory``.

    Args:
        factory: Makes the protocol of a connection.
        address: A host, the empty string for all addresses, or ``unix:///path``.
        port: The port; 0 picks a free one. Not used for a Unix domain socket.
        reuse_port: Whether other processes may listen on the same port.
        tls: How to encrypt; ``None`` is plain text.

    Raises:
        OSError: The address cannot be listened on; ``EADDRINUSE`` when another server does.
    """
    path = unix_path(address)
    if path is not None:
        sockets, file = [_open_unix(path)], SocketFile(path)
        port = 0
    else:
        sockets, file = await _open_tcp(address, port, reuse_port), None
        port = sockets[0].getsockname()[1]
    return Listener(port, [await _serve(factory, one, tls) for one in sockets], file)


async def _serve(
    factory: ProtocolFactory, listening: socket.socket, tls: ssl.SSLContext | None
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    more: dict[str, Any] = {}
    if tls is not None:
        more = {
            "ssl": tls,
            "ssl_handshake_timeout": _HANDSHAKE_SECONDS,
            "ssl_shutdown_timeout": _SHUTDOWN_SECONDS,
        }
    if listening.family == socket.AF_UNIX:
        return await loop.create_unix_server(factory, sock=listening, backlog=BACKLOG, **more)
    return await loop.create_server(factory, sock=listening, backlog=BACKLOG, **more)


async def _open_tcp(address: str, port: int, reuse_port: bool) -> list[socket.socket]:
    """Bind every address a host has, all with the port of the first."""
    found = await asyncio.get_running_loop().getaddrinfo(
        address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    opened: list[socket.socket] = []
    absent: OSError | None = None
    for family, _, _, _, where in dict.fromkeys(found):
        try:
            opened.append(_bind(family, (where[0], port, *where[2:]), reuse_port))
        except OSError as error:
            if error.errno in _ABSENT:
                absent = absent or error
                continue
            for one in opened:
                one.close()
            raise
        port = opened[0].getsockname()[1]
    if absent is not None and not opened:
        raise absent
    return opened


def _bind(family: int, where: tuple[Any, ...], reuse_port: bool) -> socket.socket:
    # asyncio sets TCP_NODELAY on sockets that say they are TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # Otherwise "::" takes the port of "0.0.0.0", too, and the second of both fails.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)
    except OSError as error:
        bound.close()
        raise _explained(error, f"{where[0]}:{where[1]}") from error
    return bound


def _open_unix(path: str) -> socket.socket:
    """Bind a Unix domain socket; nobody can connect before its file has its mode."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.bind(path)
        os.chmod(path, UNIX_MODE)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise _explained(error, path) from error
    return bound


def _remove_stale(path: str) -> None:
    """
    Remove the socket's file that a server left which was killed.

    Raises:
        OSError: A server listens there, or the file is no socket.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "File exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Not blocking: a server whose backlog is full lives, too.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _explained(error: OSError, where: str) -> OSError:
    reason = (error.strerror or str(error)).lower()
    return OSError(error.errno, f"cannot listen on {where}: {reason}")
