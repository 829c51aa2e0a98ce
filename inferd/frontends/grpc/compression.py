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

from inferd.listening.byte_ledger import LARGE_BYTES, Claim

ACCEPTED: Final = "identity,deflate,gzip"
"""The value of ``grpc-accept-encoding``."""

_INLINE_BYTES: Final = 4096
"""Messages up to this size are inflated on the loop: at most some 4 MiB come out."""

_STEP_BYTES: Final = 4 << 20
"""How much is made of a large message at a time; a step's way to a thread is 1 % of its work."""

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


async def inflate_soon(data: bytes, encoding: str, max_bytes: int, claim: Claim | None) -> bytes:
    """
    Decompress a message, beside the event loop when it is large.

    Args:
        data: The message.
        encoding: Its ``grpc-encoding``.
        max_bytes: The largest result.
        claim: Grows by what comes out; ``None`` counts nothing.

    Raises:
        GRPCError: As :func:`check_encoding` and :func:`inflate` do.
        ServerFull: There is no room for what comes out.
    """
    check_encoding(encoding)
    if len(data) <= _INLINE_BYTES:
        message = inflate(data, encoding, max_bytes)
        if claim is not None and len(message) > LARGE_BYTES:
            claim.grow(len(message))
        return message
    if claim is None:
        return await asyncio.to_thread(inflate, data, encoding, max_bytes)
    return await _inflate_counted(data, encoding, max_bytes, claim)


async def _inflate_counted(data: bytes, encoding: str, max_bytes: int, claim: Claim) -> bytes:
    """Decompress in steps, each of which is reserved before it is made."""
    engine = zlib.decompressobj(_WINDOW_BITS[encoding])
    pieces: list[bytes] = []
    room = max_bytes + 1
    while room and not engine.eof:
        step = min(room, _STEP_BYTES)
        claim.grow(step)
        try:
            piece = await asyncio.to_thread(engine.decompress, data, step)
        except zlib.error as error:
            raise _damaged(str(error)) from None
        claim.shrink(step - len(piece))
        pieces.append(piece)
        room -= len(piece)
        if not piece:
            break
        data = engine.unconsumed_tail
    _check_end(engine, max_bytes + 1 - room, max_bytes)
    return b"".join(pieces)


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
        raise _damaged(str(error)) from None
    _check_end(engine, len(message), max_bytes)
    return message


def _check_end(engine: "zlib._Decompress", size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise too_large(size, max_bytes)
    if not engine.eof or engine.unused_data:
        raise _damaged("wrong length")


def _damaged(reason: str) -> GRPCError:
    return GRPCError(Status.INTERNAL, f"failed to decompress the message: {reason}")


def too_large(size: int, max_bytes: int) -> GRPCError:
    """Return the error for a message of ``size`` or more bytes."""
    return GRPCError(
        Status.RESOURCE_EXHAUSTED, f"Received message larger than max ({size} vs. {max_bytes})"
    )
