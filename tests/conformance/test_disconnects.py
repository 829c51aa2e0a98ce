"""Clients that leave, and bytes that are no protocol: the others are served on."""

import json
import socket
import struct
from contextlib import suppress

import pytest
from plain_http import PlainHttp

BODY = json.dumps(
    {
        "inputs": [
            {"name": n, "shape": [1, 16], "datatype": "INT32", "data": [1] * 16}
            for n in ("INPUT0", "INPUT1")
        ]
    }
).encode()
HEAD = b"POST /v2/models/%s/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
FLOAT = b'{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[3]}]}'


def connect(address: str) -> socket.socket:
    """Return a connected socket."""
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def serves(http: PlainHttp) -> bool:
    """Tell whether a request on an older connection is answered."""
    answer = http.post("/v2/models/simple/infer", BODY)
    return answer.status == 200 and answer.json()["outputs"][0]["data"] == [2] * 16


@pytest.mark.parametrize("sent", [0, 10, len(BODY) - 1])
def test_a_client_may_leave_in_the_middle_of_its_body(server, http, sent):
    """A connection cut inside a request costs nobody else anything."""
    assert serves(http)
    for close in (socket.socket.close, reset):
        leaver = connect(server.http)
        leaver.sendall(HEAD % (b"simple", len(BODY)) + BODY[:sent])
        close(leaver)
        assert serves(http)


def test_a_client_may_leave_while_its_request_executes(server, http):
    """Requests of the same model that came later are answered with their own values."""
    leavers = [connect(server.http) for _ in range(3)]
    for leaver in leavers:
        leaver.sendall(HEAD % (b"slow", len(FLOAT)) + FLOAT)
    waiting = PlainHttp(server.http)
    waiting.send("POST", "/v2/models/slow/infer", FLOAT.replace(b"[3]", b"[4]"))
    for leaver in leavers:
        reset(leaver)
    assert serves(http)
    answer = waiting.receive()
    assert answer.status == 200
    assert answer.json()["outputs"][0]["data"] == [4.0]
    waiting.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe\x01" * 64,
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02",
    ],
    ids=["noise", "half a request line", "an HTTP/2 preface", "a TLS hello"],
)
def test_noise_on_a_port_closes_that_connection_only(server, http, grpc_requests, garbage):
    """What is no HTTP on the HTTP port, or no HTTP/2 on the gRPC port, is dropped."""
    for address in (server.http, server.grpc, server.metrics):
        noisy = connect(address)
        noisy.sendall(garbage)
        noisy.shutdown(socket.SHUT_WR)
        with noisy:
            read_to_the_end(noisy)
    assert serves(http)
    (live,) = grpc_requests([["ServerLive", {}]])
    assert live["message"] == {"live": True}


def read_to_the_end(connection: socket.socket) -> bytes:
    """Return what the other side sends until it closes; a reset is an end too."""
    received = b""
    with suppress(ConnectionResetError):
        while block := connection.recv(65536):
            received += block
    return received


def test_a_request_may_arrive_byte_by_byte(server):
    """How a request is cut into packets does not matter."""
    slow = connect(server.http)
    slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in HEAD % (b"simple", len(BODY)) + BODY:
        slow.sendall(bytes([byte]))
    assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
    slow.close()


def test_many_connections_are_served_at_once(server):
    """Two hundred open connections each get their answer."""
    opened = [PlainHttp(server.http) for _ in range(200)]
    for each in opened:
        each.send("POST", "/v2/models/simple/infer", BODY)
    for each in opened:
        assert each.receive().status == 200
        each.close()
