"""Calls over the HTTP/2 kernel: what the application is told and what its answers become."""

import gc
import weakref

import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, PingAckReceived
from h2.settings import SettingCodes

http2 = pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")


def framed(body, flag=0):
    """Put gRPC's prefix before a message."""
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


def test_a_unary_call_is_one_event(pair):
    """Headers, message and half-close that come together are told together."""
    _, [event] = pair.call(b"hello")
    kind, stream, body, compressed = event
    assert (kind, body, compressed) == (http2.MESSAGE, b"hello", False)
    assert (stream.path, stream.method, stream.content_type) == (
        "/a.B/C",
        "POST",
        "application/grpc",
    )
    assert (stream.timeout, stream.encoding, stream.metadata) == (None, "", [])
    assert stream.ended
    assert stream.plain


def test_an_answer_has_headers_message_and_trailers(pair):
    """The client gets the opening headers, the framed message and the status."""
    stream_id, [(_, stream, *_)] = pair.call()
    pair.server.send_message(stream, [b"wor", memoryview(b"ld")])
    pair.server.send_trailers(stream, 0)
    assert pair.exchange() == []
    assert pair.headers(stream_id) == {":status": "200", "content-type": "application/grpc"}
    assert pair.body(stream_id) == framed(b"world")
    assert pair.trailers(stream_id) == {"grpc-status": "0"}
    assert stream.closed
    assert pair.server.open_streams == 0


def test_an_answer_without_a_message_is_only_trailers(pair):
    """An error is one header block with everything in it."""
    stream_id, [(_, stream, *_)] = pair.call()
    pair.server.send_trailers(stream, 5, "größe 5 % zu\ngroß")
    pair.exchange()
    assert pair.headers(stream_id) == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": "5",
        "grpc-message": "gr%C3%B6%C3%9Fe 5 %25 zu%0Agro%C3%9F",
    }
    assert pair.body(stream_id) == b""


def test_a_refusal_has_headers_of_its_own(pair):
    """What is no gRPC call is answered in HTTP, and the rest of the request is unwanted."""
    stream_id = pair.open(_method="GET")
    [(_, stream)] = pair.exchange()
    assert stream.method == "GET"
    pair.server.send_only_headers(stream, [(b":status", b"405")])
    pair.exchange()
    assert pair.headers(stream_id) == {":status": "405"}
    assert pair.reset_code(stream_id) == ErrorCodes.NO_ERROR


def test_an_open_call_is_told_before_its_messages(pair):
    """A call whose message is on its way is told once, and its messages as they are complete."""
    stream_id = pair.open()
    [(kind, stream)] = pair.exchange()
    assert (kind, stream.ended) == (http2.OPENED, False)
    pair.client.send_data(stream_id, framed(b"a") + framed(b"") + framed(b"bc")[:6])
    first, second = pair.exchange()
    assert (first[2], second[2]) == (b"a", b"")
    assert (stream.received, stream.expected) == (1, 2)
    pair.client.send_data(stream_id, b"c", end_stream=True)
    message, ended = pair.exchange()
    assert message[2] == b"bc"
    assert ended == (http2.ENDED, stream)


def test_a_call_that_ends_without_a_message_is_told(pair):
    """Half-closed at once, or inside a prefix: the application can say what is missing."""
    pair.open(end=True)
    [(kind, stream)] = pair.exchange()
    assert (kind, stream.ended, stream.inside_prefix) == (http2.OPENED, True, False)
    stream_id = pair.open()
    pair.client.send_data(stream_id, b"\0\0", end_stream=True)
    [(kind, stream)] = pair.exchange()
    assert (kind, stream.ended, stream.inside_prefix) == (http2.OPENED, True, True)


def test_headers_are_sorted(pair):
    """What the transport needs has names of its own; the rest is metadata as bytes."""
    _, [(_, stream, *_)] = pair.call(
        b"",
        ("grpc-timeout", "5S"),
        ("grpc-encoding", "gzip"),
        ("user-agent", "x"),
        ("a", "b"),
        ("a", "c"),
    )
    assert (stream.timeout, stream.encoding) == ("5S", "gzip")
    assert stream.metadata == [(b"a", b"b"), (b"a", b"c")]
    assert stream.plain


@pytest.mark.parametrize("header", [("x-bin", "AAA="), ("x", "größe"), ("größe", "x")])
def test_metadata_to_be_looked_at_is_marked(pair, header):
    """Binary metadata, and what is not ASCII, has to be checked by the application."""
    _, [(_, stream, *_)] = pair.call(b"", header)
    assert not stream.plain
    assert stream.metadata == [tuple(text.encode() for text in header)]


@pytest.mark.parametrize("missing", ["_method", "_path"])
def test_a_request_without_a_method_is_reset(pair, missing):
    """It is no call, and nobody is told."""
    stream_id, events = pair.call(**{missing: None})
    assert events == []
    assert pair.reset_code(stream_id) == ErrorCodes.PROTOCOL_ERROR


