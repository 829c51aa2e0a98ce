"""
Runs the benchmark's model in a loop in ONNX Runtime alone: no server, no client, no copies.

    python tests/benchmarks/bare.py MODEL.onnx SECONDS SIZE...

It is a process of its own, so that its processor time is the framework's and nothing
else's, with the thread settings that the benchmark's configs give the plugin. Prints one
JSON object: batch size -> what a loop of so many seconds measured.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

_CALLS_AT_ONCE: Final = 50
_START_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Loop:
    """
    What a loop over batches of one size measured.

    Attributes:
        calls: Calls per second.
        rows: Rows per second.
        row_us: Microseconds per row.
        row_cpu_us: Processor time per row, in microseconds.
    """

    calls: float
    rows: float
    row_us: float
    row_cpu_us: float


def measure_bare(model: Path, sizes: Iterable[int], seconds: float) -> dict[int, Loop]:
    """Run batches of each size in a new process, each for about so many seconds."""
    wanted = [str(size) for size in sorted(set(sizes))]
    ran = subprocess.run(
        [sys.executable, __file__, str(model), str(seconds), *wanted],
        capture_output=True,
        text=True,
        timeout=_START_SECONDS + 2 * seconds * len(wanted),
        check=True,
    )
    return {int(size): Loop(**found) for size, found in json.loads(ran.stdout).items()}


def main() -> None:
    """Measure as the command line says."""
    path, seconds, *sizes = sys.argv[1:]
    session = _session(path)
    found = {int(size): asdict(_loop(session, int(size), float(seconds))) for size in sizes}
    json.dump(found, sys.stdout)


def _session(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _loop(session: Any, size: int, seconds: float) -> Loop:
    values = np.ones((size, 16), np.int32)
    feed = {"INPUT0": values, "INPUT1": values}
    names = ["OUTPUT0", "OUTPUT1"]
    _call(session, names, feed)
    calls = 0
    start, cpu = time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - start) < seconds:
        _call(session, names, feed)
        calls += _CALLS_AT_ONCE
    cpu = time.process_time() - cpu
    rows = calls * size
    return Loop(calls / elapsed, rows / elapsed, elapsed * 1e6 / rows, cpu * 1e6 / rows)


def _call(session: Any, names: list[str], feed: dict[str, Any]) -> None:
    for _ in range(_CALLS_AT_ONCE):
        session.run(names, feed)


if __name__ == "__main__":
    main()
