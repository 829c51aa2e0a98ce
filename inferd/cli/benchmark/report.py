"""Writes what was measured: for a person, and as JSON."""

import json
from typing import Any, Final

from inferd.cli.benchmark.histogram import Histogram
from inferd.cli.benchmark.histogram_text import draw, duration
from inferd.cli.benchmark.measure import Result, median
from inferd.cli.benchmark.plan import Level
from inferd.cli.benchmark.server_side import ServerSide
from inferd.cli.models import table

_PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0)
_SHOWN_FAILURES: Final = 5
_MOST_BUSY: Final = 0.9


def heading(level: Level) -> str:
    """Return what a level is called."""
    if level.rate:
        return f"{level.rate:g} requests/s ({_distribution(level)})"
    return f"{level.concurrency} in flight"


def _distribution(level: Level) -> str:
    if level.intervals:
        return "given intervals"
    return "poisson" if level.poisson else "constant"


def level_text(result: Result, percent: float | None, *, histogram: bool) -> str:
    """
    Return the paragraph about one level.

    Args:
        result: What was measured.
        percent: A further percentile to show.
        histogram: Whether to draw the latencies.
    """
    sample = result.sample
    lines = [
        f"{result.target.name}, {heading(result.level)}",
        f"  throughput {sample.rate:,.1f} requests/s ({_counted(result)})",
    ]
    if result.target.plan.decoupled:
        first = sample.first_responses
        lines.append(
            f"  responses  {sample.response_rate:,.1f}/s, the first after {duration(first.mean)}"
            f" (p99 {duration(first.percentile(99))})"
        )
    latencies = sample.latencies
    percents = _shown(percent)
    parts = [f"mean {duration(latencies.mean)}"]
    parts += [f"p{value:g} {duration(latencies.percentile(value))}" for value in percents]
    lines.append(f"  latency    {', '.join(parts)}, max {duration(latencies.maximum)}")
    lines += [f"  server     {text}" for text in _server_texts(result)]
    lines += _failure_lines(result)
    lines += _client_lines(result)
    if histogram:
        lines += draw(latencies)
    return "\n".join(lines)


def _counted(result: Result) -> str:
    sample = result.sample
    text = f"{sample.answered:,} in {sample.elapsed_ns / 1e9:.2f} s"
    if result.stable is not None:
        text += (
            f"; {'stable' if result.stable else 'NOT stable'} after {len(result.windows)} windows"
        )
    return text


def _server_texts(result: Result) -> list[str]:
    server = result.server
    if server is None:
        return []
    hits = f", {server.cache_hits:,} cache hits" if server.cache_hits else ""
    return [
        f"{server.inferences:,} inferences in {server.executions:,} executions, "
        f"batch size {server.batch_size:.2f}{hits}",
        f"per request: queue {server.per_request(server.queue_ns):.0f} µs, "
        f"input {server.per_request(server.compute_input_ns):.0f} µs, "
        f"infer {server.per_request(server.compute_infer_ns):.0f} µs, "
        f"output {server.per_request(server.compute_output_ns):.0f} µs; "
        f"outside the server's clock {outside_us(result):.0f} µs",
    ]


def outside_us(result: Result) -> float:
    """Return the microseconds of the mean latency that the server does not account for."""
    if result.server is None:
        return 0.0
    inside = result.server.per_request(result.server.success_ns)
    return max(result.sample.latencies.mean / 1000 - inside, 0.0)


def _failure_lines(result: Result) -> list[str]:
    failures = sorted(result.sample.failures.items(), key=lambda item: -item[1])
    lines = [f"  failed     {count:,}: {text}" for text, count in failures[:_SHOWN_FAILURES]]
    rest = sum(count for _, count in failures[_SHOWN_FAILURES:])
    return lines + ([f"  failed     {rest:,} with other messages"] if rest else [])


def _client_lines(result: Result) -> list[str]:
    sample = result.sample
    lines = []
    if sample.late:
        lines.append(
            f"  late       {sample.late:,} requests were sent over 1 ms after they were due"
        )
    if busy(result) > _MOST_BUSY:
        lines.append(
            f"  client     {busy(result):.0%} busy: it may be what limits; "
            "try more --processes or another machine"
        )
    return lines


def busy(result: Result) -> float:
    """Return the share of the time that the load processes were busy."""
    whole = result.sample.elapsed_ns * result.processes
    return result.sample.cpu_ns / whole if whole else 0.0


def client_cpu_us(result: Result) -> float:
    """Return the microseconds of processor time that the load took per finished request."""
    finished = result.sample.answered + result.sample.failed
    return result.sample.cpu_ns / 1000 / max(finished, 1)


