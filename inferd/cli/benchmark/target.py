"""One server under load: what its model takes, the requests for it, its statistics."""

from dataclasses import dataclass

from inferd.cli.benchmark import server_side
from inferd.cli.benchmark.plan import Plan
from inferd.cli.benchmark.server_side import ServerSide
from inferd.cli.clients.client import Client, ClientError


@dataclass(frozen=True, slots=True)
class Target:
    """
    A server under load.

    Attributes:
        name: What reports call it.
        client: Asks it for statistics.
        plan: What the load processes are told.
        model: The model.
        version: Its version; empty for the latest.
        batch: Rows per request.
    """

    name: str
    client: Client
    plan: Plan
    model: str
    version: str
    batch: int = 1

    async def statistics(self) -> ServerSide | None:
        """Return the model's statistics; ``None`` where the server has none."""
        try:
            models = await self.client.model_statistics(self.model, self.version)
        except ClientError:
            return None
        return server_side.read(models)
