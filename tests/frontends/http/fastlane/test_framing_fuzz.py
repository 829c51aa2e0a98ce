"""
Requests broken at random, cut at random: the framer says the same whatever the cuts.

How long this takes is up to the Hypothesis profile: ``tox -e fuzz`` is thorough.
"""

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferd.frontends.http.fastlane.framing import (
    Expectation,
    Framer,
    Inference,
    Passage,
    Refusal,
)
from inferd.frontends.http.limits import Limits

MAX_BODY = 1000
LIMITS = Limits()
INFER = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
VALID = (
    INFER + b"Content-Length: 5\r\n\r\n{...}",
    INFER + b"Content-Length: 0\r\n\r\n",
    INFER + b"Inference-Header-Content-Length: 2\r\nContent-Length: 6\r\n\r\n{}\0\0\0\0",
    INFER + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    INFER + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nzip",
    INFER + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
    INFER + CHUNKED + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n",
    b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
    b"\r\n",
)
PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\xff", b"0", b"-1", b"ffffffff", b"\r\n\r\n"),
    *(b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(b"0\r\n\r\n", b"Upgrade: h2c\r\n", b" folded\r\n", b"a" * 70, b"HTTP/1.0", b"HTTP/2.0"),
)


@st.composite
def streams(draw):
    """Return requests one after the other, some of them broken."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        until = draw(st.sampled_from((at, at, at + 1, at + 2, at + 20)))
        data[at:until] = draw(st.sampled_from(PIECES) | st.binary(max_size=3))
    return bytes(data)


def told(data, cuts):
    """Feed the data, cut at these places; return what the framer says, as plain values."""
    framer = Framer(MAX_BODY, LIMITS)
    said = []
    is_open = False
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        framer.receive(data[start:end])
        for event in iter(framer.next_event, None):
            if isinstance(event, Refusal) and is_open:
                drop_last_passage(said)
            is_open = framer.passing
            said.append(event)
            assert len(said) <= 2 * len(data) + 2
        assert framer.buffered <= LIMITS.head_bytes
    return list(plain(said))


def drop_last_passage(events):
    """Forget a request that turned out broken: how much of it was passed is up to the cuts."""
    while not (isinstance(event := events.pop(), Passage) and event.begins):
        pass


def plain(events):
    """Yield events as plain values, the pieces of each passage joined."""
    passage = None
    for event in events:
        if isinstance(event, Expectation):
            # Whoever has sent the body already is not told to.
            continue
        if isinstance(event, Passage) and not event.begins:
            passage += bytes(event.data)
            continue
        if passage is not None:
            yield "pass", passage
        passage = bytes(event.data) if isinstance(event, Passage) else None
        if isinstance(event, Inference):
            yield "infer", event.head, bytes(event.body)
        elif isinstance(event, Refusal):
            yield "refuse", event.message
        elif passage is None:
            yield "other", event
    if passage is not None:
        yield "pass", passage


@settings(deadline=None)
@given(streams(), st.lists(st.integers(0, 400), max_size=6))
@example(VALID[0] * 3, [])
@example(VALID[8] + VALID[9].replace(b"0\r\n", b"-\r\n"), [200])
def test_the_cuts_change_nothing(data, cuts):
    """In one piece, in some, or byte by byte: the same requests, and the same refusal."""
    whole = told(data, ())
    assert told(data, cuts) == whole
    assert told(data, range(len(data))) == whole
    assert [event[0] for event in whole].count("refuse") <= 1
    assert "refuse" not in [event[0] for event in whole[:-1]]


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_noise_is_cut_the_same(data, cuts):
    """Bytes that are no HTTP at all are no exception."""
    assert told(data, cuts) == told(data, ())


@pytest.mark.parametrize("data", VALID, ids=range(len(VALID)))
def test_a_framer_keeps_nothing_of_what_it_handed_out(data):
    """Thousands of requests later it is as large as before."""
    framer = Framer(MAX_BODY, LIMITS)

    def feed(count):
        for _ in range(count):
            framer.receive(data)
            for _ in iter(framer.next_event, None):
                pass

    tracemalloc.start()
    try:
        feed(100)
        before, _ = tracemalloc.get_traced_memory()
        feed(1000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000
