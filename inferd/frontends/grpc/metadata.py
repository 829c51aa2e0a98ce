"""
What clients send beside their messages, checked: custom metadata and the timeout.

Source: the "Requests" section of gRPC's HTTP/2 mapping.
"""

from collections.abc import Iterable
from typing import Final

from grpclib.metadata import decode_bin_value, decode_timeout
from multidict import MultiDict

from inferd.errors import InvalidRequest

Headers = list[tuple[str, str]]
Metadata = MultiDict[str | bytes]

_TIMEOUT_CHARACTERS: Final = 9
"""gRPC allows eight digits and a unit."""

_SPECIAL_HEADERS: Final = frozenset({"te", "content-type", "user-agent"})


def read_timeout(value: str | None) -> float | None:
    """
    Return the seconds a ``grpc-timeout`` says, or ``None`` when there is none.

    Raises:
        InvalidRequest: It cannot be read.
    """
    if value is None:
        return None
    try:
        if len(value) <= _TIMEOUT_CHARACTERS:
            return decode_timeout(value)
    except ValueError:
        pass
    raise InvalidRequest(f"invalid grpc-timeout '{value}'")


def read_metadata(headers: Iterable[tuple[str, str]]) -> Metadata:
    """
    Return the metadata among headers; binary values are decoded.

    Raises:
        InvalidRequest: Something is not ASCII, or binary and not base64.
    """
    metadata: Metadata = MultiDict()
    for key, value in headers:
        if key[0] == ":" or key.startswith("grpc-") or key in _SPECIAL_HEADERS:
            continue
        if not (key.isascii() and value.isascii()):
            raise InvalidRequest(f"metadata {key!a} is not ASCII")
        metadata.add(key, _binary(key, value) if key.endswith("-bin") else value)
    return metadata


def _binary(key: str, value: str) -> bytes:
    try:
        return bytes(decode_bin_value(value.encode()))
    except ValueError:
        raise InvalidRequest(f"metadata '{key}' is not base64") from None
