"""What a connection receives, cut into requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.frontends.http.fastlane.framing import (
    Expectation,
    Framer,
    Inference,
    Passage,
    Refusal,
)
from inferd.frontends.http.limits import Limits

MAX_HEAD = 2000


def new_framer():
    """Return the receiving side of a new connection."""
    return Framer(1000, Limits(head_bytes=MAX_HEAD, chunk_line_bytes=50))


def infer(body, extra=b""):
    """Return an inference request for the lane."""
    return b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (
        extra,
        len(body),
        body,
    )


def other(body=b""):
    """Return a request for the application."""
    head = b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    return head % (len(body), body)


def chunked(*chunks, path=b"/v2/models/m/infer", extra=b""):
    """Return a request whose body comes in these chunks."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (path, extra)
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + body + b"0\r\n\r\n"


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
        elif isinstance(event, Expectation):
            result.append(("continue", b""))
        elif event.begins:
            result.append(("pass", bytes(event.data)))
        else:
            kind, before = result.pop()
            result.append((kind, before + bytes(event.data)))
    return result


def cut(data, *sizes):
    """Feed pieces of these sizes, then the rest, and return the merged events."""
    framer = new_framer()
    found = []
    at = 0
    for size in (*sizes, len(data)):
        if data[at : at + size]:
            framer.receive(data[at : at + size])
            found += events(framer)
        at += size
    return merged(found)


