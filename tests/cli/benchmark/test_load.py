"""Tests of the load of one process, against a server in the same loop."""

import pytest

from inferd.cli.benchmark.load import RunningLoad
from inferd.cli.benchmark.plan import Level, Plan, SequencePlan
from inferd.cli.benchmark.templates import HttpTemplate

GET = b"GET / HTTP/1.1\r\n\r\n"


def sequences(path="/", **fields):
    """Return sequences of requests that tell their place in a header."""
    template = HttpTemplate(f"GET {path} HTTP/1.1\r\nX: ".encode(), b"\r\n\r\n")
    return SequencePlan(((template,),), length=3, **fields)


@pytest.mark.parametrize(
    "level",
    [
        Level(1, requests=20),
        Level(3, requests=20),
        Level(rate=2000.0, requests=20),
        Level(rate=2000.0, poisson=True, requests=20),
        Level(rate=2000.0, intervals=(100_000, 900_000), requests=20),
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


@pytest.mark.parametrize("level", [Level(2, requests=7), Level(rate=2000.0, requests=7)])
async def test_sequences_are_ended_after_what_counts(port, heads, level):
    """The requests that end interrupted sequences are sent, but not counted."""
    plan = Plan("http", "127.0.0.1", port, (), connections=4, sequences=sequences(live=2))
    load = RunningLoad(plan, level)
    await load.start()
    await load.finished.wait()
    first, second = load.take(), load.take()
    load.close()
    starts, ends = (
        sum(f'"sequence_{what}":true'.encode() in head for head in heads)
        for what in ("start", "end")
    )
    assert (first.answered, first.failed, second.answered) == (7, 0, 0)
    assert 7 < len(heads) <= 9
    assert starts == ends >= 3
    assert second.elapsed_ns == 0


async def test_failing_sequences_are_begun_anew(port, heads):
    """A sequence whose request fails is given up, and the load goes on with another."""
    plan = Plan("http", "127.0.0.1", port, (), sequences=sequences("/no"))
    load = RunningLoad(plan, Level(1, requests=4))
    await load.start()
    await load.finished.wait()
    sample = load.take()
    load.close()
    assert (sample.answered, sample.failed) == (0, 4)
    assert sum(b'"sequence_start":true' in head for head in heads) == 4


async def test_sequences_end_without_a_server(unused_port):
    """A load that cannot connect counts its requests as failed and ends."""
    plan = Plan("http", "127.0.0.1", unused_port, (), sequences=sequences())
    load = RunningLoad(plan, Level(1, requests=2))
    await load.start()
    await load.finished.wait()
    assert load.take().failed == 2
    load.close()
