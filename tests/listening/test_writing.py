"""Pieces written at once."""

import asyncio
import socket

import pytest

from inferd.listening.writing import write_all


class Pausing(asyncio.Protocol):
    """Notes that it was paused."""

    def __init__(self):
        self.paused = asyncio.Event()

    def pause_writing(self):
        """Note it."""
        self.paused.set()


@pytest.mark.parametrize("pieces", [[], [b"a"], [b"a", b"bc", memoryview(b"d")]])
async def test_pieces_arrive_in_order(pieces):
    """Whatever their number and kind."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(Pausing, sock=ours)
    write_all(transport, pieces)
    transport.write_eof()
    received = b""
    while piece := await asyncio.wait_for(loop.sock_recv(theirs, 100), 10):
        received += piece
    transport.close()
    theirs.close()

    assert received == b"".join(pieces)


async def test_a_client_that_does_not_read_pauses_the_protocol():
    """On every Python, also those whose writelines does not."""
    ours, theirs = socket.socketpair()
    transport, protocol = await asyncio.get_running_loop().create_connection(Pausing, sock=ours)
    write_all(transport, [bytes(4_000_000), bytes(4_000_000)])

    assert protocol.paused.is_set()
    transport.abort()
    theirs.close()
