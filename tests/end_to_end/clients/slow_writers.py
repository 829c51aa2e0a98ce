"""
Many clients that each begin a large request and never end it, over gRPC or HTTP.

Prints how many were refused and how; once a line came in on standard input, sends a small
request and a large one that is whole, and prints what came of them.
"""

import selectors
import socket
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived
from tritonclient.utils import InferenceServerException

WRITERS = 12
BODY = 24 << 20
SENT = 16 << 20
PIECE = bytes(1 << 18)


class GrpcWriter:
    """One that begins a message."""

    def __init__(self, address: str) -> None:
        self.socket = connect(address)
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.stream = self.h2.get_next_available_stream_id()
        headers = {
            ":method": "POST", ":scheme": "http", ":authority": "test",
            ":path": "/inference.GRPCInferenceService/ModelInfer",
            "te": "trailers", "content-type": "application/grpc",
        }  # fmt: skip
        self.h2.send_headers(self.stream, list(headers.items()))
        self.left = SENT
        self.answer = ""
        self.write(b"\0" + BODY.to_bytes(4, "big"))

    def write(self, data: bytes = PIECE) -> None:
        """Send a piece, as far as flow control allows."""
        room = self.h2.local_flow_control_window(self.stream)
        size = min(room, len(data), self.h2.max_outbound_frame_size)
        if size:
            self.h2.send_data(self.stream, data[:size])
            self.left -= size
        self.socket.sendall(self.h2.data_to_send())

    def read(self) -> None:
        """Take what the server says."""
        for event in self.h2.receive_data(self.socket.recv(1 << 16)):
            if isinstance(event, ResponseReceived):
                self.answer = "grpc-status " + dict(event.headers)["grpc-status"]
        self.socket.sendall(self.h2.data_to_send())


class HttpWriter:
    """One that begins a body."""

    def __init__(self, address: str) -> None:
        self.socket = connect(address)
        head = f"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.left = SENT
        self.answer = ""

    def write(self) -> None:
        """Send a piece."""
        self.socket.sendall(PIECE)
        self.left -= len(PIECE)

    def read(self) -> None:
        """Take what the server says."""
        self.answer = self.socket.recv(1 << 16).split(b"\r\n")[0].decode()


def connect(address: str) -> socket.socket:
    """Connect."""
    host, port = address.split(":")
    return socket.create_connection((host, int(port)))


def run(writer: GrpcWriter | HttpWriter) -> None:
    """Write until the server answers or enough is sent."""
    with selectors.DefaultSelector() as selector:
        selector.register(writer.socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while writer.left > 0 and not writer.answer:
            [(_, ready)] = selector.select()
            if ready & selectors.EVENT_READ:
                writer.read()
            elif ready & selectors.EVENT_WRITE:
                writer.write()


def ask(library, client, size: int) -> str:
    """Send a whole request; return how it ended."""
    array = np.zeros((1, size // 4), np.float32)
    given = library.InferInput("INPUT0", array.shape, "FP32")
    given.set_data_from_numpy(array)
    try:
        return f"OK {client.infer('echo', [given]).as_numpy('OUTPUT0').nbytes}"
    except InferenceServerException as error:
        return str(error.status())


def main() -> None:
    """Write, tell, ask."""
    protocol, address = sys.argv[1:]
    writers = [(GrpcWriter if protocol == "grpc" else HttpWriter)(address) for _ in range(WRITERS)]
    for writer in writers:
        run(writer)
    answers = sorted(writer.answer for writer in writers)
    print(*(f"{answers.count(answer)} {answer or 'taken'}" for answer in sorted(set(answers))),
          sep=", ", flush=True)  # fmt: skip
    sys.stdin.readline()
    library = tritonclient.grpc if protocol == "grpc" else tritonclient.http
    with library.InferenceServerClient(address) as client:
        print(ask(library, client, 1000))
        print(ask(library, client, 20 << 20))
        for writer in writers:
            writer.socket.close()
        while (answer := ask(library, client, 20 << 20)) != f"OK {20 << 20}":
            pass
        print(answer)


if __name__ == "__main__":
    main()
