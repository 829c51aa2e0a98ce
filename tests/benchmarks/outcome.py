"""
What was measured, and whether the targets hold.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bare import Loop
from cases import MEMORY_BYTES, Case
from json_numbers import Cost
from load import Cell, Run
from processes import Memory
from stages import Stages

NATIVE = "inferd"
TWIN = "python"
ECHO = "echo"


@dataclass(frozen=True, slots=True)
class Reached:
    """
    A case held against its target.

    Attributes:
        target: The target in words.
        text: What was reached, in the same unit.
        holds: Whether that is enough.
    """

    target: str
    text: str
    holds: bool


@dataclass(slots=True)
class Measured:
    """
    Everything that was measured.

    Attributes:
        results: The runs of each case against each server.
        ready_seconds: From starting the server to its being ready.
        memory: Its memory after the last run.
        loops: Batch size -> what a loop in ONNX Runtime alone measured.
        stages: Case -> what its stages cost alone.
        texts: JSON text -> what reading and writing it costs.
        note: A sentence about the circumstances.
        options: What our server was started with besides its models and ports.
    """

    results: Mapping[Cell, Sequence[Run]]
    ready_seconds: float
    memory: Memory
    loops: Mapping[int, Loop] = field(default_factory=dict)
    stages: Mapping[str, Stages] = field(default_factory=dict)
    texts: Mapping[str, Cost] = field(default_factory=dict)
    note: str = ""
    options: Sequence[str] = ()

    @property
    def cases(self) -> list[Case]:
        """The cases, in order."""
        return list(dict.fromkeys(cell.case for cell in self.results))

    @property
    def rounds(self) -> int:
        """How often each case was run."""
        return max(map(len, self.results.values()))

    def runs(self, case: Case, server: str) -> Sequence[Run]:
        """Return the runs of a case against a server; empty when there were none."""
        for cell, runs in self.results.items():
            if cell.case == case and cell.server.name == server:
                return runs
        return ()

    def rate(self, case: Case, server: str) -> float:
        """Return the median requests per second; 0 when there were no runs."""
        runs = self.runs(case, server)
        return median(runs, "rate") if runs else 0.0

    def share(self, case: Case, server: str) -> float | None:
        """Return our rate in rates of another server, if that was measured."""
        other = self.rate(case, server)
        return self.rate(case, NATIVE) / other if other else None

    def loop(self, case: Case) -> Loop | None:
        """Return the loop in the framework alone with batches as large as the server's were."""
        if not case.model.startswith("simple"):
            return None
        return self.loops.get(mean_batch(self.runs(case, NATIVE)))

    def reached(self, case: Case) -> Reached:
        """Hold a case against its target."""
        target, rate = case.target, self.rate(case, NATIVE)
        if target.kind == "rate":
            p99 = median(self.runs(case, NATIVE), "p99")
            return _rate(rate, p99, target.least, target.p99_ms)
        if target.kind == "bytes":
            speed = rate * case.both_ways / 1e9
            return Reached(f"{target.least:g} GB/s", f"{speed:.2f} GB/s", speed >= target.least)
        if target.kind == "twin":
            ratio = self.share(case, TWIN) or 0.0
            return _times(ratio, target.least, "pure Python")
        ratio = next((cost.ratio for cost in self.texts.values()), 0.0)
        return _times(ratio, target.least, "orjson + NumPy")

    def memory_holds(self) -> bool:
        """Whether the resident memory is small enough."""
        return self.memory.resident < MEMORY_BYTES


def median(runs: Sequence[Run], name: str) -> float:
    """Return the median over the rounds of one figure."""
    return float(statistics.median(getattr(run, name) for run in runs))


def mean_batch(runs: Sequence[Run]) -> int:
    """Return the median of the rounds' mean batch sizes, as a whole number of rows."""
    return max(1, round(median(runs, "batch")))


def _rate(rate: float, p99: float, least: float, p99_ms: float | None) -> Reached:
    if p99_ms is None:
        return Reached(f"{least:,.0f}/s", f"{rate:,.0f}/s", rate >= least)
    return Reached(
        f"{least:,.0f}/s, p99 < {p99_ms:g} ms",
        f"{rate:,.0f}/s, p99 {p99:.2f} ms",
        rate >= least and p99 < p99_ms,
    )


def _times(ratio: float, least: float, of: str) -> Reached:
    return Reached(f"{least:g} x {of}", f"{ratio:.1f} x", ratio >= least)
