"""
Heads of HTTP requests: what frames the body, and whether the fast lane takes the request.

The lane takes plain inference requests and nothing else. A head it does not fully
understand is not refused but left to the application, unless its framing is ambiguous:
then the two sides of a proxy could see different requests in the same bytes. Pure.
"""

from typing import Final, NamedTuple

import httptools

from inferd.errors import InvalidRequest
from inferd.frontends.http import bodies, compression, deadlines, streaming
from inferd.frontends.http.routes import Route, resolve
from inferd.protocol import binary_extension

MAX_LANE_HEAD: Final = 8190
"""Longer heads go to the application, which has limits for each line (bytes)."""

_JSON_LENGTH: Final = binary_extension.HEADER.lower()
_NOT_IN_LANE: Final = frozenset((b"expect", b"content-encoding", b"upgrade", b"trailer"))


class InferHead(NamedTuple):
    """
    What the lane needs to know of an inference request before its body.

    Attributes:
        route: The model.
        json_length: The header that says where the JSON ends, as sent, or ``None``.
        timeout_ms: How long the client waits, in milliseconds; 0 is for ever.
        encoding: How the answer is encoded: identity, gzip or deflate.
        keep_alive: Whether the connection is used again.
        is_prompt: Whether its JSON is so short that it is read without a thread.
    """

    route: Route
    json_length: str | None
    timeout_ms: int
    encoding: str
    keep_alive: bool
    is_prompt: bool


class Head(NamedTuple):
    """
    One request's head.

    Attributes:
        length: The length of the body, in bytes.
        infer: What the lane needs, or ``None`` if the application answers.
        is_last: Whether everything from this head on is the application's, because only it
            knows where the body ends, if it takes the request at all.
    """

    length: int
    infer: InferHead | None
    is_last: bool


class MalformedHead(Exception):
    """The head breaks the rules of HTTP; the message says which."""


class _Fields:
    """What httptools calls back."""

    __slots__ = ("count", "headers", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.count = 0

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.count += 1


def parse(head: bytes, max_body: int) -> Head:
    """
    Read a head.

    Args:
        head: Its bytes, up to and with the first empty line.
        max_body: The largest body the lane takes, in bytes.

    Raises:
        MalformedHead: It is not HTTP, or the body's length is ambiguous.
    """
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    upgrades = False
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        upgrades = True
    except httptools.HttpParserInvalidURLError:
        return Head(0, None, is_last=True)  # a path that is not ASCII, for instance
    except httptools.HttpParserError as error:
        raise MalformedHead(str(error)) from None
    version = parser.get_http_version()
    if fields.count != 1 or version not in ("1.1", "1.0"):
        raise MalformedHead("Expected an HTTP/1.1 request")
    first: dict[bytes, bytes] = {}
    for name, value in fields.headers:
        first.setdefault(name, value)
    if b"transfer-encoding" in first and version == "1.0":
        raise MalformedHead("Transfer-Encoding needs HTTP/1.1")
    length = int(first.get(b"content-length", b"0"))
    is_last = upgrades or b"transfer-encoding" in first or b"upgrade" in first
    fits = 0 < length <= max_body and len(head) <= MAX_LANE_HEAD
    infer = None
    if fits and version == "1.1" and not is_last and parser.get_method() == b"POST":
        infer = _inference(fields, first, length)
    return Head(length, infer, is_last)


def _inference(fields: _Fields, first: dict[bytes, bytes], length: int) -> InferHead | None:
    """Return what the lane needs, or ``None`` if it does not do all that is asked."""
    if not _NOT_IN_LANE.isdisjoint(first):
        return None
    route = resolve(fields.target.decode())
    if route is None or route.endpoint != "infer":
        return None
    text = {name.decode("latin-1"): value.decode("latin-1") for name, value in first.items()}
    connection = text.get("connection", "keep-alive").strip().lower()
    names = [name for name, _ in fields.headers]
    if names.count(b"host") != 1 or names.count(b"connection") > 1:
        return None  # the application knows what to say
    if connection not in ("keep-alive", "close"):
        return None
    if streaming.wanted(text.get("accept")) is not None:
        return None
    try:
        timeout_ms = deadlines.timeout_ms(text)
    except InvalidRequest:
        return None
    json_length = text.get(_JSON_LENGTH)
    return InferHead(
        route,
        json_length,
        timeout_ms,
        compression.choose(text.get("accept-encoding")),
        connection == "keep-alive",
        _json_size(json_length, length) <= bodies.INLINE_SIZE,
    )


def _json_size(header: str | None, length: int) -> int:
    """Return the size of the JSON in a body of that length; at most, if the header is broken."""
    if header is None or not (header.isascii() and header.isdigit() and len(header) < 20):
        return length
    return min(int(header), length)
