"""Both event loops, and requests in bytes."""

import asyncio
import json
import struct

import pytest
import uvloop

from inferd.frontends.http import compression


def pytest_asyncio_loop_factories():
    """Run the tests under asyncio's loop and under uvloop, whose transports differ."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Build:
    """Makes requests as bytes."""

    @staticmethod
    def post(body, *lines, path=b"/v2/models/echo/infer"):
        """Return a POST with a body and more header lines."""
        length = b"Content-Length: %d" % len(body)
        return b"\r\n".join((b"POST " + path + b" HTTP/1.1", b"Host: x", *lines, length, b"", body))

    @classmethod
    def chunked(cls, request, size=7):
        """Return a request with its body in chunks of that size."""
        head, end, body = request.partition(b"\r\n\r\n")
        head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
        return b"".join((head, end, *chunks, b"0\r\n\r\n"))

    @classmethod
    def compressed(cls, request, encoding="gzip"):
        """Return a request with its body compressed."""
        head, end, body = request.partition(b"\r\n\r\n")
        packed = compression.compress([body], encoding)
        line = b"Content-Length: %d\r\nContent-Encoding: %s" % (len(packed), encoding.encode())
        return head.replace(b"Content-Length: %d" % len(body), line) + end + packed

    @staticmethod
    def get(path=b"/v2/health/live", *lines):
        """Return a request that the application answers."""
        return b"\r\n".join((b"GET " + path + b" HTTP/1.1", b"Host: x", *lines, b"", b""))

    @classmethod
    def infer(cls, value, *lines, size=1):
        """Return an inference request for so many equal values, in JSON."""
        entry = {"name": "IN", "datatype": "FP32", "shape": [size], "data": [value] * size}
        return cls.post(json.dumps({"inputs": [entry]}).encode(), *lines)

    @classmethod
    def infer_binary(cls, value, *lines, size=1, binary_output=True):
        """Return the same with the values behind the JSON, and so in the answer or not."""
        sizes = {"binary_data_size": 4 * size}
        entry = {"name": "IN", "datatype": "FP32", "shape": [size], "parameters": sizes}
        document = {"inputs": [entry], "parameters": {"binary_data_output": binary_output}}
        head = json.dumps(document).encode()
        line = b"Inference-Header-Content-Length: %d" % len(head)
        return cls.post(head + struct.pack("<f", value) * size, line, *lines)


@pytest.fixture(scope="session")
def build():
    """Return what makes requests."""
    return Build


@pytest.fixture(scope="session")
def value_of():
    """Return a function that reads the first value of an answer in JSON."""

    def read(answer):
        status, _, body = answer
        assert status == 200, body
        return json.loads(body)["outputs"][0]["data"][0]

    return read
