"""
Answers of the fast lane as bytes, the same as aiohttp writes them.

A test compares the two, header by header.
"""

from collections.abc import Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from time import time
from typing import Final, NamedTuple

from aiohttp.http import SERVER_SOFTWARE

from inferd.errors import InferdError
from inferd.frontends.http import errors
from inferd.frontends.http.inference import JOIN_BYTES, Answer
from inferd.protocol import binary_extension
from inferd.protocol.infer_json import EncodedResponse
from inferd.protocol.tensors import Buffer

_OK: Final = 200
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class Reply(NamedTuple):
    """
    An answer that is ready to be sent.

    Attributes:
        head: Its first lines, up to the value of the Content-Length.
        body: Its body, in pieces.
    """

    head: bytes
    body: Sequence[Buffer]


def encoded(response: EncodedResponse) -> Reply:
    """Return the answer to a request that succeeded, not compressed."""
    document, blobs = response
    if blobs:
        return Reply(_BINARY_HEAD % len(document), (document, *blobs))
    return Reply(_JSON_HEAD, (document,))


def good(answer: Answer) -> Reply:
    """Return the answer to a request that succeeded."""
    headers, body = answer
    return Reply(_head(_OK, headers), body)


def failed(error: InferdError) -> Reply:
    """Return the answer to a request that failed."""
    return message(errors.status_of(error), error.message)


def message(status: int, text: str) -> Reply:
    """Return the answer ``{"error": text}``."""
    return Reply(_head(status, {"Content-Type": "application/json"}), (errors.body(text),))


def pieces(reply: Reply, tail: bytes) -> Sequence[Buffer]:
    """
    Return an answer as what is written, one piece unless it is long.

    Args:
        reply: The answer.
        tail: The headers that do not depend on it, with the empty line.
    """
    head, body = reply
    size = sum(map(len, body))
    head = b"%b%d\r\n%b" % (head, size, tail)
    if size <= JOIN_BYTES:
        return (b"".join((head, *body)),)
    return (head, *body)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"HTTP/1.1 {status} {_PHRASES[status]}\r\n{lines}Content-Length: ".encode()


_JSON_HEAD: Final = _head(_OK, {"Content-Type": "application/json"})
_BINARY_HEAD: Final = _head(
    _OK, {"Content-Type": "application/octet-stream", binary_extension.HEADER: "%d"}
)


class Tails:
    """The last headers of every answer, written once a second."""

    __slots__ = ("_closing", "_keeping", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._keeping = self._closing = b""

    def get(self, *, closes: bool) -> bytes:
        """Return the headers for now; ``closes`` says that the connection ends."""
        second = int(time())
        if second != self._second:
            self._second = second
            common = f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n"
            self._keeping = f"{common}\r\n".encode()
            self._closing = f"{common}Connection: close\r\n\r\n".encode()
        return self._closing if closes else self._keeping
