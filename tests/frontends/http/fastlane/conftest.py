"""Both event loops, and requests in bytes."""

import asyncio
import json
import struct

import pytest
import uvloop


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
    def infer_binary(cls, value, *lines, size=1):
        """Return the same with the values behind the JSON, and so in the answer."""
        sizes = {"binary_data_size": 4 * size}
        entry = {"name": "IN", "datatype": "FP32", "shape": [size], "parameters": sizes}
        document = {"inputs": [entry], "parameters": {"binary_data_output": True}}
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
