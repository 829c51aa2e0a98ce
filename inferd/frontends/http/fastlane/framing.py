"""
Cuts what a connection receives into inference requests and pieces for the application.

Sans I/O: bytes go in, events come out one at a time, and the caller asks for the next one
only when it can act on it.
"""

from typing import Final, NamedTuple

from inferd.errors import ServerFull
from inferd.frontends.http.fastlane.chunks import ChunkedBody, MalformedChunks
from inferd.frontends.http.fastlane.head import CHUNKED, Head, InferHead, MalformedHead, parse
from inferd.frontends.http.limits import Limits
from inferd.listening.byte_ledger import LARGE_BYTES, Claim

_END: Final = b"\r\n\r\n"
_TOO_LONG: Final = "Request head is too long"


class Inference(NamedTuple):
    """
    A complete inference request.

    Attributes:
        head: What its head says.
        body: Its body; a view that stays valid.
        is_prompt: Whether the body is read without a thread.
    """

    head: InferHead
    body: memoryview
    is_prompt: bool


class Passage(NamedTuple):
    """Bytes for the application; ``begins`` at the first of a request."""

    data: bytes | memoryview
    begins: bool


class Expectation(NamedTuple):
    """The client waits to be told to send the body of its inference request."""


class Refusal(NamedTuple):
    """What follows cannot be read; nothing comes after this."""

    message: str
    status: int = 400


Event = Inference | Passage | Expectation | Refusal

_EXPECTATION: Final = Expectation()


