"""
Answers requests without doing anything with them: the bound that the transports set.

    python tests/benchmarks/echo.py GRPC_PORT [HTTP_PORT FILE]...

gRPC: every message goes back as it came, over the same HTTP/2 kernel, on uvloop. HTTP: a
bare protocol on uvloop counts the bytes of a request and answers with the file, head and
all; all requests of a connection have to be equally long.
"""

import asyncio
import re
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, cast

import uvloop
from inferd_kernels.wire import _http2

_HEADERS: Final = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END: Final = b"\r\n\r\n"


class GrpcEcho(asyncio.Protocol):
    """One connection over the kernel."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._kernel = _http2.Connection(_HEADERS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._write()

    def data_received(self, data: bytes) -> None:
        """Send every complete message back."""
        kernel = self._kernel
        for event in kernel.receive(data, time.monotonic_ns()):
            if event[0] == _http2.MESSAGE:
                kernel.send_message(event[1], [event[2]])
                kernel.send_trailers(event[1], 0)
        self._write()

    def _write(self) -> None:
        while pieces := self._kernel.data_to_send():
            self._transport.writelines(pieces)


class HttpEcho(asyncio.Protocol):
    """
    One connection that is answered with the same bytes again and again.

    Args:
        answer: The bytes.
    """

    _transport: asyncio.Transport

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._head = b""
        self._size = 0
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to write to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer as many requests as are complete."""
        self._received += len(data)
        if not self._size and not self._measure(data):
            return
        while self._received >= self._size:
            self._received -= self._size
            self._transport.write(self._answer)

    def _measure(self, data: bytes) -> bool:
        """Find out how long requests are, once the first head is complete."""
        self._head += data
        end = self._head.find(_END)
        found = _LENGTH.search(self._head)
        if end < 0 or found is None:
            return False
        self._size = end + len(_END) + int(found.group(1))
        self._head = b""
        return True


async def serve(grpc_port: int, answers: Sequence[tuple[int, bytes]]) -> None:
    """Listen on loopback until the process is ended."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(GrpcEcho, "127.0.0.1", grpc_port)]
    for port, answer in answers:
        servers.append(await loop.create_server(partial(HttpEcho, answer), "127.0.0.1", port))
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    """Serve as the command line says."""
    port, *rest = sys.argv[1:]
    pairs = zip(rest[::2], rest[1::2], strict=True)
    answers = [(int(http), Path(file).read_bytes()) for http, file in pairs]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(port), answers))


if __name__ == "__main__":
    main()
