"""
Cuts what a connection receives into inference requests and pieces for the application.

Sans I/O: bytes go in, events come out one at a time, and the caller asks for the next one
only when it can act on it.
"""

from typing import Final, NamedTuple

from inferd.frontends.http.fastlane.head import Head, InferHead, MalformedHead, parse
from inferd.listening.byte_ledger import LARGE_BYTES, Claim

MAX_HEAD: Final = 32 << 10
"""The longest head, in bytes."""

_END: Final = b"\r\n\r\n"


class Inference(NamedTuple):
    """A complete inference request; ``body`` is a view that stays valid."""

    head: InferHead
    body: memoryview


class Passage(NamedTuple):
    """Bytes for the application; ``begins`` at the first of a request."""

    data: bytes | memoryview
    begins: bool


class Refusal(NamedTuple):
    """What follows cannot be read; nothing comes after this."""

    message: str


Event = Inference | Passage | Refusal


class Framer:
    """
    The receiving side of one connection.

    Args:
        max_body: The largest body of an inference request, in bytes; larger ones are the
            application's to refuse.
        claim: Grows by the bodies of large inference requests; those that it has no room for
            are the application's to refuse, too. ``None`` counts nothing.
    """

    __slots__ = (
        "_at",
        "_body",
        "_claim",
        "_data",
        "_infer",
        "_known",
        "_known_head",
        "_left",
        "_max_body",
        "_refused",
        "_searched",
        "passing_forever",
    )

    def __init__(self, max_body: int, claim: Claim | None = None) -> None:
        self._claim = claim
        self.passing_forever = False
        self._max_body = max_body
        self._data = b""
        self._at = 0
        self._searched = 0
        self._left = 0  # of the body of the request at hand
        self._infer: InferHead | None = None
        self._body = bytearray()
        self._refused = False
        # Most clients send the same head again and again.
        self._known = b""
        self._known_head: Head | None = None

    @property
    def buffered(self) -> int:
        """Bytes that were received and not handed out, other than a body's."""
        return len(self._data) - self._at

    @property
    def passing(self) -> bool:
        """Whether the application's request is not complete yet."""
        return self.passing_forever or (self._left > 0 and self._infer is None)

    def receive(self, data: bytes) -> None:
        """Take what the connection received."""
        if self._at == len(self._data):
            self._data = data
            self._at = 0
        else:
            self._data = self._data[self._at :] + data
            self._at = 0
        if self._infer is not None:
            self._fill()

    def next_event(self) -> Event | None:
        """Return what comes next, or ``None`` until more is received."""
        if self._infer is not None:
            return self._complete()
        if self.passing:
            return self._pass(begins=False)
        if self._refused or self._at == len(self._data):
            return None
        return self._begin()

    def _begin(self) -> Event | None:
        data, at = self._data, self._at
        while data.startswith(b"\r\n", at):  # left behind by a sloppy client
            at += 2
        self._at = at
        end = data.find(_END, max(at, self._searched - 3))
        if end < 0:
            self._searched = len(data) - at
            return self._refuse("Request head is too long") if self.buffered > MAX_HEAD else None
        self._searched = 0
        end += len(_END)
        if end - at > MAX_HEAD:
            return self._refuse("Request head is too long")
        raw = data[at:end]
        try:
            head = self._read(raw)
        except MalformedHead as error:
            return self._refuse(str(error))
        self._left = head.length
        if head.infer is None or not self._has_room(head.length):
            self.passing_forever = head.is_last
            self._left += end - at
            return self._pass(begins=True)
        self._at = end
        return self._take(head.infer)

    def _has_room(self, length: int) -> bool:
        return length <= LARGE_BYTES or self._claim is None or self._claim.grows(length)

    def _read(self, raw: bytes) -> Head:
        if raw == self._known and self._known_head is not None:
            return self._known_head
        head = parse(raw, self._max_body)
        self._known, self._known_head = raw, head
        return head

    def _take(self, infer: InferHead) -> Event | None:
        end = self._at + self._left
        if end <= len(self._data):
            body = memoryview(self._data)[self._at : end]
            self._at, self._left = end, 0
            return Inference(infer, body)
        self._infer = infer
        self._body = bytearray()
        self._fill()
        return None

    def _fill(self) -> None:
        piece = memoryview(self._data)[self._at : self._at + self._left]
        self._body += piece
        self._at += len(piece)
        self._left -= len(piece)

    def _complete(self) -> Event | None:
        if self._left or self._infer is None:
            return None
        event = Inference(self._infer, memoryview(self._body).toreadonly())
        self._infer, self._body = None, bytearray()
        return event

    def _pass(self, *, begins: bool) -> Event | None:
        data, at = self._data, self._at
        end = len(data) if self.passing_forever else min(len(data), at + self._left)
        if end == at:
            return None
        self._at = end
        self._left = max(self._left - (end - at), 0)
        return Passage(data[at:end], begins)

    def _refuse(self, message: str) -> Refusal:
        self._refused = True
        self._data, self._at = b"", 0
        return Refusal(message)
