"""Tests of the reports: for a person, CSV and JSON."""

import json

import pytest

from inferd.cli.benchmark import report
from inferd.cli.benchmark.measure import Result
from inferd.cli.benchmark.plan import Level, Plan
from inferd.cli.benchmark.sample import Sample
from inferd.cli.benchmark.server_side import ServerSide
from inferd.cli.benchmark.target import Target


def result(rate=100, level=None, name="box:1", *, decoupled=False, **more):
    """Return the result of a second with requests of 2 ms."""
    plan = Plan("grpc", "box", 1, (), decoupled=decoupled)
    sample = Sample(elapsed_ns=1_000_000_000, responses=rate)
    for _ in range(rate):
        sample.latencies.record(2_000_000)
        sample.first_responses.record(1_000_000)
    for field, value in more.items():
        setattr(sample, field, value)
    server = ServerSide(rate * 2, rate, rate, success_ns=1_500_000 * rate, queue_ns=1000 * rate)
    target = Target(name, None, plan, "m", "", 2)
    return Result(target, level or Level(4), sample, server=server)


def text(measured, percent=None):
    """Return the paragraph about a result."""
    return report.level_text(measured, percent, histogram=True)


def test_paragraph():
    """Throughput, latencies and the server's share are told."""
    found = text(result(), 99.9)
    for part in (
        "4 in flight",
        "100.0 requests/s",
        "p99.9 2 ms",
        "batch size 2.00",
        "clock 500 µs",
    ):
        assert part in found


def test_failures_are_told_by_message():
    """The commonest failures are shown, the others counted."""
    found = text(result(failures={f"error {n}": n for n in range(1, 8)}))
    assert "failed     7: error 7" in found
    assert "failed     3 with other messages" in found


def test_limits_of_the_client_are_told():
    """A client that is busy, or late, says so."""
    assert "90% busy" not in text(result(cpu_ns=900_000_000))
    assert "91% busy" in text(result(cpu_ns=910_000_000))
    assert "3 requests were sent over 1 ms after" in text(result(late=3))


def test_decoupled_and_unstable():
    """Responses of decoupled models and missing stability are told."""
    measured = result(decoupled=True)
    measured.stable, measured.windows, measured.server = False, [1.0], None
    found = text(measured)
    assert "the first after 1 ms" in found
    assert "NOT stable after 1 windows" in found
    assert "server " not in found


def test_comparison_has_medians_and_ratios():
    """The ratio is that of the medians; a level that only one server has is left out."""
    results = [result(rate, name=name) for rate in (10, 30, 20) for name in ("a:1", "b:1")]
    results += [result(40, name="b:1") for _ in range(2)] + [result(1, Level(9), "a:1")]
    table = report.comparison(results)
    line = next(
        line for line in table.splitlines() if "requests/s" in line and "MEDIAN" not in line
    )
    assert line.split() == ["4", "in", "flight", "requests/s", "20.0", "30.0", "0.67"]
    assert "9 in flight" not in table


def test_verdict():
    """The largest level within the threshold is named, whatever the order of the search."""
    results = [result(level=Level(n)) for n in (1, 9, 5)]
    results[1].meets = False
    assert "at most 3 ms: 5 in flight" in report.verdict(results, 3.0, None)
    assert report.verdict(results[1:2], 3.0, 99.0) == ("no level has a p99 latency of at most 3 ms")


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (Level(rate=2.5), "2.5 requests/s (constant)"),
        (Level(rate=2.5, poisson=True), "2.5 requests/s (poisson)"),
        (Level(rate=2.5, intervals=(1, 2)), "2.5 requests/s (given intervals)"),
    ],
)
def test_rates_are_told_with_their_intervals(level, name):
    """A rate says how its requests are spaced."""
    assert report.heading(level) == name


def test_json():
    """The document says from when latencies count."""
    measured = [result(), result(level=Level(rate=1.0, poisson=True), decoupled=True)]
    first, second = json.loads(report.as_json(measured, 75.0))["results"]
    assert first["latency_from"] == "the time a request is sent"
    assert first["latency_us"]["p75"] == pytest.approx(2000, rel=1 / 128)
    assert second["latency_from"] == "the time a request is due"
    assert second["first_response_us"]["mean"] == 1000


def test_summary_has_a_row_for_each_level():
    """Several levels are told in a table."""
    rows = report.summary([result(), result(50, Level(8))]).splitlines()[1:]
    assert [row.split()[:4] for row in rows] == [
        ["4", "in", "flight", "100.0"],
        ["8", "in", "flight", "50.0"],
    ]


def test_paragraph_without_a_histogram_or_a_server():
    """What was not asked for, or is not known, is left out."""
    measured = result()
    measured.server = None
    found = report.level_text(measured, None, histogram=False)
    assert "█" not in found
    assert report.outside_us(measured) == 0
    assert "server_side" not in json.loads(report.as_json([measured], None))["results"][0]
