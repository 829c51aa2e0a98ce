"""
Decompression of requests, bounded by the largest message the server takes.

gRPC's ``deflate`` is the zlib format. Source: the "Compression" page of the gRPC
documentation.
"""

import asyncio
import zlib
from typing import Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError

ACCEPTED: Final = "identity,deflate,gzip"
"""The value of ``grpc-accept-encoding``."""

_INLINE_BYTES: Final = 4096
"""Messages up to this size are inflated on the loop: at most some 4 MiB come out."""

_WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def check_encoding(encoding: str) -> None:
    """
    Check the ``grpc-encoding`` of a call whose message is compressed.

    Raises:
        GRPCError: There is none, or it is not an algorithm of this server.
    """
    if encoding in ("", "identity"):
        raise GRPCError(Status.INTERNAL, "compressed message without a grpc-encoding")
    if encoding not in _WINDOW_BITS:
        raise GRPCError(Status.UNIMPLEMENTED, f"unsupported grpc-encoding '{encoding}'")


async def inflate_soon(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """
    Decompress a message, beside the event loop when it is large.

    Raises:
        GRPCError: As :func:`check_encoding` and :func:`inflate` do.
    """
    check_encoding(encoding)
    if len(data) <= _INLINE_BYTES:
        return inflate(data, encoding, max_bytes)
    return await asyncio.to_thread(inflate, data, encoding, max_bytes)


def inflate(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """
    Decompress a message.

    Raises:
        GRPCError: It is damaged, or larger than ``max_bytes`` decompressed.
    """
    engine = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        message = engine.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise GRPCError(Status.INTERNAL, f"failed to decompress the message: {error}") from None
    if len(message) > max_bytes:
        raise too_large(len(message), max_bytes)
    if not engine.eof or engine.unused_data:
        raise GRPCError(Status.INTERNAL, "failed to decompress the message: wrong length")
    return message


def too_large(size: int, max_bytes: int) -> GRPCError:
    """Return the error for a message of ``size`` or more bytes."""
    return GRPCError(
        Status.RESOURCE_EXHAUSTED, f"Received message larger than max ({size} vs. {max_bytes})"
    )
