"""
Sends a server millions of requests and says what its memory does.

    python tests/benchmarks/soak.py [--requests N] [--steps N] [--output FILE] [--note TEXT]
        [--serve=OPTION]...

One server with the ONNX plugin answers gRPC from several connections, 64 requests in flight.
Between the steps it gets every other kind of request: JSON and binary over HTTP, large
tensors, strings, a large JSON document. Memory is read after each step; it is flat when
the most of the second half is at most 1 % over the most of the first. Exits with 1 when it is
not flat or the resident memory is not under the target. Needs h2load (Debian: nghttp2-client).
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cases import CASES, MEMORY_BYTES, Case, Target
from load import Cell, LoadFailed, run_load
from messages import WrongAnswer, check
from processes import Memory, memory
from report import machine, table, yes
from repository import write
from servers import NotStarted, Server, serving

FLAT_PERCENT: Final = 1
MAIN: Final = Case(
    "gRPC add/sub, 8 connections x 8", "grpc", "simple_batched", 8, 8, Target("rate", 0)
)
BETWEEN: Final = {
    "http json": 10_000,
    "http binary": 10_000,
    "identity_floats": 200,
    "grpc contents": 2_000,
    "identity_strings": 2_000,
    "identity_image": 32,
}
"""What else is sent after each step: a protocol to the add/sub model, or a model's name."""

DEFAULT_OUTPUT: Final = Path(__file__).parent / "results" / "soak.md"


@dataclass(frozen=True, slots=True)
class Step:
    """
    The state after a step.

    Attributes:
        requests: gRPC requests to the add/sub model so far.
        others: All other requests so far.
        seconds: Since the first request.
        memory: The server's memory.
    """

    requests: int
    others: int
    seconds: float
    memory: Memory


def main() -> int:
    """Soak as the command line says; 0 when memory is small and flat."""
    options = parse()
    try:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder, "models"))
            with serving("inferd", Path(folder, "models"), Path(folder, "log"), options.serve) as (
                server,
                _,
            ):
                steps = soak(server, options.requests, options.steps)
    except (LoadFailed, NotStarted, WrongAnswer) as error:
        print(error, file=sys.stderr)
        return 1
    text = render(steps, options.note)
    print(text)
    if options.output:
        options.output.write_text(text)
    return 0 if holds(steps) else 1


def soak(server: Server, requests: int, count: int) -> list[Step]:
    """Send the requests in steps and return the state before the first and after each."""
    assert server.process is not None
    begun, others = time.monotonic(), 0
    steps = [Step(0, 0, 0.0, memory(server.process))]
    cells = [(Cell(case, server), number) for case, number in besides()]
    for number in range(1, count + 1):
        run_load(Cell(MAIN, server), requests // count)
        for cell, many in cells:
            run_load(cell, many)
            others += many
        check("grpc", MAIN.model, server.host, server.port(MAIN))
        sent, seconds = requests // count * number, time.monotonic() - begun
        steps.append(Step(sent, others, seconds, memory(server.process)))
        resident = steps[-1].memory.resident / 1e6
        print(f"{sent:,} requests, {seconds:.0f} s: {resident:.1f} MB", file=sys.stderr)
    return steps


def besides() -> list[tuple[Case, int]]:
    """Return what is sent between the steps, and how often."""
    return [(case, BETWEEN[key]) for case in CASES if (key := _kind(case)) in BETWEEN]


def _kind(case: Case) -> str:
    if case.model == MAIN.model or case.protocol == "grpc contents":
        return case.protocol
    return case.model


def peaks(steps: Sequence[Step]) -> tuple[int, int]:
    """Return the most resident memory in the first and in the second half of the steps."""
    resident = [step.memory.resident for step in steps]
    middle = len(steps) // 2
    return max(resident[:middle]), max(resident[middle:])


def holds(steps: Sequence[Step]) -> bool:
    """Whether memory is flat and under the target."""
    first, second = peaks(steps)
    return second * 100 <= first * (100 + FLAT_PERCENT) and max(first, second) < MEMORY_BYTES


def render(steps: Sequence[Step], note: str) -> str:
    """Return the report."""
    rows = [
        [
            f"{step.requests:,}",
            f"{step.others:,}",
            f"{step.seconds:.0f}",
            f"{step.memory.resident / 1e6:.1f}",
            f"{step.memory.proportional / 1e6:.1f}",
        ]
        for step in steps
    ]
    head = ("gRPC requests", "others", "seconds", "resident MB", "proportional MB")
    others = "\n".join(f"* {number:,} of {case.name}" for case, number in besides())
    first, second = (f"{most / 1e6:.1f} MB" for most in peaks(steps))
    return f"""# Memory over {steps[-1].requests:,} requests

{machine()}
One server with the ONNX plugin; {MAIN.name}, by h2load. After each step come

{others}

{note}

{table(head, rows, left=0)}

At most {first} resident in the first half and {second} in the second (flat: at most {FLAT_PERCENT}%
more; target: under {MEMORY_BYTES / 1e6:.0f} MB). Holds: {yes(holds(steps))}.
"""


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--requests", type=int, default=5_000_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--serve", action="append", default=[], help="an option of the server")
    parser.add_argument("--note", default="", help="a sentence for the report: what else ran")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
