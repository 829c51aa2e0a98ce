"""
What framing costs: received bytes to requests, and answers to the bytes that are sent.

Both sides of a connection are in memory. The client's side is not timed.
"""

import time
from collections.abc import Iterator
from typing import Final

from messages import Request, http_head

from inferd.cli.benchmark.http2 import GrpcConnection
from inferd.frontends.http.fastlane import framing, replies
from inferd.frontends.http.fastlane.framing import Framer
from inferd.frontends.http.limits import Limits
from inferd.protocol.infer_json import EncodedResponse
from inferd.protocol.wire import Buffer

PIECE: Final = 256_000
"""uvloop receives at most so many bytes at a time."""

_HEADERS: Final = ((b":status", b"200"), (b"content-type", b"application/grpc"))


class GrpcFraming:
    """
    One connection over the HTTP/2 kernel.

    Args:
        request: What the client sends.
        streams: How many requests come in a turn.
    """

    def __init__(self, request: Request, streams: int) -> None:
        self._request = request
        self._streams = streams
        self._client = GrpcConnection("localhost:8001", request.path)
        # A machine without the native module can still run everything else.
        from inferd_kernels.wire import _http2

        self._kernel = _http2.Connection(_HEADERS)
        self._message = _http2.MESSAGE

    def turn_us(self, answer: list[Buffer]) -> float:
        """Take a turn's requests and answer each; return microseconds per request."""
        for _ in range(self._streams):
            self._client.send(self._client.open(), self._request.body, end=True)
        spent_ns = 0
        while self._client.open_streams:
            sent = b"".join(self._client.output)
            self._client.output.clear()
            for piece in _pieces(sent):
                begun_ns = time.perf_counter_ns()
                written = self._exchange(piece, begun_ns, answer)
                spent_ns += time.perf_counter_ns() - begun_ns
                self._client.receive(b"".join(written))
        return spent_ns / 1000 / self._streams

    def _exchange(self, data: bytes, now_ns: int, answer: list[Buffer]) -> list[bytes]:
        kernel = self._kernel
        for event in kernel.receive(data, now_ns):
            if event[0] == self._message:
                kernel.send_message(event[1], answer)
                kernel.send_trailers(event[1], 0)
        written: list[bytes] = []
        while pieces := kernel.data_to_send():
            written += pieces
        return written


class HttpFraming:
    """
    One connection of the fast lane.

    Args:
        request: What the client sends.
    """

    def __init__(self, request: Request) -> None:
        head = http_head(request, "localhost", 8000)
        self._pieces = list(_pieces(head + request.body))
        self._framer = Framer(1 << 30, Limits())
        self._tail = replies.Tails().get(closes=False)

    def receive(self) -> framing.Inference:
        """Take a request."""
        event = None
        for piece in self._pieces:
            self._framer.receive(piece)
            event = self._framer.next_event()
        assert isinstance(event, framing.Inference)
        return event

    def turn_us(self, answer: EncodedResponse) -> float:
        """Take a request and answer it; return microseconds."""
        begun_ns = time.perf_counter_ns()
        self.receive()
        replies.pieces(replies.encoded(answer), self._tail)
        return (time.perf_counter_ns() - begun_ns) / 1000


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
