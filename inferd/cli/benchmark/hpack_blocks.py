"""
The header blocks of one gRPC method: the one sent, and what those received mean.

Blocks are written without the dynamic table, and the server is asked to do the same, so
equal blocks mean the same. Source: RFC 7541.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple

from inferd.cli.benchmark.http1 import ProtocolError

_MOST_BLOCKS: Final = 256


def request_block(
    authority: str, path: str, metadata: Iterable[tuple[str, str]], scheme: str = "http"
) -> bytes:
    """Return the header block of a call: the pseudo-headers, what gRPC asks for, metadata."""
    headers = [
        (":method", "POST"),
        (":scheme", scheme),
        (":path", path),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *((name.lower(), value) for name, value in metadata),
    ]
    # Never indexed, a header stays out of the dynamic table.
    never = [NeverIndexedHeaderTuple(name, value) for name, value in headers]
    return Encoder().encode(never, huffman=False)


class BlockReader:
    """
    Tells what received header blocks say about the end of a call.

    Attributes:
        known: What blocks said that have come before, see :meth:`status`.
    """

    __slots__ = ("_decoder", "known")

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = 0
        self._decoder.header_table_size = 0
        self.known: dict[bytes, str | None] = {}

    def status(self, block: bytes) -> str | None:
        """
        Return the error a block reports, ``""`` for success, ``None`` if it says neither.

        Raises:
            ProtocolError: It cannot be decoded.
        """
        try:
            return self.known[block]
        except KeyError:
            status = self._decoded(block)
        if len(self.known) < _MOST_BLOCKS:
            self.known[block] = status
        return status

    def _decoded(self, block: bytes) -> str | None:
        try:
            headers = {str(name): str(value) for name, value in self._decoder.decode(block)}
        except HPACKError as error:
            raise ProtocolError(f"headers cannot be decoded: {error}") from error
        code = headers.get("grpc-status")
        if code is None:
            http = headers.get(":status", "200")
            return None if http == "200" else f"HTTP status {http}"
        if code == "0":
            return ""
        return unquote(headers.get("grpc-message", "")) or f"gRPC status {code}"
