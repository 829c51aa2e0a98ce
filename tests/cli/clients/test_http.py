"""Tests of the command line's HTTP client."""

import numpy as np
import pytest
from aiohttp import web

from inferd.cli.clients.client import ClientError
from inferd.cli.clients.http import HttpClient, decode_response
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor


@pytest.fixture
async def answering():
    """Return a function that makes a client of a server which always answers the same."""
    runners, clients = [], []

    async def start(status, body, headers=None):
        async def handler(request):
            await request.read()
            return web.Response(status=status, body=body, headers=headers)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        runners.append(web.AppRunner(application, shutdown_timeout=0))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "localhost", 0).start()
        clients.append(HttpClient(f"http://localhost:{runners[-1].addresses[0][1]}"))
        return clients[-1]

    yield start
    for client in clients:
        await client.close()
    for runner in runners:
        await runner.cleanup()


REQUEST = InferRequest("m", {"X": Tensor("X", "INT32", [1], array=np.array([1], np.int32))})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":"no such thing"}', "no such thing"),
        (b"<html>Bad Gateway</html>", "HTTP status 502: <html>Bad Gateway</html>"),
        (b"", "HTTP status 502: "),
        (b'["error"]', 'HTTP status 502: ["error"]'),
    ],
)
async def test_error_text(answering, body, text):
    """The server's error text is shown; an answer without one is shown as it came."""
    client = await answering(502, body)
    with pytest.raises(ClientError) as raised:
        await client.infer(REQUEST)
    assert str(raised.value) == text


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"outputs":[{}]}', b'{"outputs":1}'])
async def test_success_that_makes_no_sense(answering, body):
    """A success status with a body that is no response is an error, not a crash."""
    client = await answering(200, body)
    with pytest.raises(ClientError):
        await client.infer(REQUEST)


async def test_unexpected_documents(answering):
    """Metadata and index of the wrong form are errors too."""
    client = await answering(200, b"[1]")
    with pytest.raises(ClientError):
        await client.model_metadata("m")
    with pytest.raises(ClientError):
        await client.repository_index()


async def test_fields_of_newer_servers_are_ignored(answering):
    """A config with fields this version does not know is still read."""
    client = await answering(200, b'{"name":"m","max_batch_size":4,"brand_new":{"x":1}}')
    assert (await client.model_config("m")).max_batch_size == 4


def test_output_without_binary_data():
    """An output that did not come as binary data is named."""
    document = {
        "model_name": "m",
        "model_version": "1",
        "outputs": [{"name": "Y", "datatype": "INT32", "shape": [1], "data": [1]}],
    }
    with pytest.raises(ClientError, match="'Y'"):
        decode_response(document, memoryview(b""))


async def test_a_grpc_port_is_no_http_server(server):
    """Speaking HTTP to a gRPC port is an error that names the address."""
    async with HttpClient(f"http://localhost:{server.grpc_port}") as client:
        with pytest.raises(ClientError, match=str(server.grpc_port)):
            await client.repository_index()
