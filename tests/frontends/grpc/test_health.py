"""The standard health service."""

import pytest
from grpclib.client import UnaryStreamMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from inferd.errors import BackendError

UNKNOWN, SERVING, NOT_SERVING = 0, 1, 2


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService", "nobody.Knows"])
async def test_serving_follows_readiness(client, dataplane, service):
    """Whatever service is asked for, the answer is whether the server is ready."""
    assert await client.health(service) == SERVING
    dataplane.ready = False
    assert await client.health(service) == NOT_SERVING


async def test_unknown_when_readiness_cannot_be_told(client, dataplane):
    """An error of the readiness check itself is UNKNOWN, not a failed call."""
    dataplane.ready = BackendError("no idea")
    assert await client.health() == UNKNOWN


async def test_watch_is_not_implemented(client):
    """Watch is UNIMPLEMENTED, as in Triton."""
    messages = client.messages
    method = UnaryStreamMethod(
        client.channel,
        "/grpc.health.v1.Health/Watch",
        messages.HealthCheckRequest,
        messages.HealthCheckResponse,
    )
    with pytest.raises(GRPCError) as caught:
        await method(messages.HealthCheckRequest())
    assert caught.value.status is Status.UNIMPLEMENTED
    assert caught.value.message == "Watch is not implemented by this server"
