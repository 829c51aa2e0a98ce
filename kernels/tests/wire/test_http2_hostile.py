"""Peers that break rules or mean harm: the kernel neither crashes, hangs nor grows."""

import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated
from hypothesis import given, settings
from hypothesis import strategies as st

http2 = pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
SETTINGS_READ = b"\0\0\0\x04\1\0\0\0\0"
# HPACK without compression: each field is a literal that is not indexed.
REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"x"))


def frame(kind, payload=b"", stream_id=0, flags=0):
    """Return a frame's bytes."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big")
    return head + payload


def literal(name, value):
    """Return a header field in HPACK."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


BLOCK = b"".join(literal(*field) for field in REQUEST)


def goodbye_of(answer):
    """Return the error code of the GOAWAY at the end of an answer."""
    at = answer.rindex(b"\0\0\x08\x07\0")
    return int.from_bytes(answer[at + 13 : at + 17], "big")


def framed(body):
    """Put gRPC's prefix before a message."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def feed(data, size=65_536, **options):
    """Give a fresh connection all of the data; return it, its answer and its events."""
    connection = http2.Connection(RESPONSE, **options)
    answer, events = b"", []
    for start in range(0, len(data), size):
        try:
            events += connection.receive(data[start : start + size], 1)
        except http2.ProtocolError:
            break
        answer += b"".join(connection.data_to_send())
        if connection.done:
            break
    answer += b"".join(connection.data_to_send())
    return connection, answer, events


def test_rapid_resets_end_in_goaway():
    """A client that opens and resets without end is told to calm down."""
    pairs = b"".join(
        frame(1, BLOCK, number, flags=4) + frame(3, b"\0\0\0\x08", number)
        for number in range(1, 40_001, 2)
    )
    connection, answer, events = feed(MAGIC + SETTINGS + pairs)
    assert goodbye_of(answer) == ErrorCodes.ENHANCE_YOUR_CALM
    assert connection.done
    assert connection.open_streams == 0
    assert len(events) < 100


@pytest.mark.parametrize(("count", "kept"), [(10, True), (11, False)])
def test_the_reset_budget_is_exact(make_pair, count, kept):
    """As many resets as allowed are free; one more ends the connection."""
    pair = make_pair(reset_burst=10, resets_per_second=0)
    for _ in range(count):
        pair.client.reset_stream(pair.open())
    pair.exchange()
    ended = [event for event in pair.received if isinstance(event, ConnectionTerminated)]
    assert bool(ended) is not kept


def test_the_reset_budget_is_refilled_by_time(make_pair):
    """Somebody who now and then gives up may do so for ever."""
    pair = make_pair(reset_burst=2, resets_per_second=1)
    for _ in range(20):
        pair.now_ns += 1_000_000_000
        pair.client.reset_stream(pair.open())
        pair.exchange()
    assert not pair.server.done


def test_answered_calls_cost_no_budget(make_pair):
    """Only calls that are given up count."""
    pair = make_pair(reset_burst=2, resets_per_second=0)
    for _ in range(20):
        _, [(_, stream, *_)] = pair.call()
        pair.server.send_trailers(stream, 0)
        pair.exchange()
    assert not pair.server.done


def test_resets_the_server_is_driven_to_count_too():
    """Malformed requests without end are no way around the budget."""
    bad = b"".join(
        frame(1, literal(b":path", b"/a"), number, flags=5) for number in range(1, 40_001, 2)
    )
    connection, answer, _ = feed(MAGIC + SETTINGS + bad)
    assert goodbye_of(answer) == ErrorCodes.ENHANCE_YOUR_CALM
    assert connection.done


def test_a_ping_flood_ends_the_connection():
    """Pings that are not given time to be answered are bounded."""
    connection, answer, _ = feed(MAGIC + SETTINGS + frame(6, bytes(8)) * 3000, size=1 << 20)
    assert goodbye_of(answer) == ErrorCodes.ENHANCE_YOUR_CALM
    assert connection.failed


def test_a_settings_flood_ends_the_connection():
    """So are settings."""
    connection, _, _ = feed(MAGIC + SETTINGS * 3000, size=1 << 20)
    assert connection.failed


@pytest.mark.parametrize("piece", [b"", literal(b"x", b"y" * 100)])
def test_endless_continuation_ends_the_connection(piece):
    """A header block that never ends, of empty frames or full ones, is cut off."""
    data = MAGIC + SETTINGS + frame(1, BLOCK, 1) + frame(9, piece, 1) * 100_000
    connection, answer, events = feed(data)
    assert connection.done
    assert goodbye_of(answer) in (ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.PROTOCOL_ERROR)
    assert events == []


def test_a_malformed_call_costs_the_others_nothing(pair):
    """Uploads on the same connection go on after a header block that was given up."""
    upload = pair.open()
    pair.exchange()
    pair.open(("Upper", "x"))
    pair.exchange()
    body = bytes(1 << 20)
    data, events = framed(body), []
    while data:
        pair.client.send_data(upload, data[:16_384])
        data = data[16_384:]
        events += pair.exchange()
    assert [event[2] for event in events] == [body]


@pytest.mark.parametrize("trailers", [False, True])
@pytest.mark.parametrize(("excess", "ended"), [(0, False), (1, True)])
def test_a_header_bomb_is_cut_off(make_pair, trailers, excess, ended):
    """A list of up to four times the limit is read to its end; one byte more is not."""
    pair = make_pair(max_header_bytes=1000)
    stream_id = pair.open()
    pair.exchange()
    block = b"".join(literal(*field) for field in (() if trailers else REQUEST))
    left = 4000 + excess
    left -= 0 if trailers else sum(len(name) + len(value) + 32 for name, value in REQUEST)
    # One field in full, and one byte for each repetition.
    block += b"\x40" + literal(b"y", b"z" * 67)[1:] + b"\xbe" * (left // 100 - 2)
    block += literal(b"z", b"y" * (left % 100 + 100 - 33))
    stream_id = stream_id if trailers else stream_id + 2
    data = frame(1, block, stream_id, flags=5)
    if ended:
        with pytest.raises(http2.ProtocolError):
            pair.server.receive(data, 1)
        answer = b"".join(pair.server.data_to_send())
        assert goodbye_of(answer) == ErrorCodes.ENHANCE_YOUR_CALM
    else:
        pair.server.receive(data, 1)
    assert pair.server.failed is ended


def test_what_a_peer_makes_the_server_say_is_bounded():
    """One that reads nothing and goes on asking for refusals is given up."""
    connection = http2.Connection(RESPONSE, max_streams=1)
    connection.receive(MAGIC + SETTINGS + SETTINGS_READ, 1)
    calls = iter(range(1, 100_001, 2))
    while connection.open_streams < 1:
        connection.receive(frame(1, BLOCK, next(calls), flags=4), 1)
    refused = b"".join(frame(1, BLOCK, number, flags=4) for number in calls)
    with pytest.raises(http2.ProtocolError):
        connection.receive(refused, 1)
    assert goodbye_of(b"".join(connection.data_to_send())) == ErrorCodes.ENHANCE_YOUR_CALM


def test_bytes_that_are_no_http2_end_the_connection():
    """An HTTP/1 client gets nothing that it would not understand."""
    connection, _, _ = feed(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert connection.failed
    assert connection.receive(b"more", 2) == []
    assert connection.data_to_send() == []


def test_nothing_works_and_nothing_breaks_after_a_failure():
    """A failed connection takes every call and does nothing."""
    data = MAGIC + SETTINGS + frame(1, BLOCK, 1, flags=4)
    connection, _, [(_, stream)] = feed(data)
    with pytest.raises(http2.ProtocolError):
        connection.receive(frame(6, bytes(8)) * 3000, 2)
    connection.send_message(stream, [b"x"])
    connection.send_trailers(stream, 0)
    connection.send_only_headers(stream, [])
    connection.reset(stream, 8)
    connection.take(stream)
    connection.ping()
    connection.announce_shutdown()
    connection.terminate()
    assert connection.done
    assert len(connection.data_to_send()) == 1
    assert not connection.wants_write


def test_a_data_bomb_of_empty_frames_allocates_nothing(pair):
    """Empty frames use no window; they leave nothing behind."""
    stream_id = pair.open()
    pair.exchange()
    assert pair.exchange(frame(0, b"", stream_id) * 10_000) == []


FRAMES = st.builds(
    frame,
    st.one_of(st.integers(0, 9), st.integers(0, 255)),
    st.one_of(st.binary(max_size=64), st.just(BLOCK), st.just(b"\0\0\0\0\1x")),
    st.one_of(st.integers(0, 9), st.integers(0, 2**31 - 1)),
    st.integers(0, 255),
)


@settings(deadline=None)
@given(st.lists(st.one_of(FRAMES, st.binary(max_size=64)), max_size=40), st.integers(1, 200))
def test_any_bytes_are_survived(pieces, size):
    """Whatever comes in whatever pieces, answered or not, the connection ends or goes on."""
    connection = http2.Connection(RESPONSE, max_message_bytes=1 << 20)
    data = MAGIC + SETTINGS + b"".join(pieces)
    for number, start in enumerate(range(0, len(data), size)):
        try:
            events = connection.receive(data[start : start + size], number)
            for kind, stream, *_ in events:
                if kind == http2.MESSAGE:
                    connection.take(stream)
                    connection.send_message(stream, [b"answer"])
                    connection.send_trailers(stream, number % 17, "text", number % 2 == 0)
                elif number % 3 == 0:
                    connection.reset(stream, 8)
            connection.data_to_send()
        except http2.ProtocolError:
            assert connection.failed
    assert sum(map(len, connection.data_to_send())) < 1 << 21


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=3000), max_size=8),
    st.lists(st.integers(1, 4000), min_size=1, max_size=8),
)
def test_how_messages_are_cut_does_not_matter(messages, cuts):
    """The same messages come out of every way to cut them into frames and reads."""
    body = b"".join(b"\0" + len(one).to_bytes(4, "big") + one for one in messages)
    data, at, turn = MAGIC + SETTINGS + frame(1, BLOCK, 1, flags=4), 0, 0
    while at < len(body):
        data += frame(0, body[at : at + cuts[turn % len(cuts)]], 1)
        at += cuts[turn % len(cuts)]
        turn += 1
    data += frame(0, b"", 1, flags=1)
    for size in (1, 1000, len(data)):
        connection = http2.Connection(RESPONSE)
        found = []
        for start in range(0, len(data), size):
            for kind, stream, *rest in connection.receive(data[start : start + size], 1):
                if kind == http2.MESSAGE:
                    found.append(rest[0])
                    connection.take(stream)
        assert found == messages
        assert stream.ended
