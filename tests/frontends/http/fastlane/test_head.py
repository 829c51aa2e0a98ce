"""Heads of requests: framing, and which of them the lane takes."""

import pytest

from inferd.frontends.http.fastlane.head import CHUNKED, Head, InferHead, MalformedHead, parse
from inferd.frontends.http.routes import Route

_LIMIT = 1000


def _head(*lines, request=b"POST /v2/models/m/infer HTTP/1.1", length=b"5"):
    fields = [b"Content-Length: " + length] if length is not None else []
    return b"\r\n".join((request, b"Host: x", *fields, *lines, b"", b""))


def _infer(*lines, **options) -> InferHead | None:
    return parse(_head(*lines, **options), _LIMIT).infer


def test_a_plain_inference_is_the_lanes():
    """The lane takes an inference request in JSON."""
    assert parse(_head(), _LIMIT) == Head(5, InferHead(Route("infer", "m")))


def test_what_the_lane_needs_is_read():
    """Version, length of the JSON, deadline, encoding and keep-alive come from the head."""
    found = _infer(
        b"INFERENCE-HEADER-CONTENT-LENGTH: 3",
        b"Inferd-Timeout-Ms: 20",
        b"Accept-Encoding: gzip",
        b"Accept: */*",
        b"Connection: Close",
        request=b"POST /v2/models/m/versions/2/infer?a=b HTTP/1.1",
    )
    assert found == InferHead(
        Route("infer", "m", "2"), json_length="3", timeout_ms=20, encoding="gzip", keep_alive=False
    )


def test_compressed_and_awaited_bodies_are_the_lanes():
    """The lane inflates bodies, and tells clients that wait to send them."""
    found = _infer(b"Content-Encoding: deflate", b"Expect: 100-Continue")
    assert found == InferHead(Route("infer", "m"), is_compressed=True, waits=True)


def test_chunked_bodies_are_the_lanes():
    """Nobody has to know the length of a body before it is sent."""
    found = parse(_head(b"Transfer-Encoding: Chunked", length=None), _LIMIT)
    assert found == Head(CHUNKED, InferHead(Route("infer", "m")))
    assert parse(_head(b"Transfer-Encoding: chunked", length=None), 0) == Head(CHUNKED, None)


@pytest.mark.parametrize(
    "line",
    [
        b"Expect: x",
        b"Expect: 100-continue\r\nExpect: 100-continue",
        b"Content-Encoding: br",
        b"Upgrade: h2c",
        b"Accept: text/event-stream",
        b"Accept: application/x-ndjson",
        b"inferd-timeout-ms: soon",
        b"Connection: keep-alive, x",
        b"Connection: close\r\nConnection: keep-alive",
        b"Trailer: x",
    ],
)
def test_what_the_lane_does_not_do_is_the_applications(line):
    """A request that needs more than the lane has is answered by the application."""
    assert parse(_head(line), _LIMIT) == Head(5, None)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /v2/models/m/infer HTTP/1.1",
        b"POST /v2/models/m/infer HTTP/1.0",
        b"POST /v2/models/m/config HTTP/1.1",
        b"POST /nothing HTTP/1.1",
        b"POST /v2/models/\xc3\xa4/infer HTTP/1.1",
    ],
)
def test_other_requests_are_the_applications(request_line):
    """Everything that is no inference over HTTP/1.1 is answered by the application."""
    assert parse(_head(request=request_line), _LIMIT) == Head(5, None)


@pytest.mark.parametrize(("length", "taken"), [(b"0", False), (b"1000", True), (b"1001", False)])
def test_the_body_has_bounds(length, taken):
    """A body of exactly the limit is the lane's; empty and larger ones are not."""
    assert (_infer(length=length) is not None) is taken


def test_no_length_is_no_body():
    """Without a Content-Length there is no body, and the application says what is missing."""
    assert parse(_head(length=None), _LIMIT) == Head(0, None)


@pytest.mark.parametrize(
    ("length", "line", "prompt"),
    [
        (b"4096", b"Content-Encoding: gzip", False),
        (b"4096", b"X: y", True),
        (b"4097", b"X: y", False),
        (b"9999", b"Inference-Header-Content-Length: 4096", True),
        (b"9999", b"Inference-Header-Content-Length: 4097", False),
        (b"9999", b"Inference-Header-Content-Length: x", False),
        (b"4096", b"Inference-Header-Content-Length: 9999", True),
        (b"9999", b"Inference-Header-Content-Length: " + b"0" * 20, False),
    ],
)
def test_prompt_requests_have_little_json(length, line, prompt):
    """Requests with up to 4 KiB of JSON are known to be read without a thread."""
    assert parse(_head(line, length=length), 10_000).infer.is_prompt(int(length)) is prompt


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 5",
        b"Content-Length: 6",
        b"Transfer-Encoding: chunked",
        b"A: b\r\n folded",
        b"A: b\r\n\tfolded",
        b"A : b",
        b" A: b",
        b"A: b\nC: d",
        b"A: b\rC: d",
        b"A: \x00",
        b"no colon",
        b": no name",
        b"Host: y",
        b"Host: x",
    ],
)
def test_ambiguous_heads_are_malformed(line):
    """Nobody can make two readers see different requests in the same bytes."""
    with pytest.raises(MalformedHead):
        parse(_head(line), _LIMIT)


@pytest.mark.parametrize("length", [b"", b"+5", b"-1", b"5, 5", b"0x5", b"5 5", b"9" * 30])
def test_a_broken_length_is_malformed(length):
    """A Content-Length is a decimal number and nothing else."""
    with pytest.raises(MalformedHead):
        parse(_head(length=length), _LIMIT)


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
    ],
)
def test_unknown_transfer_codings_are_malformed(line):
    """The end of a body in an unknown coding is not guessed."""
    with pytest.raises(MalformedHead):
        parse(_head(line, length=None), _LIMIT)


def test_chunks_need_http_1_1():
    """Before HTTP/1.1 nobody knew of chunks."""
    with pytest.raises(MalformedHead, match=r"needs HTTP/1\.1"):
        parse(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", _LIMIT)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"NOPE / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\n\nGET / HTTP/1.1\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_malformed(head):
    """Only HTTP/1.0 and 1.1 are spoken."""
    with pytest.raises(MalformedHead):
        parse(head, _LIMIT)


def test_other_protocols_are_not_asked_for_with_a_body():
    """Where a body in front of another protocol ends is not left to chance."""
    line = b"Connection: upgrade\r\nUpgrade: websocket"
    assert parse(_head(line, length=None), _LIMIT) == Head(0, None)
    assert parse(_head(line, length=b"0"), _LIMIT) == Head(0, None)
    assert parse(_head(b"Connection: upgrade\r\nUpgrade: h2c"), _LIMIT) == Head(5, None)
    for length in (b"5", None):
        with pytest.raises(MalformedHead, match="WebSocket"):
            parse(_head(line + (b"" if length else b"\r\n" + _CHUNKED), length=length), _LIMIT)


_CHUNKED = b"Transfer-Encoding: chunked"


def test_a_request_for_all_of_the_server():
    """OPTIONS * is the one request whose target is no path."""
    assert parse(_head(request=b"OPTIONS * HTTP/1.1", length=None), _LIMIT) == Head(0, None)


def test_http_1_0_needs_no_host():
    """Before HTTP/1.1 requests named no host."""
    assert parse(b"GET / HTTP/1.0\r\n\r\n", _LIMIT) == Head(0, None)