def test_a_malformed_header_name_is_reset(pair):
    """Upper case is not allowed in HTTP/2."""
    stream_id, events = pair.call(b"", ("Upper", "x"))
    assert events == []
    assert pair.reset_code(stream_id) == ErrorCodes.PROTOCOL_ERROR


def test_a_long_header_list_is_marked(make_pair):
    """The list is cut at its limit, and the application can say so."""
    pair = make_pair(max_header_bytes=600)
    _, [(_, stream, *_)] = pair.call(b"", ("x", "y" * 400))
    assert stream.headers_too_large
    assert stream.metadata == []


def test_a_compressed_message_is_passed_on_as_such(pair):
    """Inflating is not the kernel's business."""
    stream_id = pair.open()
    pair.client.send_data(stream_id, framed(b"x", 1), end_stream=True)
    [(_, _, body, compressed)] = pair.exchange()
    assert (body, compressed) == (b"x", True)


@pytest.mark.parametrize(("size", "kind"), [(1000, http2.MESSAGE), (1001, http2.TOO_LARGE)])
def test_the_limit_itself_is_accepted(make_pair, size, kind):
    """One byte more is not, and its size is told."""
    pair = make_pair(max_message_bytes=1000)
    _, events = pair.call(bytes(size))
    told = [event for event in events if event[0] in (http2.MESSAGE, http2.TOO_LARGE)]
    assert [event[0] for event in told] == [kind]
    if kind == http2.TOO_LARGE:
        assert told[0][2] == size


def test_a_giant_prefix_allocates_nothing(pair):
    """4 GiB are refused by their prefix alone, and what follows is dropped with its credit."""
    stream_id = pair.open()
    pair.client.send_data(stream_id, b"\0\xff\xff\xff\xff")
    opened, (kind, stream, size) = pair.exchange()
    assert opened == (http2.OPENED, stream)
    assert (kind, size) == (http2.TOO_LARGE, 0xFFFFFFFF)
    before = pair.client.outbound_flow_control_window
    for _ in range(100):
        pair.client.send_data(stream_id, bytes(1 << 19))
        assert pair.exchange() == []
    assert pair.client.outbound_flow_control_window > before // 2


def test_large_messages_come_whole(pair):
    """A message larger than every window arrives in one piece."""
    body = bytes(range(256)) * 160_000
    stream_id = pair.open()
    data, events = framed(body), []
    while data:
        room = min(pair.client.local_flow_control_window(stream_id), 1 << 20, len(data))
        assert room
        pair.client.send_data(stream_id, data[:room])
        data = data[room:]
        events += pair.exchange()
    [_, message] = events
    assert message[2] == body


def test_messages_nobody_takes_hold_their_credit(make_pair):
    """A client can send as much as its window, and gets it back when the messages are taken."""
    pair = make_pair(stream_window=100_000)
    stream_id = pair.open()
    pair.exchange()
    sent = 0
    while (room := pair.client.local_flow_control_window(stream_id)) > 1000:
        pair.client.send_data(stream_id, framed(bytes(995)))
        sent += 1
        [*_, (_, stream, *_)] = pair.exchange()
    assert room <= 1000
    assert sent <= 200
    for _ in range(sent):
        pair.server.take(stream)
    pair.exchange()
    assert pair.client.local_flow_control_window(stream_id) > 90_000


def test_ended_calls_give_the_connections_credit_back(make_pair):
    """Messages that were never taken do not use the connection up."""
    pair = make_pair(connection_window=100_000)
    for _ in range(50):
        stream_id = pair.open()
        pair.client.send_data(stream_id, framed(bytes(5000)))
        pair.client.send_data(stream_id, framed(bytes(5000)))
        [(_, stream, *_), _] = pair.exchange()
        pair.server.send_trailers(stream, 12, "no", reset=True)
        pair.exchange()
    assert pair.client.outbound_flow_control_window > 50_000


def test_a_slow_reader_gets_its_answer_as_it_reads(pair):
    """What flow control holds back is counted, and continues with the client's credit."""
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    stream_id, [(_, stream, *_)] = pair.call()
    pair.server.send_message(stream, [bytes(range(256)) * 200])
    pair.server.send_trailers(stream, 0)
    pair.exchange()
    assert (len(pair.body(stream_id)), stream.unsent) == (1000, 51_205 - 1000)
    while not stream.closed:
        pair.client.increment_flow_control_window(5000, stream_id)
        pair.client.increment_flow_control_window(5000)
        pair.exchange()
    assert pair.body(stream_id) == framed(bytes(range(256)) * 200)
    assert pair.trailers(stream_id) == {"grpc-status": "0"}
    assert stream.unsent == 0


def test_messages_may_be_sent_one_by_one(pair):
    """A stream of answers that pauses between them is continued."""
    stream_id, [(_, stream, *_)] = pair.call()
    for n in range(3):
        pair.server.send_message(stream, [b"%d" % n])
        pair.exchange()
    assert pair.body(stream_id) == framed(b"0") + framed(b"1") + framed(b"2")
    pair.server.send_trailers(stream, 0)
    pair.exchange()
    assert pair.trailers(stream_id) == {"grpc-status": "0"}


