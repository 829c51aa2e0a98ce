"""
Addresses that services listen on: a host with a port, or the path of a Unix domain socket.

Source of the spelling of paths: gRPC's naming, ``unix:path`` and ``unix:///absolute/path``.
"""

import os
from typing import Final

LONGEST_PATH: Final = 107
"""Bytes a socket's path may have: ``sun_path`` of unix(7) is 108 with its terminating zero."""

_SCHEME: Final = "unix:"


def unix_path(address: str) -> str | None:
    """
    Return the path of a Unix domain socket; ``None`` for a host.

    Raises:
        ValueError: The path is empty, too long, or relative after ``unix://``.
    """
    if not address.startswith(_SCHEME):
        return None
    path = address.removeprefix(_SCHEME)
    if path.startswith("//"):
        path = path.removeprefix("//")
        if not path.startswith("/"):
            raise ValueError(f"{address}: a path after unix:// must be absolute: unix:///PATH")
    if not path or "\0" in path:
        raise ValueError(f"{address!r}: unix:///PATH is expected")
    size = len(os.fsencode(path))
    if size > LONGEST_PATH:
        raise ValueError(
            f"{address}: the path of a socket may have {LONGEST_PATH} bytes, it has {size}"
        )
    return path


def label(address: str, port: int) -> str:
    """Return what a person calls the place: ``host:port``, or the address of a Unix socket."""
    return address if address.startswith(_SCHEME) else f"{address}:{port}"
