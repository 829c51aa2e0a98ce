"""Tests of load processes."""

from inferd.cli.benchmark.plan import Level, Plan
from inferd.cli.benchmark.processes import LoadProcesses
from inferd.cli.benchmark.sample import Window

GET = b"GET / HTTP/1.1\r\n\r\n"


async def test_two_processes_share_the_requests(port):
    """All processes together send what was asked, level after level."""
    plan = Plan("http", "127.0.0.1", port, (GET,))
    async with LoadProcesses(2) as processes:
        for requests in (11, 4):
            window = Window(2)
            async for index, sample in processes.run(plan, Level(2, requests=requests)):
                window.add(index, sample)
            assert window.sample.answered == requests


async def test_fewer_requests_in_flight_than_processes(port):
    """A process that would have nothing in flight sends nothing, and none is waited for."""
    plan = Plan("http", "127.0.0.1", port, (GET,))
    async with LoadProcesses(3) as processes:
        found = [item async for item in processes.run(plan, Level(2, requests=9))]
        processes.stop()
        again = [item async for item in processes.run(plan, Level(1, requests=1))]
    assert {index for index, _ in found} == {0, 1}
    assert sum(sample.answered for _, sample in found) == 9
    assert sum(sample.answered for _, sample in again) == 1


async def test_long_requests_reach_the_processes(port):
    """Requests far larger than what a pipe holds are handed over whole."""
    padded = b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"
    plan = Plan("http", "127.0.0.1", port, (padded,) * 200)
    async with LoadProcesses(1) as processes:
        samples = [sample async for _, sample in processes.run(plan, Level(2, requests=10))]
    assert sum(sample.answered for sample in samples) == 10
