"""Tests of the report in perf_analyzer's columns."""

import csv
import io

import pytest

from inferd.cli.benchmark.csv_table import as_csv
from inferd.cli.benchmark.measure import Result
from inferd.cli.benchmark.plan import Level, Plan
from inferd.cli.benchmark.sample import Sample
from inferd.cli.benchmark.server_side import ServerSide
from inferd.cli.benchmark.target import Target

PERF_ANALYZER = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
    "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
    "p50 latency,p90 latency,p95 latency,p99 latency"
)
"""The header that perf_analyzer 2.50 writes."""


def result(level=None, *, decoupled=False, hits=0):
    """Return the result of a second with 100 requests of 2 ms and batches of 2."""
    sample = Sample(elapsed_ns=1_000_000_000, responses=300, cpu_ns=500_000)
    for _ in range(100):
        sample.latencies.record(2_000_000)
        sample.first_responses.record(1_000_000)
    server = ServerSide(200, 100, 100, 0, hits, 300_000, success_ns=150_000_000, queue_ns=100_000)
    target = Target("box:1", None, Plan("grpc", "box", 1, (), decoupled=decoupled), "m", "", 2)
    return Result(target, level or Level(4), sample, server=server)


def rows(*results, percent=None, is_verbose=False):
    """Return the report's header and its rows by column."""
    text = as_csv(list(results), percent, is_verbose=is_verbose)
    return text.splitlines()[0], list(csv.DictReader(io.StringIO(text)))


def test_columns_are_perf_analyzers():
    """What reads perf_analyzer's reports reads these; two columns follow."""
    header, _ = rows(result())
    assert header == PERF_ANALYZER + ",Failed,Server"


@pytest.mark.parametrize(
    ("level", "column", "value"),
    [(Level(4), "Concurrency", "4"), (Level(rate=2.5), "Request Rate", "2.5")],
)
def test_values(level, column, value):
    """Times are whole microseconds; inferences count rows."""
    _, (row,) = rows(result(level))
    assert row[column] == value
    assert float(row["Inferences/Second"]) == 200
    assert (row["Server Queue"], row["Network+Server Send/Recv"]) == ("1", "500")
    assert row["p50 latency"] == "2000"


def test_columns_that_only_some_reports_have():
    """Decoupled models, cache hits and a further percentile have columns, as in perf_analyzer."""
    _, (row,) = rows(result(decoupled=True, hits=1), percent=75.0)
    assert (row["Response Throughput"], row["Server Cache Hit"]) == ("300.0", "3")
    assert row["p75 latency"] == "2000"


def test_server_without_statistics():
    """Columns about a server without statistics are empty."""
    measured = result()
    measured.server = None
    _, (row,) = rows(measured, is_verbose=True)
    assert (row["Server Queue"], row["Batch Size"], row["Avg latency"]) == ("", "", "2000")


def test_verbose_columns():
    """The verbose report adds what perf_analyzer's plain one lacks."""
    _, (row,) = rows(result(decoupled=True), is_verbose=True)
    assert (row["Avg latency"], row["Std latency"], row["Max latency"]) == ("2000", "0", "2000")
    assert (row["Avg first response"], row["Responses/Second"]) == ("1000", "300.0")
    assert (row["Batch Size"], row["Client CPU"], row["Level"]) == ("2.0", "5.0", "4 in flight")