def test_a_reset_is_told_once(pair):
    """A call that the client gives up is told; answers to it go nowhere."""
    stream_id, [(_, stream, *_)] = pair.call()
    pair.client.reset_stream(stream_id, ErrorCodes.CANCEL)
    assert pair.exchange() == [(http2.RESET, stream)]
    pair.server.send_message(stream, [b"x"])
    pair.server.send_trailers(stream, 0)
    pair.server.send_only_headers(stream, [])
    pair.server.reset(stream, 8)
    assert pair.exchange() == []


def test_a_call_given_up_in_the_same_read_is_never_told(pair):
    """Nobody starts what is over already."""
    stream_id = pair.open()
    pair.client.reset_stream(stream_id)
    assert pair.exchange() == []
    assert pair.server.open_streams == 0


def test_the_server_can_reset(pair):
    """With a code of its choice, and without being told about it."""
    stream_id, [(_, stream, *_)] = pair.call()
    pair.server.reset(stream, ErrorCodes.CANCEL)
    assert pair.exchange() == []
    assert pair.reset_code(stream_id) == ErrorCodes.CANCEL


def test_buffers_are_let_go_of(pair):
    """A message's buffers live until they are sent, or until the call is over."""

    class Owned(bytearray):
        pass

    for answered in (True, False):
        stream_id, [(_, stream, *_)] = pair.call()
        owned = Owned(50_000)
        alive = weakref.ref(owned)
        pair.server.send_message(stream, [owned])
        del owned
        gc.collect()
        assert alive() is not None
        if answered:
            pair.server.send_trailers(stream, 0)
        else:
            pair.client.reset_stream(stream_id)
        pair.exchange()
        gc.collect()
        assert alive() is None


def test_what_is_not_bytes_is_refused(pair):
    """A buffer that cannot be sent is an error, and the call can still be answered."""
    stream_id, [(_, stream, *_)] = pair.call()
    with pytest.raises(TypeError):
        pair.server.send_message(stream, ["text"])
    pair.server.send_trailers(stream, 13, "internal error")
    pair.exchange()
    assert pair.headers(stream_id)["grpc-status"] == "13"


def test_pings_go_both_ways(pair):
    """The client's are answered and the server's are counted."""
    pair.client.ping(b"12345678")
    pair.server.ping()
    pair.exchange()
    assert any(isinstance(event, PingAckReceived) for event in pair.received)
    assert pair.server.pongs == 1


def test_goodbye(pair):
    """A terminated connection says so, and is done."""
    assert not pair.server.done
    pair.server.terminate(0)
    pair.exchange()
    [goodbye] = [event for event in pair.received if isinstance(event, ConnectionTerminated)]
    assert goodbye.error_code == 0
    assert pair.server.done


def test_an_announced_shutdown_lets_calls_go_on(make_pair):
    """The notice names no stream, so that nothing is lost."""
    pair = make_pair()
    pair.server.announce_shutdown()
    data = b"".join(pair.server.data_to_send())
    assert data[3] == 7
    assert data[9:13] == b"\x7f\xff\xff\xff"
    assert not pair.server.done


def test_more_calls_than_allowed_are_refused(make_pair):
    """The client may try them again."""
    pair = make_pair(max_streams=2)
    pair.client.remote_settings.max_concurrent_streams = 1000
    pair.client.remote_settings.acknowledge()
    for _ in range(3):
        pair.open()
    events = pair.exchange()
    assert len(events) == 2


def test_unknown_frames_are_ignored(pair):
    """Extensions disturb nobody."""
    pair.exchange(b"\0\0\x08\xbb\0\0\0\0\0whatever")
    assert len(pair.call()[1]) == 1


def test_an_answer_may_have_an_encoding(make_pair):
    """The opening headers say which, and each message's prefix whether it has it."""
    pair = make_pair(keeps_accepted=True)
    stream_id, [(_, stream, _, _)] = pair.call(b"x", ("grpc-accept-encoding", "gzip"))
    assert stream.accepted == "gzip"
    pair.server.send_encoded(stream, [b"small"], b"gzip", True)
    pair.server.send_encoded(stream, [b"plain"], b"gzip", False)
    pair.server.send_encoded(stream, [bytes(20_000)], b"gzip", True)
    pair.server.send_trailers(stream, 0)
    pair.exchange()
    assert pair.headers(stream_id)["grpc-encoding"] == "gzip"
    assert pair.body(stream_id) == framed(b"small", 1) + framed(b"plain") + framed(bytes(20_000), 1)


def test_what_clients_accept_is_kept_only_when_asked_for(pair):
    """And an answer without an encoding has no header for it."""
    stream_id, [(_, stream, _, _)] = pair.call(b"x", ("grpc-accept-encoding", "gzip"))
    assert (stream.accepted, stream.metadata) == ("", [])
    pair.server.send_message(stream, [b"x"])
    pair.server.send_trailers(stream, 0)
    pair.exchange()
    assert "grpc-encoding" not in pair.headers(stream_id)
