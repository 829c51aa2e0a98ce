"""Responses as server-sent events or as one JSON document per line."""

import asyncio
import json

import numpy as np
import pytest

from inferd.errors import BackendError, InvalidRequest, QueueFull
from inferd.frontends.http import streaming
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor
from inferd.scheduling.replies import Reply

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"
URL = "/v2/models/echo/infer"
BODY = {"inputs": [{"name": "IN", "datatype": "FP32", "shape": [1], "data": [1]}]}
BODY_BYTES = json.dumps(BODY).encode()


def post(accept):
    """Return the bytes of a request."""
    head = f"POST {URL} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n"
    return f"{head}Content-Length: {len(BODY_BYTES)}\r\n\r\n".encode() + BODY_BYTES


def response(*values, **more):
    """Return a response with one output."""
    array = np.array(values, np.float32)
    return InferResponse("echo", "1", [Tensor("OUT", "FP32", array.shape, array=array)], **more)


def document(*values):
    """Return the document of :func:`response`."""
    output = {"name": "OUT", "datatype": "FP32", "shape": [len(values)], "data": list(values)}
    return {"model_name": "echo", "model_version": "1", "outputs": [output]}


def events(body):
    """Return the documents of a stream of events."""
    *parts, rest = body.decode().split("\n\n")
    assert rest == ""
    assert all(part.startswith("data: ") for part in parts)
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def lines(body):
    """Return the documents of a stream of lines."""
    *parts, rest = body.decode().split("\n")
    assert rest == ""
    return [json.loads(part) for part in parts]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, None),
        ("", None),
        ("*/*", None),
        ("text/*", None),
        ("application/json", None),
        (EVENTS, EVENTS),
        (LINES, LINES),
        ("Text/Event-Stream", EVENTS),
        (f"{EVENTS}; charset=utf-8", EVENTS),
        (f"application/json, {LINES};q=0.1", LINES),
        (f"{LINES}, {EVENTS}", EVENTS),
        (f"{LINES};q=0.8,{EVENTS};q=0.5", LINES),
        (f"{LINES};Q=0.5,{EVENTS};q=0.8", EVENTS),
        (f"{EVENTS};q=0", None),
        (f"{EVENTS};q=0.0, {LINES} ; q=0.001", LINES),
        (f"{EVENTS};q=much", EVENTS),
        (f"{EVENTS}x", None),
    ],
)
def test_what_an_accept_header_asks_for(accept, expected):
    """Case, parameters and weights are those of HTTP; wildcards ask for no stream."""
    assert streaming.wanted(accept) == expected


@pytest.mark.parametrize(("accept", "read"), [(EVENTS, events), (LINES, lines)])
async def test_each_response_is_a_document(http, stream_replies, accept, read):
    """In order, and the mere end is the end of the body."""
    source = stream_replies(
        Reply(response(1), final=False), Reply(response(2, 3), final=False), Reply(None, final=True)
    )
    async with http.post(URL, json=BODY, headers={"Accept": accept}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == f"{accept}; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert read(await answer.read()) == [document(1), document(2, 3)]
    assert source.closed.is_set()


async def test_a_document_is_sent_when_it_is_made(http, stream_replies):
    """The client need not wait for the next one."""
    source = stream_replies(Reply(response(1), final=False))
    async with http.post(URL, json=BODY, headers={"Accept": LINES}) as answer:
        assert lines(await answer.content.readline()) == [document(1)]
        source.put(Reply(response(2, id="x"), final=True))
        assert json.loads(await answer.content.readline())["id"] == "x"
        assert await answer.content.read() == b""


@pytest.mark.parametrize(("accept", "read"), [(EVENTS, events), (LINES, lines)])
async def test_a_model_that_does_not_respond_has_an_empty_body(http, stream_replies, accept, read):
    """And status 200."""
    stream_replies(Reply(None, final=True))
    async with http.post(URL, json=BODY, headers={"Accept": accept}) as answer:
        assert answer.status == 200
        assert read(await answer.read()) == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BackendError("no"), 500),
        (InvalidRequest("no"), 400),
        (QueueFull("no"), 503),
    ],
)
async def test_an_error_that_comes_first_is_the_status(http, stream_replies, error, status):
    """With the same text as an event."""
    source = stream_replies(Reply(error, final=True))
    async with http.post(URL, json=BODY, headers={"Accept": EVENTS}) as answer:
        assert answer.status == status
        assert events(await answer.read()) == [{"error": "no"}]
    assert source.closed.is_set()


@pytest.mark.parametrize("final", [False, True])
async def test_a_later_error_is_an_event(http, stream_replies, final):
    """The status was sent before."""
    replies = [Reply(response(1), final=False), Reply(BackendError("no"), final)]
    more = [] if final else [Reply(response(2), final=True)]
    stream_replies(*replies, *more)
    async with http.post(URL, json=BODY, headers={"Accept": EVENTS}) as answer:
        assert answer.status == 200
        found = events(await answer.read())
    assert found == [document(1), {"error": "no"}, *([] if final else [document(2)])]


async def test_an_unknown_model_is_not_found(http):
    """As without a stream."""
    async with http.post("/v2/models/no/infer", json=BODY, headers={"Accept": EVENTS}) as answer:
        assert answer.status == 404
        assert "is not found" in (await answer.json())["error"]


async def test_any_other_model_answers_with_one_document(http):
    """Its one response."""
    async with http.post(URL, json=BODY, headers={"Accept": EVENTS}) as answer:
        (found,) = events(await answer.read())
    assert found["outputs"] == BODY["inputs"]


