"""
Reading request bodies within bounds, and their JSON without holding up the event loop.
"""

import asyncio
from typing import Final

from aiohttp import web

from inferd.errors import InvalidRequest
from inferd.frontends.http import compression
from inferd.listening.byte_ledger import Claim
from inferd.protocol.json_document import QuickParseError, parse, parse_quickly
from inferd.protocol.tensors import Buffer

MAX_CHUNKS: Final = 65536
"""The most non-empty chunks a chunked body may have (Triton's limit)."""

TOO_MANY_CHUNKS: Final = (
    f"Chunked request body exceeds maximum of {MAX_CHUNKS} non-empty chunks. Send fewer or larger "
    "HTTP chunks."
)
"""What the sender of too many chunks is told."""

OFF_LOOP_SIZE: Final = 1 << 20
"""JSON longer than this many bytes is read in a thread."""

INLINE_SIZE: Final = 4 << 10
"""JSON up to this many bytes is read on the loop even by the slow readers."""


_INLINE_COMPRESSED: Final = 4 << 10
_INLINE_EXPANDED: Final = 64 << 10
"""Bodies are expanded on the loop while they, and what they expand to, are this short (bytes)."""


class BodyRefused(InvalidRequest):
    """The body was not read to its end; the connection cannot be used again."""


async def read(request: web.BaseRequest, limit: int, claim: Claim | None = None) -> bytes:
    """
    Return the body of a request.

    Args:
        request: The request.
        limit: The largest body to accept, in bytes.
        claim: Grows by its size, before it is read where that is known; ``None`` counts
            nothing.

    Raises:
        BodyRefused: It is larger, has too many chunks or is not framed as announced.
        ServerFull: There is no room for it; the connection cannot be used again.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise BodyRefused(too_large(length, limit))
    if not request.can_read_body:
        return b""
    if claim is not None and length is not None:
        claim.grow(length)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        if length is not None:
            return await request.content.read()
        return await _read_chunks(request, limit, claim)
    except web.RequestPayloadError as error:
        raise BodyRefused("Unable to read the request body") from error


async def _read_chunks(request: web.BaseRequest, limit: int, claim: Claim | None) -> bytes:
    pieces: list[bytes] = []
    size = chunks = 0
    read_chunk = request.content.readchunk
    while True:
        piece, ends_chunk = await read_chunk()
        if not piece and not ends_chunk:
            return b"".join(pieces)
        size += len(piece)
        if size > limit:
            raise BodyRefused(too_large(size, limit))
        if claim is not None:
            claim.grow(len(piece))
        chunks += ends_chunk
        if chunks > MAX_CHUNKS:
            raise BodyRefused(TOO_MANY_CHUNKS)
        pieces.append(piece)


def too_large(size: int, limit: int) -> str:
    """Return what the sender of a body of so many bytes is told."""
    return (
        f"request JSON size of {size} bytes exceeds the maximum allowed input size of {limit} "
        "bytes. Use --http-max-input-size to increase the limit."
    )


async def decompress(body: Buffer, limit: int) -> bytes:
    """
    Return what a compressed body expands to; what may take long is done in a thread.

    Raises:
        InvalidRequest: It is broken, cut short or larger than ``limit`` bytes.
    """
    if len(body) <= _INLINE_COMPRESSED:
        try:
            return compression.decompress(body, min(limit, _INLINE_EXPANDED))
        except compression.TooLarge:
            pass
    return await asyncio.to_thread(compression.decompress, body, limit)


async def parse_json(raw: bytes | memoryview) -> object:
    """
    Return the value of a JSON document; long or unusual ones are read in a thread.

    Raises:
        MalformedDocument: It is not JSON.
    """
    if len(raw) <= INLINE_SIZE:
        return parse(raw)
    if len(raw) <= OFF_LOOP_SIZE:
        try:
            return parse_quickly(raw)
        except QuickParseError:
            pass
    return await asyncio.to_thread(parse, raw)
