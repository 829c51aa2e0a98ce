"""
Renders what was measured as Markdown.
"""

import os
import platform
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bare import Loop
from load import Cell, Run

_HEAD = (
    "| server | model | protocol | in flight | requests/s | best | p50 ms | p99 ms "
    "| server CPU µs/request | mean batch | ONNX Runtime alone µs/request | other load |\n"
    "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)
_BARE_HEAD = (
    "| batch size | calls/s | rows/s | µs/row | CPU µs/row |\n| ---: | ---: | ---: | ---: | ---: |"
)


def render(
    results: dict[Cell, list[Run]],
    ready_seconds: float,
    memory_mib: float,
    bare: dict[int, Loop],
    note: str = "",
) -> str:
    """
    Render the table with what is needed to read it.

    Args:
        results: The runs of each combination.
        ready_seconds: From starting the server to its being ready.
        memory_mib: Its memory after the last run.
        bare: Batch size -> what a loop in ONNX Runtime alone measured.
        note: A sentence about the circumstances.
    """
    rounds = max(len(runs) for runs in results.values())
    rows = "\n".join(_row(cell, runs, bare) for cell, runs in results.items())
    loops = "\n".join(_bare_row(size, loop) for size, loop in sorted(bare.items()))
    return f"""# Server

{_machine()}
Client (h2load, one thread) and server share the machine. {rounds} round(s) that alternate
between all rows; medians. gRPC: streams of one connection. HTTP: HTTP/1.1 connections.
`simple` executes one request at a time, `simple_batched` has `dynamic_batching` without a
delay; both add and subtract two INT32[1,16] in ONNX Runtime on one thread.
`best`: the fastest round. Other load: the share of the machine taken by neither server nor
client; what it takes, the figures lack. ONNX Runtime alone: processor time of the same model
per row, in batches of the mean size, from the second table. {note}

Ready {ready_seconds:.2f} s after the start; {memory_mib:.0f} MiB (PSS) after the last run.

{_HEAD}
{rows}

The same model in ONNX Runtime alone, without a server: `session.run` in a loop on one thread of
a process of its own, with the batch sizes above.

{_BARE_HEAD}
{loops}
"""


def mean_batch(runs: list[Run]) -> int:
    """Return the median of the rounds' mean batch sizes, as a whole number of rows."""
    return max(1, round(statistics.median(run.batch for run in runs)))


def _row(cell: Cell, runs: list[Run], bare: dict[int, Loop]) -> str:
    def median(name: str) -> float:
        return float(statistics.median(getattr(run, name) for run in runs))

    known = cell.server.process is not None
    cells = [
        cell.server.name,
        cell.model,
        cell.protocol,
        str(cell.in_flight),
        f"{median('rate'):,.0f}",
        f"{max(run.rate for run in runs):,.0f}",
        f"{median('p50'):.2f}",
        f"{median('p99'):.2f}",
        f"{median('cpu'):.0f}" if known else "",
        f"{median('batch'):.2f}",
        f"{bare[mean_batch(runs)].row_cpu_us:.2f}",
        f"{median('others'):.2f}" if known else "",
    ]
    return "| " + " | ".join(cells) + " |"


def _bare_row(size: int, loop: Loop) -> str:
    return (
        f"| {size} | {loop.calls:,.0f} | {loop.rows:,.0f} | {loop.row_us:.2f} "
        f"| {loop.row_cpu_us:.2f} |"
    )


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ", ".join(
        f"{name} {_version(name)}" for name in ("inferd", "onnxruntime", "uvloop", "numpy")
    )
    processor = models[0] if models else platform.machine()
    return f"{processor}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}."


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
