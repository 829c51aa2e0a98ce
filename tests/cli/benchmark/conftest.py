"""A server that answers every HTTP request the same."""

import asyncio
import socket

import pytest

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def heads():
    """The heads of the requests that the server has received."""
    return []


@pytest.fixture
def unused_port():
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
async def port(heads):
    """The port of the server; a request for ``/no`` is refused."""

    async def serve(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head)
                answer = ANSWER.replace(b"200 OK", b"400 No") if b"/no" in head else ANSWER
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
