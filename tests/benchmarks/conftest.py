"""What was measured, made up."""

import pytest
from bare import Loop
from cases import CASES
from json_numbers import Cost
from load import Cell, Run
from outcome import ECHO, NATIVE, TWIN, Measured
from processes import Memory
from servers import Server
from stages import Stages

RATES = {NATIVE: 60_000.0, TWIN: 6_000.0, ECHO: 120_000.0}


@pytest.fixture(name="run_of")
def _run_of():
    """Make a run of a rate; everything else is the same for all."""

    def run_of(rate, p99=2.0, batch=16.0):
        return Run(rate, 1.0, p99, user=10.0, system=4.0, batch=batch, others=0.01)

    return run_of


@pytest.fixture(name="measured")
def _measured(run_of):
    """Three rounds of every case, which reach what is asked of rates of 60,000 and less."""
    results = {
        Cell(case, Server(name, "127.0.0.1", {})): [
            run_of(factor * rate) for factor in (0.5, 1.0, 1.4)
        ]
        for case in CASES
        for name, rate in RATES.items()
    }
    return Measured(
        results,
        ready_seconds=0.6,
        memory=Memory(120_000_000, 90_000_000),
        loops={16: Loop(200_000.0, 3_200_000.0, 0.3, 0.3)},
        stages={CASES[0].name: Stages(1.0, 2.0, 3.0, 2.0, 0.5)},
        texts={"short": Cost(1_500_000, 1_000.0, 4_000.0)},
        note="Nothing else ran.",
    )
