"""
``POST /v2/models/<name>[/versions/<version>]/infer``.

Everything the answer needs is bound when the endpoint is made; per request there is one
pass over the headers that matter, the decoding, the data plane and the encoding.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from multidict import istr

from inferd.dataplane import DataPlane
from inferd.errors import (
    DeadlineExceeded,
    DecoupledModel,
    InvalidRequest,
    MalformedDocument,
    UnsupportedFeature,
)
from inferd.frontends.http import bodies, compression, deadlines, streaming
from inferd.frontends.http.routes import Route
from inferd.protocol import binary_extension
from inferd.protocol.infer_json import (
    DecodedRequest,
    EncodedResponse,
    decode_request,
    encode_response,
)
from inferd.protocol.json_document import parse
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Buffer

_CONTENT_ENCODING: Final = istr("Content-Encoding")
_ACCEPT: Final = istr("Accept")
_ACCEPT_ENCODING: Final = istr("Accept-Encoding")
_JSON_LENGTH: Final = istr(binary_extension.HEADER)

_DECOUPLED: Final = "HTTP end point doesn't support models with decoupled transaction policy"

_OFF_LOOP_ELEMENTS: Final = 1 << 16
"""Responses with more elements than this are turned into JSON in a thread."""

_OFF_LOOP_BYTES: Final = 1 << 14
"""Responses longer than this are compressed in a thread."""

_JOIN_BYTES: Final = 1 << 16
"""Responses up to this long are sent in one piece; copying them costs less than more writes."""


class InferEndpoint:
    """
    Answers inference requests.

    Args:
        dataplane: What answers them.
        max_input_size: The largest body, decompressed body or tensor in JSON, in bytes.
    """

    __slots__ = ("_infer", "_max_input_size", "_signature", "_stream")

    def __init__(self, dataplane: DataPlane, max_input_size: int) -> None:
        self._infer = dataplane.infer
        self._stream = dataplane.stream
        self._signature = dataplane.signature
        self._max_input_size = max_input_size

    async def __call__(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        """Read the request, run it and write its response."""
        try:
            decoded = await self._receive(request, route)
        except (InvalidRequest, MalformedDocument) as error:
            if not isinstance(error, bodies.BodyRefused):
                # An unknown model is reported before anything that is wrong with the body.
                self._signature(route.name, route.version)
            raise
        streamed = streaming.wanted(request.headers.get(_ACCEPT))
        if streamed is not None:
            replies = self._stream(decoded.request)
            deadline_ns = decoded.request.deadline_ns
            return await streaming.respond(request, replies, streamed, deadline_ns)
        try:
            if decoded.request.deadline_ns:
                response = await self._infer_in_time(decoded.request)
            else:
                response = await self._infer(decoded.request)
        except DecoupledModel:
            raise UnsupportedFeature(_DECOUPLED) from None
        encoded = await _encode(response, decoded)
        return await _send(request, encoded)

    async def _infer_in_time(self, request: InferRequest) -> InferResponse:
        """Take the request back at its deadline, as gRPC does."""
        left_s = (request.deadline_ns - time.monotonic_ns()) / 1e9
        try:
            async with asyncio.timeout(left_s) as clock:
                return await self._infer(request)
        except TimeoutError:
            if clock.expired():
                raise DeadlineExceeded("Deadline Exceeded") from None
            raise

    async def _receive(self, request: web.BaseRequest, route: Route) -> DecodedRequest:
        headers = request.headers
        timeout_ms = deadlines.timeout_ms(headers)
        deadline_ns = time.monotonic_ns() + timeout_ms * 1_000_000 if timeout_ms else 0
        compressed = compression.is_compressed(headers.get(_CONTENT_ENCODING))
        body = await bodies.read(request, self._max_input_size)
        if compressed:
            body = await asyncio.to_thread(compression.decompress, body, self._max_input_size)
        received_ns = time.monotonic_ns()
        length = binary_extension.json_length(headers.get(_JSON_LENGTH), len(body))
        if length == 0:
            decoded = self._decode_raw(memoryview(body), route)
        elif length > bodies.OFF_LOOP_SIZE:
            decoded = await asyncio.to_thread(self._decode_bytes, memoryview(body), length, route)
        else:
            view = memoryview(body)
            document = await bodies.parse_json(view[:length])
            decoded = self._decode(document, view[length:], route)
        decoded.request.received_ns = received_ns
        decoded.request.deadline_ns = deadline_ns
        return decoded

    def _decode_bytes(self, body: memoryview, length: int, route: Route) -> DecodedRequest:
        return self._decode(parse(body[:length]), body[length:], route)

    def _decode(self, document: object, binary: memoryview, route: Route) -> DecodedRequest:
        return decode_request(
            document,
            binary,
            model_name=route.name,
            model_version=route.version,
            max_input_size=self._max_input_size,
        )

    def _decode_raw(self, body: memoryview, route: Route) -> DecodedRequest:
        signature = self._signature(route.name, route.version)
        tensor = binary_extension.raw_input(signature, body, self._max_input_size)
        request = InferRequest(route.name, {tensor.name: tensor}, model_version=route.version)
        return DecodedRequest(request, True)


async def _encode(response: InferResponse, decoded: DecodedRequest) -> EncodedResponse:
    arguments = (response, decoded.request.outputs, decoded.binary_output)
    elements = sum(tensor.element_count for tensor in response.outputs)
    if elements > _OFF_LOOP_ELEMENTS and not _all_binary(decoded):
        return await asyncio.to_thread(encode_response, *arguments)
    return encode_response(*arguments)


def _all_binary(decoded: DecodedRequest) -> bool:
    requested = decoded.request.outputs
    if not requested:
        return decoded.binary_output
    return all(output.binary_data for output in requested)


async def _send(request: web.BaseRequest, encoded: EncodedResponse) -> web.StreamResponse:
    document, blobs = encoded
    if blobs:
        headers = {
            "Content-Type": "application/octet-stream",
            binary_extension.HEADER: str(len(document)),
        }
    else:
        headers = {"Content-Type": "application/json"}
    pieces: Sequence[Buffer] = (document, *blobs)
    size = sum(map(len, pieces))
    accepted = request.headers.get(_ACCEPT_ENCODING)
    if accepted is not None:
        encoding = compression.choose(accepted)
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
            return await _compressed(pieces, size, encoding, headers)
    if not blobs:
        return web.Response(body=document, headers=headers)
    if size <= _JOIN_BYTES:
        return web.Response(body=b"".join(pieces), headers=headers)
    headers["Content-Length"] = str(size)
    return await _stream(request, pieces, headers)


async def _compressed(
    pieces: Sequence[Buffer], size: int, encoding: str, headers: dict[str, str]
) -> web.Response:
    if size <= _OFF_LOOP_BYTES:
        return web.Response(body=compression.compress(pieces, encoding), headers=headers)
    body = await asyncio.to_thread(compression.compress, pieces, encoding)
    return web.Response(body=body, headers=headers)


async def _stream(
    request: web.BaseRequest, pieces: Sequence[Buffer], headers: dict[str, str]
) -> web.StreamResponse:
    """Write each piece as it is; none is copied together with another."""
    response = web.StreamResponse(headers=headers)
    try:
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
    except ConnectionError:
        # The client is gone; aiohttp notices when it ends the response.
        pass
    return response