_STREAM = (
    infer(b"one")
    + other(b"two")
    + other()
    + chunked(b"fi", b"ve")
    + infer(b"three")
    + chunked(b"s", b"ix", path=b"/other")
    + b"\r\n"
    + infer(b"4")
)
_EXPECTED = [
    ("infer", b"one"),
    ("pass", other(b"two")),
    ("pass", other()),
    ("infer", b"five"),
    ("infer", b"three"),
    ("pass", chunked(b"s", b"ix", path=b"/other")),
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
    framer = new_framer()
    for piece in pieces:
        framer.receive(piece)
        found = events(framer)
        assert all(isinstance(event, Inference | Passage | Refusal) for event in found)
        assert sum(isinstance(event, Refusal) for event in found) <= 1
        assert framer.buffered <= MAX_HEAD


def test_a_body_in_one_read_is_not_copied():
    """A body that came with its head is a view on what was received."""
    data = infer(b"body")
    framer = new_framer()
    framer.receive(data)
    (event,) = events(framer)
    assert event.body.obj is data


def test_a_collected_body_cannot_be_written():
    """Models get the bytes of a body in pieces as they get any other: read only."""
    data = infer(b"body")
    framer = new_framer()
    framer.receive(data[:-2])
    assert events(framer) == []
    framer.receive(data[-2:])
    (event,) = events(framer)
    assert event.body.readonly
    assert event.body == b"body"


def test_the_same_head_is_read_once():
    """Repeated heads are recognised, and a different one is not confused with them."""
    framer = new_framer()
    framer.receive(infer(b"a") + infer(b"b") + infer(b"c", b"inferd-timeout-ms: 7\r\n"))
    first, second, third = events(framer)
    assert first.head is second.head
    assert third.head.timeout_ms == 7


def test_the_longest_head():
    """A head of exactly the limit is passed on, a longer one is refused."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
    room = MAX_HEAD - len(head) - 4
    framer = new_framer()
    framer.receive(head + b"y" * room + b"\r\n\r\n")
    assert [type(event) for event in events(framer)] == [Passage]
    framer.receive(head + b"y" * (room + 1) + b"\r\n\r\n")
    assert events(framer) == [Refusal("Request head is too long")]


def test_a_head_without_end_is_refused():
    """A client that sends one header for ever is stopped at the limit."""
    framer = new_framer()
    framer.receive(b"GET / HTTP/1.1\r\nX: ".ljust(MAX_HEAD, b"y"))
    assert events(framer) == []
    framer.receive(b"y")
    assert events(framer) == [Refusal("Request head is too long")]
    framer.receive(infer(b"x"))
    assert events(framer) == []


def test_nothing_follows_a_refusal():
    """What comes after bytes that cannot be read is not read."""
    assert [kind for kind, _ in cut(b"rubbish\r\n\r\n" + infer(b"x"))] == ["refuse"]


def test_what_belongs_to_chunks_and_not_to_the_body_is_dropped():
    """The application sees sizes and data alone: extensions and trailers end here."""
    body = b"1;a=b\r\nx\r\n000\r\nTrailer: y\r\n\r\n"
    head, _, _ = chunked(path=b"/other").partition(b"\r\n\r\n")
    assert cut(head + b"\r\n\r\n" + body + infer(b"x")) == [
        ("pass", chunked(b"x", path=b"/other")),
        ("infer", b"x"),
    ]


@pytest.mark.parametrize("path", [b"/v2/models/m/infer", b"/other"])
def test_nothing_follows_broken_chunks(path):
    """A body whose end cannot be told is refused, whoever would have answered."""
    data = chunked(b"x", path=path).replace(b"\r\n1\r\n", b"\r\n1 \r\n") + infer(b"y")
    assert cut(data)[-1] == ("refuse", "Invalid chunk size")
    assert [kind for kind, _ in cut(data, *[1] * len(data))][-1] == "refuse"


def test_chunks_of_an_inference_are_bounded():
    """The largest body is taken, a larger one refused when its last chunk is announced."""
    assert cut(chunked(b"x" * 600, b"y" * 400)) == [("infer", b"x" * 600 + b"y" * 400)]
    announced = chunked(b"x" * 600, b"y" * 401)[: -401 - 7]
    ((kind, message),) = cut(announced)
    assert kind == "refuse"
    assert message.startswith("request JSON size of 1001 bytes exceeds")


def test_a_client_that_waits_is_told_to_go_on():
    """Who sends Expect: 100-continue is answered before the body, unless that is there."""
    line = b"Expect: 100-continue\r\n"
    for data, body in ((infer(b"abc", line), 3), (chunked(b"abc", extra=line), 13)):
        assert cut(data, len(data) - body) == [("continue", b""), ("infer", b"abc")]
        assert cut(data) == [("infer", b"abc")]


def test_whether_a_body_is_prompt_is_known_for_chunks_too():
    """What is read without a thread depends on the body, not on how it came."""
    framer = new_framer()
    framer.receive(chunked(b"x") + infer(b"x"))
    assert [event.is_prompt for event in events(framer)] == [True, True]
    framer = Framer(10_000, Limits())
    framer.receive(chunked(b"x" * 4096) + chunked(b"x" * 4097) + infer(b"x" * 4097))
    assert [event.is_prompt for event in events(framer)] == [True, False, False]


def test_what_is_read_to_its_end_is_known():
    """Who asks for events knows when there is none, without asking."""
    framer = new_framer()
    data = infer(b"abc")
    for piece, drained in ((data[:5], False), (data[5:-1], False), (data[-1:], True)):
        framer.receive(piece)
        events(framer)
        assert framer.is_drained is drained
    framer.receive(other(b"abc")[:-1])
    events(framer)
    assert framer.is_drained


def test_requests_are_counted():
    """How many requests began is known, so that a new head is told from an old one."""
    framer = new_framer()
    framer.receive(_STREAM + infer(b"x")[:-1])
    events(framer)
    assert (framer.heads, framer.in_body) == (8, True)
    framer.receive(b"x" + infer(b"x")[:10])
    events(framer)
    assert (framer.heads, framer.in_body) == (8, False)


def test_no_lane_takes_nothing():
    """Without a lane every request is the application's, and cut all the same."""
    framer = Framer(0, Limits())
    framer.receive(infer(b"x") + chunked(b"y"))
    assert [type(event) for event in events(framer)] == [Passage, Passage]


def test_passing_lasts_until_the_body_is_complete():
    """The application's request is over at the end of its body."""
    data = other(b"body")
    framer = new_framer()
    assert not framer.passing
    framer.receive(data[:-1])
    events(framer)
    assert framer.passing
    framer.receive(data[-1:])
    events(framer)
    assert not framer.passing


def test_what_is_not_asked_for_is_buffered():
    """Requests wait until the caller can act on them."""
    framer = new_framer()
    framer.receive(infer(b"a"))
    framer.receive(infer(b"b"))
    assert framer.buffered == 2 * len(infer(b"a"))
    assert merged(events(framer)) == [("infer", b"a"), ("infer", b"b")]
    assert framer.buffered == 0
