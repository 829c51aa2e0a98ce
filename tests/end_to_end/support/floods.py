"""What hostile HTTP/2 peers send to a gRPC server: one function per flood, as bytes."""

from collections.abc import Callable
from typing import Final

from http2_peer import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_WINDOW,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    literal,
    request_block,
)

_BLOCK: Final = request_block()
_CANCEL: Final = b"\0\0\0\x08"


def _streams(count: int) -> range:
    return range(1, 2 * count, 2)


def rapid_resets(count: int = 20_000) -> bytes:
    """Open calls and reset each at once (CVE-2023-44487)."""
    return b"".join(
        frame(HEADERS, _BLOCK, n, END_HEADERS) + frame(RST_STREAM, _CANCEL, n)
        for n in _streams(count)
    )


def calls_never_ended(count: int = 20_000) -> bytes:
    """Open many more calls than are allowed at a time."""
    return b"".join(frame(HEADERS, _BLOCK, n, END_HEADERS) for n in _streams(count))


def malformed_calls(count: int = 20_000) -> bytes:
    """Open calls that lack what a call needs, which the server has to reset."""
    block = literal(b":path", b"/a")
    return b"".join(frame(HEADERS, block, n, END_HEADERS | END_STREAM) for n in _streams(count))


def continuations(count: int = 100_000) -> bytes:
    """Begin a header block and never end it (CVE-2024-27316)."""
    return frame(HEADERS, _BLOCK, 1) + frame(CONTINUATION, literal(b"x", b"y" * 100), 1) * count


def empty_continuations(count: int = 100_000) -> bytes:
    """The same without a byte in it."""
    return frame(HEADERS, _BLOCK, 1) + frame(CONTINUATION, b"", 1) * count


def header_bomb(count: int = 1000) -> bytes:
    """Repeat a long field by one byte each (CVE-2016-6581): 12 kB that stand for 48 MB."""
    stored = b"\x40\x01x" + b"\x7f\xa1\x1e" + b"y" * 4000
    block = _BLOCK + stored + b"\xbe" * 12_000
    return b"".join(frame(HEADERS, block, n, END_HEADERS | END_STREAM) for n in _streams(count))


def settings(count: int = 100_000) -> bytes:
    """Settings, each of which is to be acknowledged (CVE-2019-9515)."""
    return frame(SETTINGS) * count


def pings(count: int = 100_000) -> bytes:
    """Pings, each of which is to be answered (CVE-2019-9512)."""
    return frame(PING, bytes(8)) * count


def window_overflow() -> bytes:
    """More credit than a window can hold."""
    return frame(WINDOW_UPDATE, LARGEST_WINDOW.to_bytes(4, "big")) * 2


def unknown_frames(count: int = 30_000) -> bytes:
    """Frames of extensions nobody knows."""
    return frame(0xBB, b"whatever" * 12) * count


def empty_data(count: int = 30_000) -> bytes:
    """Open a call whose frames carry nothing (CVE-2019-9518)."""
    return frame(HEADERS, _BLOCK, 1, END_HEADERS) + frame(DATA, b"", 1) * count


FATAL: Final[dict[Callable[[], bytes], tuple[int, ...]]] = {
    rapid_resets: (11,),
    calls_never_ended: (1, 11),
    malformed_calls: (1, 11),
    continuations: (1, 11),
    empty_continuations: (1, 11),
    header_bomb: (11,),
    window_overflow: (3,),
}
"""Floods that end the connection, and the codes of the GOAWAY they may end it with."""

FATAL_NATIVE: Final[dict[Callable[[], bytes], tuple[int, ...]]] = {settings: (11,), pings: (11,)}
"""Those that only the native transport ends; the other answers one frame after the other."""

HARMLESS: Final = (unknown_frames, empty_data)
"""What the connection survives."""
