"""Slow, stuck and half-closed clients on the gRPC port of a real server."""

import socket
from contextlib import ExitStack

import pytest
from http2_peer import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_WINDOW,
    Gone,
    Http2Peer,
    echo_request,
    frame,
    framed,
    repeat_request,
    request_block,
)
from process_figures import descriptors, resident_bytes

MEBIBYTE = 1 << 20
RESOURCE_EXHAUSTED = 8
INITIAL_WINDOW_SIZE = 4
SMALL = echo_request(2)
LARGE = echo_request(2_000_000)
CALL = frame(HEADERS, request_block(), 1, END_HEADERS) + frame(DATA, SMALL, 1, END_STREAM)


@pytest.mark.parametrize("announced", [2**31 - 1, 2**32 - 1])
def test_an_announcement_allocates_nothing(grpc_server, bystander, announced):
    """A prefix alone costs no memory: too large is told at once, large enough waits for bytes."""
    before = resident_bytes(grpc_server.pid)
    with Http2Peer(grpc_server.grpc) as peer:
        stream_id = peer.open()
        peer.send(frame(DATA, b"\0" + announced.to_bytes(4, "big"), stream_id))
        if announced > 2**31 - 1:
            assert peer.status(stream_id) == RESOURCE_EXHAUSTED
        assert peer.call(SMALL) == 0
        assert bystander.call(SMALL) == 0
        assert resident_bytes(grpc_server.pid) - before < 16 * MEBIBYTE


def test_clients_that_never_read_hold_their_answers_and_nobody_else(grpc_server, bystander):
    """100 MB of answers are kept once, the others are served, and hanging up frees them."""
    before = resident_bytes(grpc_server.pid)
    with ExitStack() as stack:
        for _ in range(13):
            peer = stack.enter_context(Http2Peer(grpc_server.grpc, receive_buffer=4096))
            stream_id = peer.open()
            peer.grant(LARGEST_WINDOW - 65_535, stream_id)
            peer.send_message(stream_id, LARGE)
            assert bystander.call(SMALL) == 0
        assert resident_bytes(grpc_server.pid) - before < 200 * MEBIBYTE
    grpc_server.wait_until(
        lambda: resident_bytes(grpc_server.pid) - before < 50 * MEBIBYTE, "the answers are freed"
    )


def settled_bytes(server) -> int:
    """Wait until a server's memory does not change any more, and return it."""
    seen: list[int] = []

    def is_still() -> bool:
        seen.append(resident_bytes(server.pid))
        return len(set(seen[-10:])) == 1 and len(seen) >= 10

    server.wait_until(is_still, "its memory stays the same")
    return seen[-1]


@pytest.mark.parametrize("window", [65_535, LARGEST_WINDOW], ids=["window", "socket"])
def test_a_stream_that_nobody_reads_is_made_no_faster(grpc_server, bystander, window):
    """100 MB of small answers wait in the model, whether credit or the socket is used up."""
    before = resident_bytes(grpc_server.pid)
    with Http2Peer(grpc_server.grpc, receive_buffer=4096) as peer:
        stream_id = peer.open("ModelStreamInfer")
        if window > 65_535:
            peer.grant(window - 65_535, stream_id)
        peer.send_message(stream_id, repeat_request(100_000, "x" * 1000))
        while peer.received.get(stream_id, 0) == 0:
            peer.read()
        assert settled_bytes(grpc_server) - before < 32 * MEBIBYTE
        assert bystander.call(SMALL) == 0


def test_a_window_of_zero_holds_only_its_own_answers(grpc_server, bystander):
    """A thousand answers wait for credit and are complete when it comes."""
    before = resident_bytes(grpc_server.pid)
    with Http2Peer(grpc_server.grpc, {INITIAL_WINDOW_SIZE: 0}) as peer:
        calls = [peer.start(SMALL) for _ in range(1000)]
        assert bystander.call(SMALL) == 0
        peer.read_what_is_there()
        assert peer.statuses == {}
        assert resident_bytes(grpc_server.pid) - before < 32 * MEBIBYTE
        peer.grant(MEBIBYTE, *calls)
        assert {peer.status(stream_id) for stream_id in calls} == {0}


def test_a_call_may_come_byte_by_byte(grpc_server, bystander):
    """How slowly it comes does not matter, to it or to others."""
    with Http2Peer(grpc_server.grpc) as peer:
        for at in range(len(CALL)):
            peer.send(CALL[at : at + 1])
            if at % 50 == 0:
                assert bystander.call(SMALL) == 0
        assert peer.status(1) == 0


def test_a_message_may_come_in_frames_of_one_byte(grpc_server):
    """Eight thousand frames are one message."""
    message = echo_request(2000)
    with Http2Peer(grpc_server.grpc) as peer:
        stream_id = peer.open()
        frames = [frame(DATA, message[at : at + 1], stream_id) for at in range(len(message))]
        peer.send(b"".join(frames) + frame(DATA, b"", stream_id, END_STREAM))
        assert peer.status(stream_id) == 0


@pytest.mark.parametrize("sent", [0, 20, len(CALL) - 1], ids=["nothing", "headers", "message"])
def test_stuck_clients_cost_nobody_anything(grpc_server, bystander, sent):
    """Two hundred connections stop in the middle; when they half-close, they are closed."""
    opened = descriptors(grpc_server.pid)
    before = resident_bytes(grpc_server.pid)
    with ExitStack() as stack:
        peers = [stack.enter_context(Http2Peer(grpc_server.grpc)) for _ in range(200)]
        for peer in peers:
            peer.send(CALL[:sent])
        assert bystander.call(SMALL) == 0
        assert resident_bytes(grpc_server.pid) - before < 32 * MEBIBYTE
        for peer in peers:
            peer.socket.shutdown(socket.SHUT_WR)
        for peer in peers:
            with pytest.raises(Gone):
                peer.status(1)
        assert bystander.call(SMALL) == 0
        grpc_server.wait_until(
            lambda: descriptors(grpc_server.pid) <= opened, "the connections are closed"
        )


def test_an_unfinished_upload_keeps_what_came_and_no_more(grpc_server, bystander):
    """An announced gigabyte of which 4 MB come costs those, and they go with the connection."""
    before = resident_bytes(grpc_server.pid)
    with Http2Peer(grpc_server.grpc) as peer:
        stream_id = peer.open()
        begun = framed(b"")[:1] + (1 << 30).to_bytes(4, "big") + bytes(4 * MEBIBYTE)
        peer.send_message(stream_id, begun, end=False)
        assert peer.call(SMALL) == 0
        assert resident_bytes(grpc_server.pid) - before < 40 * MEBIBYTE
    assert bystander.call(SMALL) == 0
