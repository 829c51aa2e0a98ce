"""Tests of measuring levels, with one load process and a server in the same loop."""

import pytest

from inferd.cli.benchmark.measure import Measurement
from inferd.cli.benchmark.options import Measuring
from inferd.cli.benchmark.plan import Level, Plan
from inferd.cli.benchmark.processes import LoadProcesses
from inferd.cli.benchmark.search import linear
from inferd.cli.benchmark.target import Target
from inferd.cli.clients.client import ClientError

GET = b"GET %s HTTP/1.1\r\n\r\n"


class NoStatistics:
    """A server without statistics."""

    async def model_statistics(self, name, version):
        """Refuse."""
        raise ClientError("no")


def target(port, path=b"/", name="box:1"):
    """Return a server to load."""
    return Target(name, NoStatistics(), Plan("http", "127.0.0.1", port, (GET % path,)), "m", "")


def measuring(**changes):
    """Return how to measure: short windows, unless changed."""
    values = {"interval_ns": 1_000_000, "requests": 0, "warmup": 0, "stability": 1000.0}
    values |= {"percentile": None, "trials": 4, "threshold_ns": 0.0, "rounds": 2} | changes
    return Measuring(**values)


async def measured(run, **changes):
    """Run a measurement and return its results."""
    async with LoadProcesses(1) as processes:
        measurement = Measurement(processes, measuring(**changes), lambda *_: None)
        await run(measurement)
    return measurement.results


async def test_windows_until_stable(port):
    """Three windows within the percentage end a level."""
    (result,) = await measured(lambda it: it.sweep(target(port), linear([Level(1)])))
    assert (result.stable, len(result.windows)) == (True, 3)


async def test_threshold_ends_the_levels(port):
    """The first level above the latency threshold is the last."""
    levels = [Level(1), Level(2)]
    results = await measured(
        lambda it: it.sweep(target(port), linear(levels)), requests=5, warmup=3, threshold_ns=1.0
    )
    assert [(result.level, result.sample.answered) for result in results] == [(Level(1), 5)]
    assert not results[0].meets


async def test_compare_takes_turns(port):
    """Two servers are measured one after the other, as often as there are rounds."""
    targets = [target(port, name=name) for name in ("a", "b")]
    results = await measured(lambda it: it.compare(targets, [Level(1)]))
    assert [result.target.name for result in results] == ["a", "b", "a", "b"]
    assert all(result.sample.answered for result in results)


@pytest.mark.parametrize("requests", [0, 3])
async def test_nothing_but_failures(port, requests):
    """A run in which everything fails ends with the server's message."""
    with pytest.raises(ClientError, match="requests failed"):
        await measured(
            lambda it: it.sweep(target(port, b"/no"), linear([Level(1)])), requests=requests
        )
