"""What every client command shares: where the server is, and how an error ends the command."""

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from inferd.cli.clients.client import Client, ClientError, UsageError
from inferd.cli.clients.tls import ClientTls
from inferd.listening.address import unix_path

_DEFAULT_PORTS = {"http": 8000, "grpc": 8001}


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which server is meant, in the reference clients' spelling."""
    parser.add_argument(
        "-i",
        "--protocol",
        type=str.lower,
        choices=("http", "grpc"),
        default="http",
        help="protocol to speak (default: http)",
    )
    parser.add_argument(
        "-u",
        "--url",
        metavar="HOST:PORT",
        help="the server's address (default: localhost:8000 for http, localhost:8001 for grpc); "
        "https://HOST:PORT and grpcs://HOST:PORT are encrypted, unix:///PATH is a Unix domain "
        "socket",
    )


def connect(protocol: str, url: str | None, tls: ClientTls | None = None) -> Client:
    """
    Return a client; call it inside a running event loop.

    Args:
        protocol: ``"http"`` or ``"grpc"``.
        url: ``HOST``, ``HOST:PORT``, ``unix:///PATH``, ``grpcs://HOST:PORT`` or, for HTTP,
            a whole base address; ``None`` is the local server on the protocol's default port.
        tls: How to encrypt where the address says so; ``None`` for the usual rules.

    Raises:
        UsageError: The address cannot be read, or a file of TLS.
    """
    try:
        return _client(protocol, url, tls)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _client(protocol: str, url: str | None, tls: ClientTls | None) -> Client:
    socket_path = parse_socket(url or "")
    if protocol == "grpc":
        from inferd.cli.clients.grpc import GrpcClient

        if socket_path is not None:
            return GrpcClient(path=socket_path)
        scheme, host, port, _ = parse_address(protocol, url or "localhost")
        rules = tls or ClientTls()
        return GrpcClient(host, port, tls=rules if scheme == "grpcs" else None)
    from inferd.cli.clients.http import HttpClient

    if socket_path is not None:
        return HttpClient("http://localhost", path=socket_path)
    scheme, host, port, path = parse_address(protocol, url or "localhost")
    bracketed = f"[{host}]" if ":" in host else host
    return HttpClient(f"{scheme}://{bracketed}:{port}{path}", tls=tls)


def run_command(name: str, work: Coroutine[Any, Any, None]) -> int:
    """
    Run a client command to its end and return its exit code.

    Args:
        name: The command's name, for its error messages.
        work: The command itself.

    Returns:
        0; 1 when the server refused or could not be reached; 2 when the command line asks
        for something that cannot be done.
    """
    try:
        asyncio.run(work)
    except ClientError as error:
        print(f"inferd {name}: {error}", file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"inferd {name}: {error}", file=sys.stderr)
        return 2
    return 0


def parse_socket(url: str) -> str | None:
    """
    Return the path of a Unix domain socket; ``None`` for any other address.

    Raises:
        UsageError: The path cannot be one.
    """
    try:
        return unix_path(url)
    except ValueError as error:
        raise UsageError(f"cannot read the address {error}") from error


def parse_address(protocol: str, url: str) -> tuple[str, str, int, str]:
    """
    Return scheme, host, port and path of an address.

    Raises:
        UsageError: It cannot be read.
    """
    allowed = ("http", "https") if protocol == "http" else ("grpc", "grpcs")
    try:
        parts = urlsplit(url if "://" in url else f"{allowed[0]}://{url}")
        port = parts.port
    except ValueError as error:
        raise UsageError(f"cannot read the address {url!r}: {error}") from error
    if parts.scheme not in allowed or not parts.hostname:
        raise UsageError(f"cannot read the address {url!r}: HOST:PORT is expected")
    if port is None:
        port = 443 if parts.scheme == "https" else _DEFAULT_PORTS[protocol]
    return parts.scheme, parts.hostname, port, parts.path
