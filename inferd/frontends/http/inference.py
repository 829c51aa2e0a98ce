"""
An inference request over HTTP between its body and its answer.

The application and the fast lane read, run and write requests here, so that a client
cannot tell them apart.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from inferd.dataplane import DataPlane
from inferd.errors import DeadlineExceeded, DecoupledModel, UnsupportedFeature
from inferd.frontends.http import bodies, compression
from inferd.frontends.http.routes import Route
from inferd.protocol import binary_extension, json_codec
from inferd.protocol.infer_json import DecodedRequest, EncodedResponse, decode_request
from inferd.protocol.infer_json_plain import Templates, decode_plain
from inferd.protocol.json_document import parse
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Buffer, Tensor

JOIN_BYTES: Final = 1 << 16
"""Answers up to this long are sent in one piece; copying them costs less than more writes."""

_DECOUPLED: Final = "HTTP end point doesn't support models with decoupled transaction policy"

_OFF_LOOP_ELEMENTS: Final = 1 << 16
"""Responses with more elements than this are turned into JSON in a thread."""

_ELEMENT_BYTES: Final = 8
"""So many bytes of a string are written in about the time of one number."""

_OFF_LOOP_BYTES: Final = 1 << 14
"""Responses longer than this are compressed in a thread."""


class Answer(NamedTuple):
    """
    A response's headers, without its length, and its body in pieces.

    Attributes:
        headers: In the order they are sent.
        pieces: Bytes, or views on what the backend returned.
    """

    headers: dict[str, str]
    pieces: Sequence[Buffer]


class Inference:
    """
    Reads, runs and writes inference requests.

    Args:
        dataplane: What answers them.
        max_input_size: The largest tensor in JSON, in bytes.
    """

    __slots__ = ("_infer", "_max_input_size", "_templates", "signature", "start")

    def __init__(self, dataplane: DataPlane, max_input_size: int) -> None:
        self._infer = dataplane.infer
        self.start = dataplane.start
        self._templates = Templates()
        self.signature = dataplane.signature
        self._max_input_size = max_input_size

    async def decode(self, body: Buffer, json_length: str | None, route: Route) -> DecodedRequest:
        """
        Read a body; long JSON is read in a thread.

        Args:
            body: The body, decompressed.
            json_length: The header that says where the JSON ends, or ``None``.
            route: The model.

        Raises:
            InvalidRequest: The request contradicts itself.
            MalformedDocument: The JSON is broken.
        """
        length = binary_extension.json_length(json_length, len(body))
        view = memoryview(body)
        if length == 0:
            return self._decode_raw(view, route)
        if length > bodies.OFF_LOOP_SIZE:
            return await asyncio.to_thread(self._decode_bytes, view, length, route)
        if length > json_codec.LONG_TEXT:
            decoded = self._decode_quickly(view, length, route)
            if decoded is not None:
                return decoded
        document = await bodies.parse_json(view[:length])
        return self._decode(document, view[length:], route)

    def decode_now(self, body: memoryview, json_length: str | None, route: Route) -> DecodedRequest:
        """Read a body with little JSON at once; raises as :meth:`decode` does."""
        size = len(body)
        length = binary_extension.json_length(json_length, size)
        if length == 0:
            return self._decode_raw(body, route)
        if length == size:
            if size > json_codec.LONG_TEXT:
                decoded = self._decode_quickly(body, size, route)
                if decoded is not None:
                    return decoded
            document = parse(body)
            plain = decode_plain(document, route.name, route.version, self._max_input_size)
            return plain if plain is not None else self._decode(document, body[size:], route)
        header, binary = bytes(body[:length]), body[length:]
        found = self._templates.find(header, binary, route.name, route.version)
        if found is None:
            found = self._decode(parse(header), binary, route)
            self._templates.keep(header, len(binary), found)
        return found

    def _decode_quickly(self, body: memoryview, length: int, route: Route) -> DecodedRequest | None:
        return json_codec.CHOSEN.decode_quickly(
            body[:length],
            body[length:],
            model_name=route.name,
            model_version=route.version,
            max_input_size=self._max_input_size,
        )

    def _decode_bytes(self, body: memoryview, length: int, route: Route) -> DecodedRequest:
        decoded = self._decode_quickly(body, length, route)
        if decoded is not None:
            return decoded
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
        signature = self.signature(route.name, route.version)
        tensor = binary_extension.raw_input(signature, body, self._max_input_size)
        request = InferRequest(route.name, {tensor.name: tensor}, model_version=route.version)
        return DecodedRequest(request, True)

    async def run(self, request: InferRequest) -> InferResponse:
        """Answer a request, or take it back at its deadline, as gRPC does."""
        try:
            if not request.deadline_ns:
                return await self._infer(request)
            left_s = (request.deadline_ns - time.monotonic_ns()) / 1e9
            async with asyncio.timeout(left_s) as clock:
                return await self._infer(request)
        except DecoupledModel:
            raise UnsupportedFeature(_DECOUPLED) from None
        except TimeoutError:
            if request.deadline_ns and clock.expired():
                raise DeadlineExceeded("Deadline Exceeded") from None
            raise


async def encode(response: InferResponse, decoded: DecodedRequest) -> EncodedResponse:
    """Write a response; much JSON is written in a thread."""
    if is_long(response, decoded):
        return await asyncio.to_thread(encode_now, response, decoded)
    return encode_now(response, decoded)


def encode_now(response: InferResponse, decoded: DecodedRequest) -> EncodedResponse:
    """Write a response."""
    return json_codec.CHOSEN.encode_response(
        response, decoded.request.outputs, decoded.binary_output
    )


def is_long(response: InferResponse, decoded: DecodedRequest) -> bool:
    """Whether the JSON of a response is better written in a thread."""
    elements = 0
    for tensor in response.outputs:
        elements += tensor.element_count
        if tensor.datatype == "BYTES":
            elements += _text_bytes(tensor) // _ELEMENT_BYTES
    return elements > _OFF_LOOP_ELEMENTS and not all_binary(decoded)


def _text_bytes(tensor: Tensor) -> int:
    if tensor.has_raw:
        return len(tensor.raw())
    return sum(map(len, tensor.array().ravel().tolist()))


def all_binary(decoded: DecodedRequest) -> bool:
    """Whether every output was asked for behind the JSON."""
    requested = decoded.request.outputs
    if not requested:
        return decoded.binary_output
    return all(output.binary_data for output in requested)


async def answer(encoded: EncodedResponse, encoding: str) -> Answer:
    """Return what is sent, with the body ``"identity"``, ``"gzip"`` or ``"deflate"``."""
    document, blobs = encoded
    headers = {"Content-Type": "application/octet-stream" if blobs else "application/json"}
    if blobs:
        headers[binary_extension.HEADER] = str(len(document))
    pieces: Sequence[Buffer] = (document, *blobs)
    if encoding == "identity":
        return Answer(headers, pieces)
    headers["Content-Encoding"] = encoding
    if sum(map(len, pieces)) <= _OFF_LOOP_BYTES:
        return Answer(headers, (compression.compress(pieces, encoding),))
    return Answer(headers, (await asyncio.to_thread(compression.compress, pieces, encoding),))
