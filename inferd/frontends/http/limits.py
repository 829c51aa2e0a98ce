"""What a client may make a connection hold, and for how long. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The limits of one HTTP connection, other than the size of a body.

    Attributes:
        head_bytes: The longest head of a request, and the longest trailers.
        chunk_line_bytes: The longest line before a chunk: its size and its extensions.
        head_seconds: How long a head may take from its first byte; 0 is for ever, here and
            below.
        body_seconds: How long a body that is received, or an answer that is sent, may make
            no progress.
        idle_seconds: How long a connection may be without a request.
    """

    head_bytes: int = 32 << 10
    chunk_line_bytes: int = 4 << 10
    head_seconds: float = 60.0
    body_seconds: float = 60.0
    idle_seconds: float = 3600.0
