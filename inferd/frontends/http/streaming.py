"""
Responses as a stream of documents: server-sent events, or one JSON document per line.

``POST .../infer`` answers so when the client's ``Accept`` header asks for it. That is the
way to decoupled models over HTTP, which Triton's infer endpoint refuses; any other model
answers with one document. Tensors are in the JSON.
"""

import asyncio
import time
from typing import Final

import orjson
from aiohttp import web

from inferd.errors import DeadlineExceeded, InferdError
from inferd.frontends.http.errors import status_of
from inferd.protocol.json_codec import CHOSEN
from inferd.protocol.messages import InferResponse, RequestedOutput
from inferd.scheduling.replies import Reply, ReplySource

_EVENTS: Final = "text/event-stream"
_LINES: Final = "application/x-ndjson"

_OFF_LOOP_ELEMENTS: Final = 1 << 16
"""Responses with more elements than this are turned into JSON in a thread."""


def wanted(accept: str | None) -> str | None:
    """
    Return the content type of the stream an ``Accept`` header asks for, or ``None``.

    The one with the larger weight, events when both have the same; none of weight 0.
    """
    if accept is None or accept == "*/*":
        return None
    weights = dict(map(_weighted, accept.split(",")))
    best = max((_EVENTS, _LINES), key=lambda kind: weights.get(kind, 0.0))
    return best if weights.get(best, 0.0) > 0 else None


def _weighted(part: str) -> tuple[str, float]:
    """Return a media type of an ``Accept`` header, and its weight; 1 if that is no number."""
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return kind, float(quality)
    except ValueError:
        return kind, 1.0


async def respond(
    request: web.BaseRequest, replies: ReplySource, content_type: str, deadline_ns: int = 0
) -> web.StreamResponse:
    """
    Write replies as they come; the status is that of the first one.

    At the deadline, monotonic, an error is the last of them; 0 is none.

    A client that is gone, or reads slowly, is felt by the model: nothing is taken from it
    before the document in front was sent.
    """
    try:
        reply = await _next(replies, deadline_ns)
        response = _start(reply, content_type)
        await response.prepare(request)
        while True:
            document = await _document(reply)
            if document is not None:
                await response.write(_framed(document, content_type))
            if reply.final:
                break
            reply = await _next(replies, deadline_ns)
        await response.write_eof()
    except ConnectionError:
        # The client is gone; closing the replies takes the request back.
        pass
    finally:
        replies.close()
    return response


async def _next(replies: ReplySource, deadline_ns: int) -> Reply:
    if not deadline_ns:
        return await replies.receive()
    try:
        async with asyncio.timeout((deadline_ns - time.monotonic_ns()) / 1e9) as clock:
            return await replies.receive()
    except TimeoutError:
        if clock.expired():
            return Reply(DeadlineExceeded("Deadline Exceeded"), final=True)
        raise


def _start(reply: Reply, content_type: str) -> web.StreamResponse:
    status = status_of(reply.answer) if isinstance(reply.answer, InferdError) else 200
    headers = {"Content-Type": f"{content_type}; charset=utf-8", "Cache-Control": "no-cache"}
    return web.StreamResponse(status=status, headers=headers)


async def _document(reply: Reply) -> bytes | None:
    """Return a reply as JSON; the mere end is told by the end of the stream."""
    answer = reply.answer
    if answer is None:
        return None
    if isinstance(answer, InferdError):
        return orjson.dumps({"error": answer.message})
    if sum(tensor.element_count for tensor in answer.outputs) > _OFF_LOOP_ELEMENTS:
        return await asyncio.to_thread(_encode, answer)
    return _encode(answer)


def _encode(response: InferResponse) -> bytes:
    none: tuple[RequestedOutput, ...] = ()
    try:
        return CHOSEN.encode_response(response, none, binary_output=False).document
    except InferdError as error:
        return orjson.dumps({"error": error.message})


def _framed(document: bytes, content_type: str) -> bytes:
    return b"data: " + document + b"\n\n" if content_type == _EVENTS else document + b"\n"