class Framer:
    """
    The receiving side of one connection.

    Args:
        max_body: The largest body of an inference request, in bytes; larger ones are the
            application's to refuse. 0 leaves it every request.
        limits: The limits of heads and of chunks.
        claim: Grows by the bodies of large inference requests; those that it has no room for
            are the application's to refuse, too, if their size is known. ``None`` counts nothing.

    Attributes:
        heads: How many requests have begun.
    """

    __slots__ = (
        "_at",
        "_body",
        "_chunks",
        "_claim",
        "_data",
        "_infer",
        "_is_prompt",
        "_known",
        "_known_head",
        "_known_prompt",
        "_left",
        "_limits",
        "_max_body",
        "_reserved",
        "_searched",
        "_stopped",
        "heads",
    )

    def __init__(self, max_body: int, limits: Limits, claim: Claim | None = None) -> None:
        self.heads = 0
        self._claim = claim
        self._reserved = 0  # of the body in chunks at hand
        self._max_body = max_body
        self._limits = limits
        self._data = b""
        self._at = 0
        self._searched = 0
        self._left = 0  # of the body of the request at hand
        self._infer: InferHead | None = None
        self._chunks: ChunkedBody | None = None
        self._body = bytearray()
        self._stopped = False
        # Most clients send the same head again and again.
        self._known = b""
        self._known_head = Head(0, None)
        self._known_prompt = False

    @property
    def buffered(self) -> int:
        """Bytes that were received and not handed out, other than a body's."""
        return len(self._data) - self._at

    @property
    def is_drained(self) -> bool:
        """Whether there is no further event until more is received."""
        return self._at == len(self._data) and self._infer is None

    @property
    def in_body(self) -> bool:
        """Whether a request began whose body is not complete yet."""
        return self._left > 0 or self._chunks is not None

    @property
    def passing(self) -> bool:
        """Whether that request is the application's."""
        return self._infer is None and self.in_body

    def receive(self, data: bytes) -> None:
        """Take what the connection received."""
        if self._at == len(self._data):
            self._data = data
        else:
            self._data = self._data[self._at :] + data
        self._at = 0
        if self._infer is not None and self._chunks is None:
            self._fill()

    def next_event(self) -> Event | None:
        """Return what comes next, or ``None`` until more is received."""
        if self._chunks is not None:
            return self._next_chunks(self._chunks, begins=False)
        if self._infer is not None:
            return self._complete(self._infer)
        if self._left:
            return self._pass(begins=False)
        if self._stopped or self._at == len(self._data):
            return None
        return self._begin()

    def _begin(self) -> Event | None:
        data, at = self._data, self._at
        known = self._known
        if known and data.startswith(known, at):
            end = at + len(known)
            head, is_prompt = self._known_head, self._known_prompt
        else:
            while data.startswith(b"\r\n", at):  # left behind by a sloppy client
                at += 2
            self._at = at
            end = data.find(_END, max(at, self._searched - 3))
            longest = self._limits.head_bytes
            if end < 0:
                self._searched = len(data) - at
                return self._refuse(_TOO_LONG) if self.buffered > longest else None
            self._searched = 0
            end += len(_END)
            if end - at > longest:
                return self._refuse(_TOO_LONG)
            try:
                head = self._read(data[at:end])
            except MalformedHead as error:
                return self._refuse(str(error))
            is_prompt = self._known_prompt
        self.heads += 1
        if head.infer is None or not self._has_room(head.length):
            return self._begin_passage(head, end)
        self._at = end
        return self._take(head.infer, head.length, is_prompt)

    def _has_room(self, length: int) -> bool:
        return length <= LARGE_BYTES or self._claim is None or self._claim.grows(length)

    def _read(self, raw: bytes) -> Head:
        head = parse(raw, self._max_body)
        self._known, self._known_head = raw, head
        self._known_prompt = head.infer is not None and head.infer.is_prompt(head.length)
        return head

    def _begin_passage(self, head: Head, end: int) -> Event | None:
        if head.length != CHUNKED:
            self._left = head.length + end - self._at
            return self._pass(begins=True)
        limits = self._limits
        self._chunks = ChunkedBody(limits.chunk_line_bytes, limits.head_bytes, None)
        self._chunks.content += memoryview(self._data)[self._at : end]
        self._at = end
        return self._next_chunks(self._chunks, begins=True)

    def _take(self, infer: InferHead, length: int, is_prompt: bool) -> Event | None:
        if length == CHUNKED:
            limits = self._limits
            self._infer = infer
            self._chunks = ChunkedBody(limits.chunk_line_bytes, limits.head_bytes, self._max_body)
            event = self._next_chunks(self._chunks, begins=False)
            return _EXPECTATION if event is None and infer.waits else event
        end = self._at + length
        if end <= len(self._data):
            body = memoryview(self._data)[self._at : end]
            self._at = end
            return Inference(infer, body, is_prompt)
        self._infer, self._is_prompt = infer, is_prompt
        self._left = length
        self._body = bytearray()
        self._fill()
        return _EXPECTATION if infer.waits else None

    def _fill(self) -> None:
        piece = memoryview(self._data)[self._at : self._at + self._left]
        self._body += piece
        self._at += len(piece)
        self._left -= len(piece)

    def _complete(self, infer: InferHead) -> Event | None:
        if self._left:
            return None
        body, self._infer, self._body = self._body, None, bytearray()
        return Inference(infer, memoryview(body).toreadonly(), self._is_prompt)

    def _next_chunks(self, chunks: ChunkedBody, *, begins: bool) -> Event | None:
        """Read on in a body in chunks; the application gets them as they are."""
        try:
            self._at = chunks.read(self._data, self._at)
        except MalformedChunks as error:
            return self._refuse(str(error))
        infer = self._infer
        if infer is not None and len(chunks.content) > LARGE_BYTES and self._claim is not None:
            more = len(chunks.content) - self._reserved
            try:
                self._claim.grow(more)
            except ServerFull as error:
                return self._refuse(error.message, 503)
            self._reserved += more
        if chunks.is_complete:
            self._chunks = self._infer = None
            self._reserved = 0
        if infer is None:
            passed, chunks.content = chunks.content, bytearray()
            return Passage(memoryview(passed), begins) if passed else None
        if not chunks.is_complete:
            return None
        body = memoryview(chunks.content).toreadonly()
        return Inference(infer, body, infer.is_prompt(len(body)))

    def _pass(self, *, begins: bool) -> Event | None:
        data, at = self._data, self._at
        end = min(len(data), at + self._left)
        if end == at:
            return None
        self._at = end
        self._left -= end - at
        return Passage(data[at:end], begins)

    def stop(self) -> None:
        """Read nothing more."""
        self._stopped = True
        self._infer = self._chunks = None
        self._left = 0
        self._data, self._at = b"", 0

    def _refuse(self, message: str, status: int = 400) -> Refusal:
        self.stop()
        return Refusal(message, status)
