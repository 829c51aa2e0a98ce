"""
Compression of the answers to inferences, by the level the operator chose.

The level chooses among the algorithms that a client accepts as gRPC's core does, which
takes deflate for the stronger one, and how much effort zlib makes.
Source: ``CompressionAlgorithmForLevel`` of gRPC core, and the "Compression" page of the gRPC
documentation.
"""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Final, Literal

from inferd.frontends.grpc.codec import StreamReply
from inferd.protocol.messages import InferResponse
from inferd.protocol.wire import Buffer

Level = Literal["none", "low", "medium", "high"]

COMPRESSED_TYPES: Final = frozenset((InferResponse, StreamReply))
"""The messages that are compressed; the others are short, and Triton sends them plain, too."""

_RANKING: Final = ("gzip", "deflate")
"""From the weaker to the stronger, in the eyes of gRPC's core."""

_EFFORT: Final = {"low": 1, "medium": 6, "high": 9}
"""What zlib calls a level."""

_WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}

_INLINE_BYTES: Final = 4096
"""Messages up to this size are compressed on the loop; it takes 0.1 ms at most."""


class Deflater:
    """
    Compresses answers.

    Args:
        level: How hard; not ``none``.
    """

    def __init__(self, level: Level) -> None:
        self._level = level
        self._effort = _EFFORT[level]

    def choose(self, accepted: str) -> str:
        """
        Return the algorithm for a client, or ``""`` where it knows none.

        Args:
            accepted: Its ``grpc-accept-encoding``.
        """
        known = {word.strip() for word in accepted.split(",")}
        usable = [encoding for encoding in _RANKING if encoding in known]
        if not usable:
            return ""
        if self._level == "low":
            return usable[0]
        return usable[len(usable) // 2 if self._level == "medium" else -1]

    async def deflate_soon(self, buffers: Sequence[Buffer], encoding: str) -> bytes | None:
        """
        Compress a message, beside the event loop when it is large.

        Args:
            buffers: The message, as buffers that follow each other.
            encoding: One that :meth:`choose` returned.

        Returns:
            The compressed message, or ``None`` when that is no shorter.
        """
        size = sum(map(len, buffers))
        if size <= _INLINE_BYTES:
            deflated = self._deflate(buffers, encoding)
        else:
            deflated = await asyncio.to_thread(self._deflate, buffers, encoding)
        return deflated if len(deflated) < size else None

    def _deflate(self, buffers: Sequence[Buffer], encoding: str) -> bytes:
        stream = zlib.compressobj(self._effort, zlib.DEFLATED, _WINDOW_BITS[encoding])
        pieces = [stream.compress(buffer) for buffer in buffers]
        return b"".join((*pieces, stream.flush()))


def deflater(level: Level) -> Deflater | None:
    """Return what compresses at a level; ``None`` where answers are sent as they are."""
    return None if level == "none" else Deflater(level)
