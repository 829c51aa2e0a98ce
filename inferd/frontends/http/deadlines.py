"""
How long an HTTP client waits, from its headers.

HTTP has no header for it. ``inferd-timeout-ms`` is ours, named after gRPC's
``grpc-timeout``; Envoy, and the meshes made of it, tell the servers behind them in
``x-envoy-expected-rq-timeout-ms`` when they will have given up.
Source: "Router" in Envoy's documentation.
"""

from collections.abc import Mapping
from typing import Final

from multidict import istr

from inferd.errors import InvalidRequest

HEADERS: Final = (istr("inferd-timeout-ms"), istr("x-envoy-expected-rq-timeout-ms"))
"""Headers that hold a number of milliseconds; 0 is for ever, and the shortest counts."""

_MOST_DIGITS: Final = 15


def timeout_ms(headers: Mapping[str, str]) -> int:
    """
    Return how many milliseconds the client waits; 0 is for ever.

    Raises:
        InvalidRequest: A header is not a whole number.
    """
    shortest = 0
    for name in HEADERS:
        value = headers.get(name)
        if value is not None:
            found = _milliseconds(name, value)
            shortest = min(shortest, found) if shortest and found else shortest or found
    return shortest


def _milliseconds(name: str, value: str) -> int:
    text = value.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidRequest(
            f"invalid header {name} '{value}': expected milliseconds as a whole number of at "
            f"most {_MOST_DIGITS} digits"
        )
    return int(text)