async def test_an_error_of_any_other_model_is_the_status(http, dataplane):
    """As for a decoupled model's first reply."""
    dataplane.failure = BackendError("no")
    async with http.post(URL, json=BODY, headers={"Accept": EVENTS}) as answer:
        assert answer.status == 500
        assert events(await answer.read()) == [{"error": "no"}]


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": f"{EVENTS};q=0"}])
async def test_a_decoupled_model_needs_a_stream(http, stream_replies, headers):
    """The text is Triton's."""
    stream_replies()
    async with http.post(URL, json=BODY, headers=headers) as answer:
        assert answer.status == 501
        assert (await answer.json())["error"] == (
            "HTTP end point doesn't support models with decoupled transaction policy"
        )


async def test_outputs_are_json_whatever_was_asked_for(http, stream_replies):
    """Events have no place for bytes."""
    asked = {
        **BODY,
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "OUT", "parameters": {"binary_data": True}}],
    }
    stream_replies(Reply(response(1), final=True))
    async with http.post(URL, json=asked, headers={"Accept": EVENTS}) as answer:
        assert "Inference-Header-Content-Length" not in answer.headers
        assert events(await answer.read()) == [document(1)]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, deflate;q=0.5", "br"])
async def test_streams_are_not_compressed(http, stream_replies, encoding):
    """Each document can be read when it comes."""
    stream_replies(Reply(response(1), final=True))
    headers = {"Accept": EVENTS, "Accept-Encoding": encoding}
    async with http.post(URL, json=BODY, headers=headers) as answer:
        assert "Content-Encoding" not in answer.headers
        assert events(await answer.read()) == [document(1)]


async def test_a_response_that_cannot_be_json_is_an_event_that_says_so(http, stream_replies):
    """Those around it are sent."""
    array = np.zeros(1, np.float16)
    bad = InferResponse("echo", "1", [Tensor("OUT", "FP16", array.shape, array=array)])
    stream_replies(
        Reply(response(1), final=False), Reply(bad, final=False), Reply(response(2), final=True)
    )
    async with http.post(URL, json=BODY, headers={"Accept": EVENTS}) as answer:
        first, failed, last = events(await answer.read())
    assert (first, last) == (document(1), document(2))
    assert list(failed) == ["error"]


async def test_a_large_response_is_one_document(http, stream_replies):
    """It is turned into JSON beside the event loop."""
    values = [float(n) for n in range((1 << 16) + 1)]
    stream_replies(Reply(response(*values), final=True))
    async with http.post(URL, json=BODY, headers={"Accept": LINES}) as answer:
        (found,) = lines(await answer.read())
    assert found["outputs"][0]["data"] == values


async def test_a_client_that_leaves_closes_the_source(connect, stream_replies):
    """Although the model sends nothing at that time."""
    source = stream_replies(Reply(response(1), final=False))
    async with connect() as connection:
        connection.send(post(EVENTS))
        await connection.reader.readuntil(b"data: ")
        assert not source.closed.is_set()
    async with asyncio.timeout(10):
        await source.closed.wait()


async def test_a_client_that_reads_slowly_is_felt(connect, stream_replies):
    """Nothing is taken from the model ahead of what can be written."""
    values = np.zeros(50_000, np.float32)
    reply = Reply(
        InferResponse("echo", "1", [Tensor("OUT", "FP32", values.shape, array=values)]), final=False
    )
    source = stream_replies(*[reply] * 500)
    async with connect() as connection:
        connection.send(post(EVENTS))
        await connection.reader.readuntil(b"data: ")
        taken = -1
        async with asyncio.timeout(20):
            while taken != source.taken:
                taken = source.taken
                for _ in range(1000):
                    await asyncio.sleep(0)
        assert 0 < source.taken < 500
    async with asyncio.timeout(10):
        await source.closed.wait()


async def test_a_deadline_ends_a_stream(http, stream_replies):
    """With an error after the responses there were; the request is taken back."""
    source = stream_replies(Reply(response(1), final=False))
    headers = {"Accept": EVENTS, "inferd-timeout-ms": "100"}
    async with http.post(URL, json=BODY, headers=headers) as answer:
        assert answer.status == 200
        assert events(await answer.read()) == [document(1), {"error": "Deadline Exceeded"}]
    assert source.closed.is_set()


async def test_a_deadline_before_the_first_response_is_the_status(http, dataplane):
    """Also of a model with one response."""
    dataplane.gate = asyncio.Event()
    headers = {"Accept": EVENTS, "inferd-timeout-ms": "20"}
    async with http.post(URL, json=BODY, headers=headers) as answer:
        assert answer.status == 504
        assert events(await answer.read()) == [{"error": "Deadline Exceeded"}]
    assert dataplane.cancelled.is_set()


async def test_a_deadline_that_is_met_changes_nothing(http, stream_replies):
    """All responses come."""
    stream_replies(Reply(response(1), final=True))
    headers = {"Accept": EVENTS, "inferd-timeout-ms": "60000"}
    async with http.post(URL, json=BODY, headers=headers) as answer:
        assert events(await answer.read()) == [document(1)]


async def test_the_connection_can_be_used_again(connect, stream_replies):
    """A stream that ends well ends the response only."""
    async with connect() as connection:
        for number in range(2):
            stream_replies(Reply(response(number), final=True))
            connection.send(post(LINES))
            head = await connection.reader.readuntil(b"\r\n\r\n")
            assert b"Transfer-Encoding: chunked" in head
            body = await connection.reader.readuntil(b"0\r\n\r\n")
            assert json.loads(body.split(b"\r\n")[1]) == document(number)
