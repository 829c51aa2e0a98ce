"""Tests of the statistics of a server under load."""

from inferd._generated.inference import ModelStatistics
from inferd.cli.benchmark.plan import Plan
from inferd.cli.benchmark.target import Target
from inferd.cli.clients.client import ClientError


class Asked:
    """Answers with statistics, or refuses."""

    def __init__(self, answer):
        self.answer = answer

    async def model_statistics(self, name, version):
        """Answer."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_server_without_statistics():
    """A server that has no statistics can be loaded all the same."""
    plan = Plan("http", "box", 1, ())
    known = Target("box:1", Asked([ModelStatistics(inference_count=3)]), plan, "m", "")
    unknown = Target("box:1", Asked(ClientError("no")), plan, "m", "")
    assert (await known.statistics()).inferences == 3
    assert await unknown.statistics() is None
