"""What a connection receives, cut into requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.frontends.http.fastlane.framing import MAX_HEAD, Framer, Inference, Passage, Refusal

_LIMIT = 1000


def infer(body, extra=b""):
    """Return an inference request for the lane."""
    return b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (
        extra,
        len(body),
        body,
    )


def other(body=b""):
    """Return a request for the application."""
    return b"POST /other HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def events(framer):
    """Return everything there is now."""
    return list(iter(framer.next_event, None))


def merged(found):
    """Return events as plain values, with the pieces of each passage joined."""
    result = []
    for event in found:
        if isinstance(event, Inference):
            result.append(("infer", bytes(event.body)))
        elif isinstance(event, Refusal):
            result.append(("refuse", event.message))
        elif event.begins:
            result.append(("pass", bytes(event.data)))
        else:
            kind, before = result.pop()
            result.append((kind, before + bytes(event.data)))
    return result


def cut(data, *sizes):
    """Feed pieces of these sizes, then the rest, and return the merged events."""
    framer = Framer(_LIMIT)
    found = []
    at = 0
    for size in (*sizes, len(data)):
        if data[at : at + size]:
            framer.receive(data[at : at + size])
            found += events(framer)
        at += size
    return merged(found)


_STREAM = infer(b"one") + other(b"two") + other() + infer(b"three") + b"\r\n" + infer(b"4")
_EXPECTED = [
    ("infer", b"one"),
    ("pass", other(b"two")),
    ("pass", other()),
    ("infer", b"three"),
    ("infer", b"4"),
]


def test_one_read_may_hold_many_requests():
    """Pipelined requests are told apart, whoever answers them."""
    assert cut(_STREAM) == _EXPECTED


@pytest.mark.parametrize("at", range(1, len(_STREAM)))
def test_a_cut_anywhere_changes_nothing(at):
    """It does not matter where the network cuts the stream in two."""
    assert cut(_STREAM, at) == _EXPECTED


def test_single_bytes_change_nothing():
    """Nor whether it comes byte by byte."""
    assert cut(_STREAM, *[1] * len(_STREAM)) == _EXPECTED


@given(st.lists(st.integers(1, 60), max_size=20))
def test_cuts_change_nothing(sizes):
    """Nor into how many pieces."""
    assert cut(_STREAM, *sizes) == _EXPECTED


@given(st.lists(st.binary(max_size=80) | st.sampled_from([infer(b"x"), other(b"y")]), max_size=8))
def test_any_bytes_end_well(pieces):
    """Whatever is received, nothing breaks and nothing is kept beyond the bounds."""
    framer = Framer(_LIMIT)
    for piece in pieces:
        framer.receive(piece)
        found = events(framer)
        assert all(isinstance(event, Inference | Passage | Refusal) for event in found)
        assert sum(isinstance(event, Refusal) for event in found) <= 1
        assert framer.buffered <= MAX_HEAD


def test_a_body_in_one_read_is_not_copied():
    """A body that came with its head is a view on what was received."""
    data = infer(b"body")
    framer = Framer(_LIMIT)
    framer.receive(data)
    (event,) = events(framer)
    assert event.body.obj is data


def test_a_collected_body_cannot_be_written():
    """Models get the bytes of a body in pieces as they get any other: read only."""
    data = infer(b"body")
    framer = Framer(_LIMIT)
    framer.receive(data[:-2])
    assert events(framer) == []
    framer.receive(data[-2:])
    (event,) = events(framer)
    assert event.body.readonly
    assert event.body == b"body"


def test_the_same_head_is_read_once():
    """Repeated heads are recognised, and a different one is not confused with them."""
    framer = Framer(_LIMIT)
    framer.receive(infer(b"a") + infer(b"b") + infer(b"c", b"inferd-timeout-ms: 7\r\n"))
    first, second, third = events(framer)
    assert first.head is second.head
    assert third.head.timeout_ms == 7


def test_the_longest_head():
    """A head of exactly the limit is passed on, a longer one is refused."""
    head = b"GET / HTTP/1.1\r\nX: "
    room = MAX_HEAD - len(head) - 4
    framer = Framer(_LIMIT)
    framer.receive(head + b"y" * room + b"\r\n\r\n")
    assert [type(event) for event in events(framer)] == [Passage]
    framer.receive(head + b"y" * (room + 1) + b"\r\n\r\n")
    assert events(framer) == [Refusal("Request head is too long")]


def test_a_head_without_end_is_refused():
    """A client that sends one header for ever is stopped at the limit."""
    framer = Framer(_LIMIT)
    framer.receive(b"GET / HTTP/1.1\r\nX: ".ljust(MAX_HEAD, b"y"))
    assert events(framer) == []
    framer.receive(b"y")
    assert events(framer) == [Refusal("Request head is too long")]
    framer.receive(infer(b"x"))
    assert events(framer) == []


def test_nothing_follows_a_refusal():
    """What comes after bytes that cannot be read is not read."""
    assert [kind for kind, _ in cut(b"rubbish\r\n\r\n" + infer(b"x"))] == ["refuse"]


def test_a_chunked_request_takes_the_connection_along():
    """Behind a chunked body everything is the application's, which alone knows its end."""
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + infer(b"x")
    assert cut(data) == [("pass", data)]
    assert cut(data, 10, 30, 50) == [("pass", data)]


def test_passing_lasts_until_the_body_is_complete():
    """The application's request is over at the end of its body."""
    data = other(b"body")
    framer = Framer(_LIMIT)
    assert not framer.passing
    framer.receive(data[:-1])
    events(framer)
    assert framer.passing
    framer.receive(data[-1:])
    events(framer)
    assert not framer.passing


def test_what_is_not_asked_for_is_buffered():
    """Requests wait until the caller can act on them."""
    framer = Framer(_LIMIT)
    framer.receive(infer(b"a"))
    framer.receive(infer(b"b"))
    assert framer.buffered == 2 * len(infer(b"a"))
    assert merged(events(framer)) == [("infer", b"a"), ("infer", b"b")]
    assert framer.buffered == 0
