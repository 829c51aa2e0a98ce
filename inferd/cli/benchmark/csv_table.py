"""
Writes what was measured as CSV, in the columns of perf_analyzer.

Latencies are in microseconds. Columns about a server without statistics are empty.
"""

import csv
import io
from collections.abc import Callable, Iterable
from typing import Final

from inferd.cli.benchmark.measure import Result
from inferd.cli.benchmark.report import client_cpu_us, heading, outside_us
from inferd.cli.benchmark.server_side import ServerSide

Cell = str | int | float
Column = tuple[str, Callable[[Result], Cell]]

_PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0)


def as_csv(results: list[Result], percent: float | None, *, is_verbose: bool) -> str:
    """
    Return a row for each result.

    Args:
        results: What was measured.
        percent: A further percentile that has a column.
        is_verbose: Whether there are columns that perf_analyzer's plain report does not have.
    """
    columns = [
        *_load_columns(results),
        *_server_columns(results),
        *_percentile_columns(percent),
        *(_VERBOSE if is_verbose else ()),
        ("Failed", lambda result: result.sample.failed),
        ("Server", lambda result: result.target.name),
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(name for name, _ in columns)
    writer.writerows([cell(result) for _, cell in columns] for result in results)
    return out.getvalue()


def _load_columns(results: list[Result]) -> Iterable[Column]:
    if any(result.level.rate for result in results):
        yield "Request Rate", lambda result: f"{result.level.rate:g}"
    else:
        yield "Concurrency", lambda result: result.level.concurrency
    yield "Inferences/Second", lambda result: round(result.sample.rate * result.target.batch, 3)
    if any(result.target.plan.decoupled for result in results):
        yield "Response Throughput", lambda result: round(result.sample.response_rate, 3)


def _server_columns(results: list[Result]) -> Iterable[Column]:
    yield "Client Send", lambda _: 0
    yield "Network+Server Send/Recv", _server(lambda result, _: outside_us(result))
    yield "Server Queue", _server(lambda _, side: side.per_request(side.queue_ns))
    if any(result.server and result.server.cache_hits for result in results):
        yield "Server Cache Hit", _server(lambda _, side: side.per_request(side.cache_hit_ns))
    yield "Server Compute Input", _server(lambda _, side: side.per_request(side.compute_input_ns))
    yield "Server Compute Infer", _server(lambda _, side: side.per_request(side.compute_infer_ns))
    yield "Server Compute Output", _server(lambda _, side: side.per_request(side.compute_output_ns))
    yield "Client Recv", lambda _: 0


def _server(value: Callable[[Result, ServerSide], float]) -> Callable[[Result], Cell]:
    """Return a cell of the server's statistics, in whole microseconds."""
    return lambda result: "" if result.server is None else round(value(result, result.server))


class _Percentile:
    """A percentile of the latency."""

    def __init__(self, percent: float) -> None:
        self._percent = percent

    def __call__(self, result: Result) -> Cell:
        return result.sample.latencies.percentile(self._percent) // 1000


def _percentile_columns(percent: float | None) -> Iterable[Column]:
    shown = sorted({*_PERCENTILES, *([percent] if percent else [])})
    return [(f"p{value:g} latency", _Percentile(value)) for value in shown]


_VERBOSE: Final[tuple[Column, ...]] = (
    ("Avg latency", lambda result: round(result.sample.latencies.mean / 1000)),
    ("Std latency", lambda result: round(result.sample.latencies.deviation / 1000)),
    ("p99.9 latency", _Percentile(99.9)),
    ("Max latency", lambda result: result.sample.latencies.maximum // 1000),
    ("Avg first response", lambda result: round(result.sample.first_responses.mean / 1000)),
    ("p99 first response", lambda result: result.sample.first_responses.percentile(99) // 1000),
    ("Requests/Second", lambda result: round(result.sample.rate, 3)),
    ("Responses/Second", lambda result: round(result.sample.response_rate, 3)),
    ("Batch Size", lambda result: round(result.server.batch_size, 3) if result.server else ""),
    ("Client CPU", lambda result: round(client_cpu_us(result), 2)),
    ("Level", lambda result: heading(result.level)),
)
