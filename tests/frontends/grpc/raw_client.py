"""An HTTP/2 client that can be rude, and gRPC as it looks from there."""

import asyncio

from grpclib.const import Status
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

from tests.frontends.grpc.stub_client import SERVICE

INFER = SERVICE + "ModelInfer"
STREAM = SERVICE + "ModelStreamInfer"


class RawClient:
    """
    An HTTP/2 client that can be rude.

    Attributes:
        h2: Its side of the connection; what it wants to send leaves with :meth:`send`.
        events: Everything the server sent.
    """

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self.h2 = H2Connection(
            H2Configuration(
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.h2.initiate_connection()
        self.events = []

    @classmethod
    async def connect(cls, port):
        """Connect and greet."""
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        await client.send()
        return client

    async def send(self, data=b""):
        """Send what h2 has to send, and then these bytes."""
        self._writer.write(self.h2.data_to_send() + data)
        await self._writer.drain()

    def open(self, path=INFER, extra=(), **replaced):
        """Open a stream for a call and return its id; a header set to ``None`` is left out."""
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
            "te": "trailers",
            "content-type": "application/grpc",
            **{key.replace("_", ":", 1): value for key, value in replaced.items()},
        }
        stream_id = self.h2.get_next_available_stream_id()
        kept = [(key, value) for key, value in headers.items() if value is not None]
        self.h2.send_headers(stream_id, [*kept, *extra])
        return stream_id

    async def send_data(self, stream_id, data):
        """Send a whole request body, as much at a time as the server allows, and half-close."""
        while data:
            room = min(
                self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size
            )
            if room:
                self.h2.send_data(stream_id, data[:room])
                data = data[room:]
                await self.send()
            else:
                await self.read()
        self.h2.end_stream(stream_id)
        await self.send()

    async def read(self):
        """Take the server's next bytes; ``False`` when it has closed the connection."""
        try:
            data = await self._reader.read(65536)
            self.events += self.h2.receive_data(data) if data else []
            await self.send()
        except ConnectionError:
            return False
        return bool(data)

    async def outcome(self, stream_id):
        """Read until the stream ends; return its last headers, or the error code of its reset."""
        while True:
            headers = None
            for event in self.events:
                if getattr(event, "stream_id", None) != stream_id:
                    continue
                if isinstance(event, (ResponseReceived, TrailersReceived)):
                    headers = dict(event.headers)
                if isinstance(event, StreamEnded):
                    return headers
                if isinstance(event, StreamReset) and headers is None:
                    return event.error_code
            if not await self.read():
                raise EOFError

    async def until_stalled(self, stream_id):
        """Wait for the first byte of an answer that is too large to be read at once."""
        while not self.body(stream_id):
            await self.read()

    def body(self, stream_id):
        """Return the bytes of the response so far."""
        received = (event for event in self.events if isinstance(event, DataReceived))
        return b"".join(event.data for event in received if event.stream_id == stream_id)

    def close(self):
        """Hang up."""
        self._writer.close()


def framed(body):
    """Put gRPC's prefix before the bytes of a message."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def status_of(trailers):
    """Return status and message of trailers."""
    return Status(int(trailers["grpc-status"])), trailers.get("grpc-message", "")


async def start_call(raw, client, model="held", path=INFER, *, end=True, **headers):
    """Send a request and return its stream."""
    stream_id = raw.open(path, **headers)
    body = client.request(model).SerializeToString()
    raw.h2.send_data(stream_id, framed(body), end_stream=end)
    await raw.send()
    return stream_id
