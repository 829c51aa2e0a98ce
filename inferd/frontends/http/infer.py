"""
``POST /v2/models/<name>[/versions/<version>]/infer``.

Everything the answer needs is bound when the endpoint is made; per request there is one
pass over the headers that matter, the decoding, the data plane and the encoding.
"""

import time
from typing import Final

from aiohttp import web
from multidict import istr

from inferd.dataplane import DataPlane
from inferd.errors import InvalidRequest, MalformedDocument
from inferd.frontends.http import bodies, compression, deadlines, inference, streaming
from inferd.frontends.http.inference import Answer, Inference
from inferd.frontends.http.routes import Route
from inferd.listening.byte_ledger import LARGE_BYTES, ByteLedger, Claim
from inferd.protocol import binary_extension
from inferd.protocol.infer_json import DecodedRequest

_CONTENT_ENCODING: Final = istr("Content-Encoding")
_ACCEPT: Final = istr("Accept")
_ACCEPT_ENCODING: Final = istr("Accept-Encoding")
_JSON_LENGTH: Final = istr(binary_extension.HEADER)


class InferEndpoint:
    """
    Answers inference requests.

    Args:
        dataplane: What answers them.
        max_input_size: The largest body, decompressed body or tensor in JSON, in bytes.
        ledger: Knows which large requests there is room for; ``None`` takes all.
    """

    __slots__ = ("_inference", "_ledger", "_max_input_size", "_stream")

    def __init__(
        self, dataplane: DataPlane, max_input_size: int, ledger: ByteLedger | None = None
    ) -> None:
        self._ledger = ledger
        self._inference = Inference(dataplane, max_input_size)
        self._stream = dataplane.stream
        self._max_input_size = max_input_size

    async def __call__(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        """Read the request, run it and write its response."""
        if self._ledger is None or _is_small(request):
            return await self._answer(request, route, None)
        claim = Claim(self._ledger)
        try:
            return await self._answer(request, route, claim)
        finally:
            claim.release()

    async def _answer(
        self, request: web.BaseRequest, route: Route, claim: Claim | None
    ) -> web.StreamResponse:
        try:
            decoded = await self._receive(request, route, claim)
        except (InvalidRequest, MalformedDocument) as error:
            if not isinstance(error, bodies.BodyRefused):
                # An unknown model is reported before anything that is wrong with the body.
                self._inference.signature(route.name, route.version)
            raise
        streamed = streaming.wanted(request.headers.get(_ACCEPT))
        if streamed is not None:
            replies = self._stream(decoded.request)
            deadline_ns = decoded.request.deadline_ns
            return await streaming.respond(request, replies, streamed, deadline_ns)
        response = await self._inference.run(decoded.request)
        encoded = await inference.encode(response, decoded)
        accepted = request.headers.get(_ACCEPT_ENCODING)
        encoding = "identity" if accepted is None else compression.choose(accepted)
        return await _send(request, await inference.answer(encoded, encoding))

    async def _receive(
        self, request: web.BaseRequest, route: Route, claim: Claim | None
    ) -> DecodedRequest:
        headers = request.headers
        timeout_ms = deadlines.timeout_ms(headers)
        deadline_ns = time.monotonic_ns() + timeout_ms * 1_000_000 if timeout_ms else 0
        compressed = compression.is_compressed(headers.get(_CONTENT_ENCODING))
        body = await bodies.read(request, self._max_input_size, claim)
        if compressed:
            body = await bodies.decompress(body, self._max_input_size)
            if claim is not None:
                claim.grow(len(body))
        received_ns = time.monotonic_ns()
        decoded = await self._inference.decode(body, headers.get(_JSON_LENGTH), route)
        decoded.request.received_ns = received_ns
        decoded.request.deadline_ns = deadline_ns
        return decoded


def _is_small(request: web.BaseRequest) -> bool:
    """Whether a body is short, and stays so."""
    length = request.content_length
    return length is not None and length <= LARGE_BYTES and _CONTENT_ENCODING not in request.headers


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    headers, pieces = answer
    if len(pieces) == 1:
        return web.Response(body=pieces[0], headers=headers)
    size = sum(map(len, pieces))
    if size <= inference.JOIN_BYTES:
        return web.Response(body=b"".join(pieces), headers=headers)
    headers["Content-Length"] = str(size)
    return await _stream(request, answer)


async def _stream(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Write each piece as it is; none is copied together with another."""
    response = web.StreamResponse(headers=answer.headers)
    try:
        await response.prepare(request)
        for piece in answer.pieces:
            await response.write(piece)
    except ConnectionError:
        # The client is gone; aiohttp notices when it ends the response.
        pass
    return response
