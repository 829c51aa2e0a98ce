"""
What a load must know of a ``ModelStreamInferResponse``: an error, outputs, whether it is the last.

Field numbers: ``protos/grpc_service.proto``; the final flag is Triton's parameter
``triton_final_response``.
"""

from dataclasses import dataclass
from typing import Final

from inferd.protocol import wire

_ERROR: Final = wire.tag(1, wire.LENGTH_DELIMITED)
_RESPONSE: Final = wire.tag(2, wire.LENGTH_DELIMITED)
_PARAMETERS: Final = wire.tag(4, wire.LENGTH_DELIMITED)
_OUTPUTS: Final = wire.tag(5, wire.LENGTH_DELIMITED)
_FINAL: Final = wire.delimited(1, b"triton_final_response") + wire.delimited(2, b"\x08\x01")


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """
    One response of a stream.

    Attributes:
        error: Its error; empty when there is none.
        has_outputs: Whether it has an output.
        is_final: Whether no further response to the request follows.
    """

    error: str
    has_outputs: bool
    is_final: bool


def read_response(message: bytes) -> StreamResponse:
    """Read one message; what cannot be read is an error."""
    error, outputs, final = "", False, False
    try:
        for found, start, stop in wire.fields(message, 0, len(message)):
            if found == _ERROR:
                error = wire.text(message, start, stop)
            elif found == _RESPONSE:
                for inner, first, last in wire.fields(message, start, stop):
                    outputs = outputs or inner == _OUTPUTS
                    final = final or (inner == _PARAMETERS and message[first:last] == _FINAL)
    except wire.WireError as problem:
        error = f"a response cannot be read: {problem}"
    return StreamResponse(error, outputs, final)
