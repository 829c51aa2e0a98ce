"""
Heads of HTTP requests: what frames the body, and whether the fast lane takes the request.

The lane takes plain inference requests and nothing else. A head it does not fully
understand is not refused but left to the application, unless its framing is ambiguous:
then the two sides of a proxy could see different requests in the same bytes. Pure.
"""

import re
from typing import Final, NamedTuple

import httptools

from inferd.errors import InferdError
from inferd.frontends.http import bodies, compression, deadlines, streaming
from inferd.frontends.http.routes import Route, resolve
from inferd.protocol import binary_extension

CHUNKED: Final = -1
"""The length of a body in chunks."""

_JSON_LENGTH: Final = binary_extension.HEADER.lower()
_NOT_IN_LANE: Final = frozenset((b"upgrade", b"trailer"))
_ONCE: Final = frozenset((b"host", b"content-length", b"transfer-encoding"))
_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")


class InferHead(NamedTuple):
    """
    What the lane needs to know of an inference request before its body.

    Attributes:
        route: The model.
        json_length: The header that says where the JSON ends, as sent, or ``None``.
        timeout_ms: How long the client waits, in milliseconds; 0 is for ever.
        encoding: How the answer is encoded: identity, gzip or deflate.
        keep_alive: Whether the connection is used again.
        is_compressed: Whether the body is.
        waits: Whether the client waits to be told to send the body.
    """

    route: Route
    json_length: str | None = None
    timeout_ms: int = 0
    encoding: str = "identity"
    keep_alive: bool = True
    is_compressed: bool = False
    waits: bool = False

    def is_prompt(self, length: int) -> bool:
        """Whether the JSON in a body of that length is so short that it needs no thread."""
        if self.is_compressed:
            return False
        header = self.json_length
        if header is not None and header.isascii() and header.isdigit() and len(header) < 20:
            length = min(int(header), length)
        return length <= bodies.INLINE_SIZE


class Head(NamedTuple):
    """
    One request's head.

    Attributes:
        length: The length of the body, in bytes, or :data:`CHUNKED`.
        infer: What the lane needs, or ``None`` if the application answers.
    """

    length: int
    infer: InferHead | None


class MalformedHead(Exception):
    """The head breaks the rules of HTTP; the message says which."""


class _Fields:
    """What httptools calls back."""

    __slots__ = ("count", "headers", "is_ascii", "target")

    def __init__(self) -> None:
        self.target = b""
        self.is_ascii = True
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
        max_body: The largest body the lane takes, in bytes; 0 leaves every request to the
            application.

    Raises:
        MalformedHead: It is not HTTP, or another reader could understand it otherwise.
    """
    fields, parser = _read(head)
    version = parser.get_http_version()
    if fields.count != 1 or version not in ("1.1", "1.0"):
        raise MalformedHead("Expected an HTTP/1.1 request")
    first: dict[bytes, bytes] = {}
    for name, value in fields.headers:
        if name not in first:
            first[name] = value
        elif name in _ONCE:
            raise MalformedHead(f"Duplicate header '{name.decode()}'")
    _check(fields.target, first, version, parser.get_method())
    length = CHUNKED if b"transfer-encoding" in first else int(first.get(b"content-length", b"0"))
    infer = None
    takes = 0 < length <= max_body if length != CHUNKED else max_body > 0
    if takes and version == "1.1" and parser.get_method() == b"POST":
        infer = _inference(fields, first)
    return Head(length, infer)


def _read(head: bytes) -> tuple[_Fields, httptools.HttpRequestParser]:
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserInvalidURLError:
        line, end, rest = head.partition(b"\r\n")
        plain = _BEYOND_ASCII.sub(b"%", line)
        if plain == line:
            raise MalformedHead("Invalid request target") from None
        fields, parser = _read(plain + end + rest)
        fields.is_ascii = False
    except httptools.HttpParserError as error:
        raise MalformedHead(str(error)) from None
    return fields, parser


def _check(target: bytes, first: dict[bytes, bytes], version: str, method: bytes) -> None:
    """Refuse what readers of HTTP do not agree on."""
    if not target.startswith(b"/") and (target, method) != (b"*", b"OPTIONS"):
        raise MalformedHead("Expected a path as the request's target")
    if version == "1.1" and b"host" not in first:
        raise MalformedHead("Missing 'Host' header in request.")
    coding = first.get(b"transfer-encoding")
    if coding is not None:
        if version == "1.0":
            raise MalformedHead("Transfer-Encoding needs HTTP/1.1")
        if coding.strip().lower() != b"chunked":
            raise MalformedHead("Expected chunked as the only Transfer-Encoding")
    has_body = coding is not None or int(first.get(b"content-length", b"0")) > 0
    if has_body and first.get(b"upgrade", b"").strip().lower() == b"websocket":
        raise MalformedHead("A request for a WebSocket has no body")


def _inference(fields: _Fields, first: dict[bytes, bytes]) -> InferHead | None:
    """Return what the lane needs, or ``None`` if it does not do all that is asked."""
    if not (fields.is_ascii and _NOT_IN_LANE.isdisjoint(first)):
        return None
    route = resolve(fields.target.decode())
    if route is None or route.endpoint != "infer":
        return None
    text = {name.decode("latin-1"): value.decode("latin-1") for name, value in first.items()}
    connection = text.get("connection", "keep-alive").strip().lower()
    if connection not in ("keep-alive", "close") or not _are_single(fields):
        return None  # the application knows what to say
    if streaming.wanted(text.get("accept")) is not None:
        return None
    expected = text.get("expect", "").strip().lower()
    if expected not in ("", "100-continue"):
        return None
    try:
        timeout_ms = deadlines.timeout_ms(text)
        is_compressed = compression.is_compressed(text.get("content-encoding"))
    except InferdError:
        return None
    return InferHead(
        route,
        json_length=text.get(_JSON_LENGTH),
        timeout_ms=timeout_ms,
        encoding=compression.choose(text.get("accept-encoding")),
        keep_alive=connection == "keep-alive",
        is_compressed=is_compressed,
        waits=bool(expected),
    )


def _are_single(fields: _Fields) -> bool:
    """Whether headers that say what happens next are there once."""
    names = [name for name, _ in fields.headers]
    return not any(names.count(name) > 1 for name in (b"connection", b"expect"))
