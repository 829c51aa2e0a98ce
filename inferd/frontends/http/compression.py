"""
gzip and deflate bodies, both ways, with a bound on what a request may expand to.

``deflate`` is a zlib stream. Requests are told apart by their bytes, not by the header,
as Triton does. Pure.
"""

import zlib
from collections.abc import Iterable
from typing import Final

from inferd.errors import InvalidRequest, UnsupportedFeature

_ANY_FORMAT: Final = 15 + 32
_WINDOW_BITS: Final = {"gzip": 15 + 16, "deflate": 15}
_LEVEL: Final = 1
"""Speed over size: the link is rarely slower than the compressor."""

ACCEPTED: Final = "gzip, deflate"
"""What ``Accept-Encoding`` says to a client whose encoding is not supported."""


class UnsupportedEncoding(UnsupportedFeature):
    """The body is encoded in a way this server cannot undo."""


class TooLarge(InvalidRequest):
    """The body expands to more than the limit."""


def is_compressed(content_encoding: str | None) -> bool:
    """
    Return whether a request body has to be decompressed.

    Raises:
        UnsupportedEncoding: It is encoded in another way.
    """
    if not content_encoding or content_encoding == "identity":
        return False
    if content_encoding not in _WINDOW_BITS:
        raise UnsupportedEncoding("Unsupported compression type")
    return True


def decompress(data: bytes | bytearray | memoryview, limit: int) -> bytes:
    """
    Return what a body expands to.

    Args:
        data: One gzip or zlib stream, or several gzip streams in a row.
        limit: The largest result to produce, in bytes.

    Raises:
        InvalidRequest: It is broken or cut short.
        TooLarge: It expands to more.
    """
    pieces: list[bytes] = []
    room = limit
    while data or not pieces:
        stream = zlib.decompressobj(_ANY_FORMAT)
        try:
            # One byte above the limit tells a result that fits exactly from a larger one.
            piece = stream.decompress(data, room + 1)
        except zlib.error as error:
            raise InvalidRequest(f"Unable to decompress the request body: {error}") from error
        room -= len(piece)
        if room < 0:
            raise TooLarge(
                f"Decompressed data size exceeds the maximum allowed value of {limit} bytes. "
                "Use --http-max-input-size to increase the limit."
            )
        if not stream.eof:
            raise InvalidRequest("Unable to decompress the request body: it is cut short")
        pieces.append(piece)
        data = stream.unused_data
    return b"".join(pieces)


def choose(accept_encoding: str | None) -> str:
    """
    Return the encoding of a response: ``"identity"``, ``"deflate"`` or ``"gzip"``.

    The one with the highest weight in ``Accept-Encoding`` wins, of equals the first.
    """
    chosen, highest = "identity", 0.0
    for item in (accept_encoding or "").split(","):
        encoding, _, weight = item.strip().partition(";q=")
        try:
            value = float(weight) if weight else 1.0
        except ValueError:
            continue
        if value > highest and (encoding in _WINDOW_BITS or encoding == "identity"):
            chosen, highest = encoding, value
    return chosen


def compress(pieces: Iterable[bytes | bytearray | memoryview], encoding: str) -> bytes:
    """Return the pieces as one ``"gzip"`` or ``"deflate"`` stream."""
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[encoding])
    compressed = [stream.compress(piece) for piece in pieces]
    return b"".join((*compressed, stream.flush()))
