"""
The standard health service, ``grpc.health.v1.Health``.

As in Triton the service name asked for is ignored and ``Watch`` is not implemented.
"""

from inferd._generated.grpc.health.v1 import (
    HealthBase,
    HealthCheckRequest,
    HealthCheckResponse,
    HealthCheckResponseServingStatus,
)
from inferd.dataplane import DataPlane
from inferd.errors import InferdError


class HealthService(HealthBase):
    """
    Answers health probes.

    Args:
        dataplane: Knows whether the server is ready.
    """

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    async def check(self, message: HealthCheckRequest) -> HealthCheckResponse:
        """Say ``SERVING`` when the server is ready."""
        try:
            ready = self._dataplane.is_ready()
        except InferdError:
            return HealthCheckResponse(status=HealthCheckResponseServingStatus.UNKNOWN)
        status = HealthCheckResponseServingStatus
        return HealthCheckResponse(status=status.SERVING if ready else status.NOT_SERVING)