def summary(results: list[Result]) -> str:
    """Return a table with a row per level."""
    rows: list[tuple[str, ...]] = [("LEVEL", "REQUESTS/S", "MEAN", "P50", "P95", "P99", "FAILED")]
    for result in results:
        latencies = result.sample.latencies
        rows.append(
            (
                heading(result.level),
                f"{result.sample.rate:,.1f}",
                duration(latencies.mean),
                *(duration(latencies.percentile(percent)) for percent in (50, 95, 99)),
                f"{result.sample.failed:,}",
            )
        )
    return table(rows)


def verdict(results: list[Result], threshold_ms: float, percent: float | None) -> str:
    """Return which of the levels was the largest within the latency threshold."""
    what = "mean" if percent is None else f"p{percent:g}"
    within = [result for result in results if result.meets]
    if not within:
        return f"no level has a {what} latency of at most {threshold_ms:g} ms"
    best = max(within, key=lambda result: (result.level.rate, result.level.concurrency))
    return (
        f"largest level with a {what} latency of at most {threshold_ms:g} ms: "
        f"{heading(best.level)}, {best.sample.rate:,.1f} requests/s"
    )


def comparison(results: list[Result]) -> str:
    """Return a table with the medians of the rounds of two servers and their ratios."""
    rows: list[tuple[str, ...]] = [("LEVEL", "MEDIAN OF ROUNDS", *_names(results), "RATIO")]
    for level in dict.fromkeys(result.level for result in results):
        sides = [
            [result for result in results if result.level == level and result.target.name == name]
            for name in _names(results)
        ]
        if not all(sides) or len(sides) < 2:
            continue
        for name, value, form in _COMPARED:
            left, right = (median(side, value) for side in sides)
            ratio = f"{left / right:.2f}" if right else "-"
            rows.append((heading(level), name, form(left), form(right), ratio))
    return table(rows)


def _names(results: list[Result]) -> list[str]:
    return list(dict.fromkeys(result.target.name for result in results))


_COMPARED: Final = (
    ("requests/s", lambda result: result.sample.rate, lambda value: f"{value:,.1f}"),
    ("mean latency", lambda result: result.sample.latencies.mean, duration),
    ("p50 latency", lambda result: result.sample.latencies.percentile(50), duration),
    ("p99 latency", lambda result: result.sample.latencies.percentile(99), duration),
)


def as_json(results: list[Result], percent: float | None) -> str:
    """Return a document with everything; times in microseconds."""
    return json.dumps({"results": [_entry(result, percent) for result in results]}, indent=2) + "\n"


def _entry(result: Result, percent: float | None) -> dict[str, Any]:
    sample, level = result.sample, result.level
    percents = _shown(percent)
    entry: dict[str, Any] = {
        "server": result.target.name,
        "model": result.target.model,
        "protocol": result.target.plan.protocol,
        "batch_size": result.target.batch,
        "requests_per_second": sample.rate,
        "responses_per_second": sample.response_rate,
        "answered": sample.answered,
        "failed": sample.failed,
        "failures": sample.failures,
        "late": sample.late,
        "seconds": sample.elapsed_ns / 1e9,
        "stable": result.stable,
        "windows": result.windows,
        "client_cpu_us": client_cpu_us(result),
        "latency_us": {
            **_microseconds(sample.latencies, percents),
            "max": sample.latencies.maximum / 1000,
        },
        "histogram": [[upper / 1000, count] for upper, count in sample.latencies.counts()],
    }
    if level.rate:
        entry |= {
            "request_rate": level.rate,
            "distribution": _distribution(level),
            "latency_from": "the time a request is due",
        }
    else:
        entry |= {"concurrency": level.concurrency, "latency_from": "the time a request is sent"}
    if result.target.plan.decoupled:
        entry["first_response_us"] = _microseconds(sample.first_responses, percents)
    if result.server is not None:
        entry["server_side"] = _server_entry(result.server)
    return entry


def _shown(percent: float | None) -> list[float]:
    """Return the percentiles that are told, a further one among them."""
    return sorted({*_PERCENTILES, *([percent] if percent else [])})


def _microseconds(histogram: Histogram, percents: list[float]) -> dict[str, float]:
    return {
        "mean": histogram.mean / 1000,
        **{f"p{value:g}": histogram.percentile(value) / 1000 for value in percents},
    }


def _server_entry(server: ServerSide) -> dict[str, Any]:
    return {
        "inferences": server.inferences,
        "executions": server.executions,
        "successes": server.successes,
        "failures": server.failures,
        "cache_hits": server.cache_hits,
        "batch_size": server.batch_size,
        "queue_us": server.per_request(server.queue_ns),
        "compute_input_us": server.per_request(server.compute_input_ns),
        "compute_infer_us": server.per_request(server.compute_infer_ns),
        "compute_output_us": server.per_request(server.compute_output_ns),
    }
