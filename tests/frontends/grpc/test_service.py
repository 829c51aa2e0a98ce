"""What a client gets from each RPC."""

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError


async def test_answers_an_inference(client):
    """ModelInfer returns the outputs raw, with the model, its version and the request's id."""
    reply = await client.infer("echo", id="a", data=b"12345678")
    assert (reply.model_name, reply.model_version, reply.id) == ("echo", "1", "a")
    assert (reply.outputs[0].name, reply.outputs[0].datatype, reply.outputs[0].shape[:]) == (
        "IN",
        "INT32",
        [2],
    )
    assert list(reply.raw_output_contents) == [b"12345678"]
