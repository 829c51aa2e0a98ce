"""Tests of the load of one process, against a server in the same loop."""

import pytest

from inferd.cli.benchmark.load import RunningLoad
from inferd.cli.benchmark.plan import Level, Plan

GET = b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    "level",
    [
        Level(1, requests=20),
        Level(3, requests=20),
        Level(rate=2000.0, requests=20),
        Level(rate=2000.0, poisson=True, requests=20),
    ],
)
async def test_every_request_is_finished_once(port, level):
    """A number of requests is sent, each answered, in flight or at a rate."""
    load = RunningLoad(Plan("http", "127.0.0.1", port, (GET,), connections=4), level)
    await load.start()
    await load.finished.wait()
    sample = load.take()
    load.close()
    assert (sample.answered, sample.failed, sample.responses) == (20, 0, 20)
    assert load.take().answered == 0


async def test_refused_requests_are_counted_with_their_message(port):
    """A request that fails does not stop the others."""
    bad = b"GET /no HTTP/1.1\r\n\r\n"
    load = RunningLoad(Plan("http", "127.0.0.1", port, (GET, bad)), Level(1, requests=10))
    await load.start()
    await load.finished.wait()
    sample = load.take()
    load.close()
    assert (sample.answered, sample.failures) == (5, {"HTTP status 400: {}": 5})


async def test_stopped_load_ends(port):
    """A load without a number ends when it is stopped."""
    load = RunningLoad(Plan("http", "127.0.0.1", port, (GET,)), Level(2))
    await load.start()
    load.stop()
    await load.finished.wait()
    load.close()
    assert load.take().answered >= 2
