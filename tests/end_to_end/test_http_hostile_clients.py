"""Slow, stuck, greedy and half-closed clients on the HTTP port of a real server."""

import json
import socket
from contextlib import ExitStack, suppress

import pytest
from plain_http import PlainHttp
from process_figures import descriptors, resident_bytes

MEBIBYTE = 1 << 20
FLOATS = 2_000_000
PATH = "/v2/models/echo/infer"
SMALL = b'{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[7]}]}'
CHUNKED = b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(size: int, *lines: bytes) -> bytes:
    """Return the head of an inference request."""
    first = f"POST {PATH} HTTP/1.1".encode()
    return b"\r\n".join((first, b"Host: x", b"Content-Length: %d" % size, *lines, b"", b""))


def large() -> bytes:
    """Return a request whose answer is as long: 8 MB of binary tensor."""
    entry = {"name": "INPUT0", "datatype": "FP32", "shape": [1, FLOATS]}
    entry["parameters"] = {"binary_data_size": 4 * FLOATS}
    document = {"inputs": [entry], "parameters": {"binary_data_output": True}}
    head = json.dumps(document).encode()
    line = b"Inference-Header-Content-Length: %d" % len(head)
    return post(len(head) + 4 * FLOATS, line) + head + bytes(4 * FLOATS)


REQUEST = post(len(SMALL)) + SMALL


@pytest.fixture
def server(standing_server):
    """A server shared with other tests."""
    return standing_server("--grpc-transport", "python")


@pytest.fixture
def connect(server):
    """A function that connects sockets to the HTTP port; they are closed at the end."""
    with ExitStack() as stack:

        def make(receive_buffer=None) -> socket.socket:
            made = stack.enter_context(socket.socket())
            if receive_buffer is not None:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.settimeout(30)
            host, port = server.http.split(":")
            made.connect((host, int(port)))
            return made

        yield make


@pytest.fixture
def bystander(server):
    """A polite client, connected before the others: a function that returns its next status."""
    connection = PlainHttp(server.http)
    yield lambda: connection.post(PATH, SMALL).status
    connection.close()


def send_for_ever(connection: socket.socket, data: bytes, limit: int) -> int:
    """Send until the server takes no more or ``limit`` is reached; return how much that was."""
    sent = 0
    connection.settimeout(0.5)
    with suppress(TimeoutError, ConnectionError):
        while sent < limit:
            connection.sendall(data)
            sent += len(data)
    connection.settimeout(30)
    return sent


@pytest.mark.parametrize(
    "request_",
    [REQUEST, b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["inference", "application"],
)
def test_a_pipelining_client_that_never_reads_is_held_up(server, connect, bystander, request_):
    """Requests are taken as fast as answers are: what waits, waits in the client's socket."""
    before = resident_bytes(server.pid)
    greedy = connect(receive_buffer=4096)
    assert send_for_ever(greedy, request_ * 1000, 64 * MEBIBYTE) < 64 * MEBIBYTE
    assert bystander() == 200
    assert resident_bytes(server.pid) - before < 32 * MEBIBYTE
    assert greedy.recv(100).startswith(b"HTTP/1.1 200 ")


def test_clients_that_never_read_hold_their_answers_and_nobody_else(server, connect, bystander):
    """100 MB of answers are kept once, the others are served, and hanging up frees them."""
    before = resident_bytes(server.pid)
    data = large()
    idle = [connect(receive_buffer=4096) for _ in range(13)]
    for each in idle:
        each.sendall(data)
        assert bystander() == 200
    assert resident_bytes(server.pid) - before < 200 * MEBIBYTE
    for each in idle:
        each.close()
    server.wait_until(
        lambda: resident_bytes(server.pid) - before < 50 * MEBIBYTE, "the answers are freed"
    )


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"GET /v2 HTTP/1.1\r\nX: ", b"y" * 65_536),
        (b"GET /v2 HTTP/1.1\r\n", b"a: b\r\n" * 10_000),
        (b"GET /", b"y" * 65_536),
    ],
    ids=["header", "headers", "target"],
)
def test_an_endless_head_is_refused(server, connect, bystander, head, more):
    """It is answered with 400 at its limit, and what follows is not kept."""
    before = resident_bytes(server.pid)
    peer = connect()
    peer.sendall(head)
    send_for_ever(peer, more, 16 * MEBIBYTE)
    assert peer.recv(100).startswith(b"HTTP/1.1 400 ")
    assert bystander() == 200
    assert resident_bytes(server.pid) - before < 16 * MEBIBYTE


def test_an_announcement_allocates_nothing(server, connect, bystander):
    """A length above the limit is refused at once; one below it waits for the bytes."""
    before = resident_bytes(server.pid)
    refused, waiting = connect(), connect()
    waiting.sendall(post(60 * MEBIBYTE) + SMALL)
    refused.sendall(post(4 << 30))
    assert refused.recv(100).startswith(b"HTTP/1.1 400 ")
    assert bystander() == 200
    assert resident_bytes(server.pid) - before < 16 * MEBIBYTE


def test_endless_chunks_end_at_the_limit(server, connect, bystander):
    """A chunked body without an end is cut off at the largest size of an input."""
    before = resident_bytes(server.pid)
    peer = connect()
    peer.sendall(CHUNKED)
    send_for_ever(peer, b"40000\r\n" + bytes(0x40000) + b"\r\n", 80 * MEBIBYTE)
    answer = b""
    with suppress(ConnectionError):
        answer = peer.recv(100)
    assert answer[9:12] in (b"400", b"413", b"")
    assert bystander() == 200
    assert resident_bytes(server.pid) - before < 160 * MEBIBYTE


def test_requests_may_come_byte_by_byte(server, connect, bystander):
    """How slowly they come does not matter, to them or to others."""
    slow = connect()
    for at in range(len(REQUEST)):
        slow.sendall(REQUEST[at : at + 1])
        if at % 50 == 0:
            assert bystander() == 200
    assert slow.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [0, 20, len(REQUEST) - 1], ids=["nothing", "head", "body"])
def test_stuck_clients_cost_nobody_anything(server, connect, bystander, sent):
    """Two hundred connections stop in the middle; when they half-close, they are closed."""
    assert bystander() == 200
    before, opened = resident_bytes(server.pid), descriptors(server.pid)
    stuck = [connect() for _ in range(200)]
    for each in stuck:
        each.sendall(REQUEST[:sent])
    assert bystander() == 200
    assert resident_bytes(server.pid) - before < 32 * MEBIBYTE
    for each in stuck:
        each.shutdown(socket.SHUT_WR)
    for each in stuck:
        assert each.recv(100) == b""
    server.wait_until(lambda: descriptors(server.pid) <= opened, "the connections are closed")
    assert bystander() == 200
