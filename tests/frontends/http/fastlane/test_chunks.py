"""Bodies in chunks: what they hold, where they end, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.frontends.http import bodies
from inferd.frontends.http.fastlane.chunks import ChunkedBody, MalformedChunks


def read(data, *sizes, max_size=1000):
    """Feed pieces of these sizes, then the rest; return the body and what is left over."""
    body = ChunkedBody(20, 30, max_size)
    left = b""
    at = 0
    for size in (*sizes, len(data)):
        left += data[at : at + size]
        left = left[body.read(left, 0) :]
        at += size
    assert body.is_complete
    return bytes(body.content), left


_PLAIN = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
_DECORATED = b'3;x=y\r\nabc\r\n0002;z="1\t"\r\nde\r\n000;\xff\r\nA: b\r\nc-1:\r\n\r\n'


@pytest.mark.parametrize("data", [_PLAIN, _DECORATED])
def test_a_body_is_what_its_chunks_hold(data):
    """Sizes, extensions and trailers are not part of it, and it ends where it says."""
    assert read(data + b"GET") == (b"abcde", b"GET")


@pytest.mark.parametrize("data", [_PLAIN, _DECORATED])
def test_chunks_are_passed_on_as_plain_ones(data):
    """Somebody who reads chunks sees the same chunks, but nothing that is dropped."""
    assert read(data, max_size=None) == (_PLAIN, b"")


@given(st.sampled_from([_PLAIN, _DECORATED]), st.lists(st.integers(1, 9)), st.booleans())
def test_cuts_change_nothing(data, sizes, passes):
    """It does not matter where the network cuts a body."""
    max_size = None if passes else 1000
    assert read(data + b"G", *sizes, max_size=max_size) == read(data + b"G", max_size=max_size)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=10))
def test_any_chunks_are_joined(pieces):
    """Chunks may be of any size and hold any bytes."""
    data = b"".join(b"%X\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    assert read(data + b"0\r\n\r\n") == (b"".join(pieces), b"")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1\t\r\n",
        b"+1\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b"1,1\r\n",
        b"g\r\n",
        b"\xb2\r\n",
        b";a\r\n",
        b"1;\x00\r\n",
        b"1;a\rb\r\n",
        b"1;a\nb\r\n",
        b"1\nx\n0\r\n",
        b"1" + b"0" * 16 + b"\r\n",
        b"1\r\nxy",
        b"1\r\nx\n",
        b"1\r\nx\r\r",
        b"0\r\nno colon\r\n",
        b"0\r\n: x\r\n",
        b"0\r\na : x\r\n",
        b"0\r\n a: x\r\n",
        b"0\r\na: b\r\n c\r\n",
        b"0\r\na: \x00\r\n",
        b"0\r\na: b\nc: d\r\n",
    ],
)
@pytest.mark.parametrize("passes", [True, False])
def test_what_readers_could_understand_in_two_ways_is_refused(data, passes):
    """A body has one end for everybody who reads it."""
    with pytest.raises(MalformedChunks):
        ChunkedBody(100, 100, None if passes else 1000).read(data, 0)


def test_the_longest_line():
    """A line of exactly the limit is read; one more byte is refused before its end comes."""
    assert read(b"1;" + b"x" * 18 + b"\r\ny\r\n0\r\n\r\n") == (b"y", b"")
    body = ChunkedBody(20, 30, None)
    assert body.read(b"1;" + b"x" * 19, 0) == 0
    with pytest.raises(MalformedChunks, match="too long"):
        body.read(b"1;" + b"x" * 20, 0)
    with pytest.raises(MalformedChunks, match="too long"):
        body.read(b"1;" + b"x" * 19 + b"\r\n", 0)


def test_the_longest_trailers():
    """Trailers are bounded together, not one by one."""
    line = b"a: " + b"x" * 12
    assert read(b"0\r\n" + (line + b"\r\n") * 2 + b"\r\n") == (b"", b"")
    with pytest.raises(MalformedChunks, match="too long"):
        read(b"0\r\n" + line + b"\r\nx" + line + b"\r\n\r\n")


def test_the_largest_body():
    """A body of exactly the limit is read, a larger one is refused by what it announces."""
    assert len(read(b"a\r\n" + b"x" * 10 + b"\r\n0\r\n\r\n", max_size=10)[0]) == 10
    body = ChunkedBody(20, 30, 10)
    body.read(b"5\r\nhello\r\n", 0)
    with pytest.raises(MalformedChunks) as caught:
        body.read(b"6\r\n", 0)
    assert str(caught.value) == bodies.too_large(11, 10)


def test_the_most_chunks():
    """As many chunks as Triton takes are read, one more is refused."""
    chunk = b"1\r\nx\r\n"
    body = ChunkedBody(20, 30, 1 << 20)
    body.read(chunk * bodies.MAX_CHUNKS, 0)
    assert len(body.content) == bodies.MAX_CHUNKS
    with pytest.raises(MalformedChunks) as caught:
        body.read(chunk, 0)
    assert str(caught.value) == bodies.TOO_MANY_CHUNKS


def test_who_limits_a_body_is_handed_all_of_it():
    """Bodies that are passed on are not counted here."""
    body = ChunkedBody(20, 30, None)
    body.read(b"1\r\nx\r\n" * (bodies.MAX_CHUNKS + 1) + b"ffffffffffffffff\r\n", 0)
    assert not body.is_complete
