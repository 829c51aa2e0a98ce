"""Tests of the command line's gRPC client."""

import pytest

from inferd._generated.inference import (
    InferParameter,
    ModelInferResponse,
    ModelInferResponseInferOutputTensor,
)
from inferd.cli.clients.client import ClientError
from inferd.cli.clients.grpc import GrpcClient, decode_response


def test_response_parameters():
    """Response parameters of every type are read."""
    message = ModelInferResponse(
        model_name="m",
        parameters={
            "b": InferParameter(bool_param=True),
            "i": InferParameter(int64_param=-1),
            "s": InferParameter(string_param="x"),
            "d": InferParameter(double_param=0.5),
            "u": InferParameter(uint64_param=2**63),
            "empty": InferParameter(),
        },
    )
    assert decode_response(message).parameters == {
        "b": True,
        "i": -1,
        "s": "x",
        "d": 0.5,
        "u": 2**63,
        "empty": "",
    }


def test_response_without_raw_contents():
    """A response whose outputs have no raw contents is an error."""
    message = ModelInferResponse(outputs=[ModelInferResponseInferOutputTensor(name="Y")])
    with pytest.raises(ClientError):
        decode_response(message)


async def test_an_http_port_is_no_grpc_server(server):
    """Speaking gRPC to an HTTP port is an error that names the address."""
    async with GrpcClient("localhost", server.http_port) as client:
        with pytest.raises(ClientError, match=str(server.http_port)):
            await client.repository_index()


async def test_unreachable_server_in_a_stream(unused_tcp_port):
    """A stream to a server that is not there is an error that names the address."""
    async with GrpcClient("localhost", unused_tcp_port) as client:
        with pytest.raises(ClientError, match=str(unused_tcp_port)):
            _ = [response async for response in client.infer_stream([])]
