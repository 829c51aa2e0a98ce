"""Floods on the gRPC port of a real server: they end, cost little, and disturb nobody else."""

from contextlib import suppress

import floods
import pytest
from http2_peer import (
    DATA,
    END_STREAM,
    LARGEST_WINDOW,
    Gone,
    Http2Peer,
    echo_request,
    frame,
)
from process_figures import descriptors, resident_bytes

MEBIBYTE = 1 << 20
SMALL = echo_request(2)


def name_of(flood):
    """Return what a flood is called."""
    return getattr(flood, "__name__", None)


def check_it_ends(server, bystander, flood, codes):
    """Send a flood; check its end, the server's memory and the other connections."""
    before = resident_bytes(server.pid)
    with Http2Peer(server.grpc) as peer:
        peer.flood(flood())
        assert peer.last_words() in codes
    assert bystander.call(SMALL) == 0
    with Http2Peer(server.grpc) as late:
        assert late.call(SMALL) == 0
    assert resident_bytes(server.pid) - before < 64 * MEBIBYTE


@pytest.mark.parametrize(("flood", "codes"), floods.FATAL.items(), ids=name_of)
def test_a_flood_ends_in_goaway(grpc_server, bystander, flood, codes):
    """The peer is told why, the others are answered, and no memory is left behind."""
    check_it_ends(grpc_server, bystander, flood, codes)


@pytest.mark.parametrize("grpc_transport", ["native"], indirect=True)
@pytest.mark.parametrize(("flood", "codes"), floods.FATAL_NATIVE.items(), ids=name_of)
def test_a_flood_of_questions_ends_in_goaway(grpc_server, bystander, flood, codes):
    """The kernel also bounds how many frames it has to answer at once."""
    check_it_ends(grpc_server, bystander, flood, codes)


@pytest.mark.parametrize("flood", floods.HARMLESS, ids=name_of)
def test_a_flood_of_nothing_is_survived(grpc_server, bystander, flood):
    """Frames that say nothing leave nothing behind, and calls of the same peer are answered."""
    before = resident_bytes(grpc_server.pid)
    with Http2Peer(grpc_server.grpc) as peer:
        peer.next_id()
        peer.flood(flood())
        assert bystander.call(SMALL) == 0
        if flood is floods.empty_data:
            peer.send(frame(DATA, SMALL, 1, END_STREAM))
            assert peer.status(1) == 0
        assert peer.call(SMALL) == 0
    assert resident_bytes(grpc_server.pid) - before < 64 * MEBIBYTE


def test_a_peer_that_asks_and_never_reads_is_not_answered_into_memory(grpc_server, bystander):
    """Its connection ends or stalls; the server keeps no more than what fits into a socket."""
    before = resident_bytes(grpc_server.pid)
    data = floods.pings(10_000)
    sent = 0
    with Http2Peer(grpc_server.grpc, receive_buffer=4096) as peer:
        peer.socket.settimeout(0.5)
        with suppress(TimeoutError, Gone):
            while sent < 64 * MEBIBYTE:
                peer.send(data)
                sent += len(data)
        assert sent < 64 * MEBIBYTE
        assert bystander.call(SMALL) == 0
        assert resident_bytes(grpc_server.pid) - before < 32 * MEBIBYTE


@pytest.mark.parametrize("grpc_transport", ["native"], indirect=True)
def test_a_peer_that_floods_and_does_not_read_is_hung_up_on(grpc_server, bystander):
    """Its connection goes at once, with the answers that were kept for it."""
    assert bystander.call(SMALL) == 0
    opened = descriptors(grpc_server.pid)
    with Http2Peer(grpc_server.grpc, receive_buffer=4096) as peer:
        stream_id = peer.open()
        peer.grant(LARGEST_WINDOW - 65_535, stream_id)
        peer.send_message(stream_id, echo_request(2_000_000))
        while peer.received.get(stream_id, 0) == 0:
            peer.read()
        with suppress(Gone):
            peer.send(floods.pings(10_000))
        grpc_server.wait_until(
            lambda: descriptors(grpc_server.pid) <= opened, "the connection is closed"
        )
