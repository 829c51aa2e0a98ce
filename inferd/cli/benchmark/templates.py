"""
Requests of sequences, made but for their sequence's id and whether they begin or end it.

Over HTTP these have the same length whatever they are, because JSON allows spaces.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from inferd.cli.benchmark.http2 import framed
from inferd.protocol import wire

_PARAMETERS: Final = 4
"""Field number of ``ModelInferRequest.parameters``."""
_BOOL, _INT64 = 1, 2
"""Field numbers of ``InferParameter``."""
_DIGITS: Final = 19
"""Of the largest id, 2**63 - 1."""


class Template(Protocol):
    """A request that lacks its place in a sequence."""

    def fill(self, sequence: int, *, start: bool, end: bool) -> bytes:
        """
        Return the request as it is sent.

        Args:
            sequence: The sequence's id, from 1 and below 2**63.
            start: Whether it is the first of its sequence.
            end: Whether it is the last.
        """


@dataclass(frozen=True, slots=True)
class HttpTemplate:
    """
    A request over HTTP.

    Attributes:
        before: What comes before the parameters of the sequence.
        after: What follows them.
    """

    before: bytes
    after: bytes

    def fill(self, sequence: int, *, start: bool, end: bool) -> bytes:
        """Return the request as it is sent; always of the same length."""
        return self.before + json_parameters(sequence, start=start, end=end) + self.after


def json_parameters(sequence: int, *, start: bool, end: bool) -> bytes:
    """Return the members of ``parameters`` that tell of a sequence; always of the same length."""
    flags = ["true " if flag else "false" for flag in (start, end)]
    text = '"sequence_id":{:>{}},"sequence_start":{},"sequence_end":{}'
    return text.format(sequence, _DIGITS, *flags).encode()


@dataclass(frozen=True, slots=True)
class GrpcTemplate:
    """
    A request over gRPC.

    Attributes:
        message: The ``ModelInferRequest`` without the parameters of a sequence.
        compression: ``""``, ``"gzip"`` or ``"deflate"``.
    """

    message: bytes
    compression: str = ""

    def fill(self, sequence: int, *, start: bool, end: bool) -> bytes:
        """Return the message with its prefix; further fields may follow those of a message."""
        parameters = (
            _parameter(b"sequence_id", _INT64, sequence),
            _parameter(b"sequence_start", _BOOL, start),
            _parameter(b"sequence_end", _BOOL, end),
        )
        return framed(b"".join((self.message, *parameters)), self.compression)


def _parameter(name: bytes, kind: int, value: int) -> bytes:
    content = wire.varint(wire.tag(kind, wire.VARINT)) + wire.varint(value)
    entry = wire.delimited(1, name) + wire.delimited(2, content)
    return wire.delimited(_PARAMETERS, entry)
