"""
Measures a server on this machine with h2load and writes a Markdown table and a plot.

    python tests/benchmarks/run.py [--quick] [--rounds N] [--seconds S] [--budget S]
        [--output FILE] [--note TEXT] [--serve=OPTION]...
        [--against HOST:HTTP_PORT:GRPC_PORT[:PID]] [--write-repository FOLDER]

Starts ``inferd serve`` over a generated repository, the same without native modules, and a
bare echo; loads each in every way of ``cases.py``, all of them once per round, so that a slow
moment of the machine meets all; and reports medians beside the targets. ``--against`` names
another server that serves the same repository (``--write-repository`` writes it); it is
loaded in turn with ours. Afterwards the model runs in ONNX Runtime alone, in batches as
large as the server's were, and the stages of a request run by themselves. Needs h2load
(Debian: nghttp2-client). Exits with 0 when every request was answered well, whether or not
the targets hold.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bare import measure_bare
from cases import CASES, Case
from chart import Row, as_svg
from json_numbers import measure_json
from load import Cell, LoadFailed, Run, measure
from messages import WrongAnswer, encode, raw_answer
from outcome import ECHO, NATIVE, TWIN, Measured, mean_batch
from processes import memory
from report import render
from repository import write
from servers import NotStarted, Server, echoing, serving
from stages import measure_stages

FEWEST, MOST = 32, 200_000
DEFAULT_OUTPUT = Path(__file__).parent / "results" / "server.md"

Results = dict[Cell, list[Run]]


def main() -> int:
    """Measure as the command line says; 0 when every request was answered well."""
    options = parse()
    if options.write_repository:
        write(options.write_repository)
        return 0
    if options.quick:
        options.rounds, options.seconds = 1, 0.2
    try:
        with tempfile.TemporaryDirectory() as folder:
            measured = measure_everything(Path(folder), options)
    except (LoadFailed, NotStarted, WrongAnswer) as error:
        print(error, file=sys.stderr)
        return 1
    text = render(measured)
    print(text)
    output = options.output or (None if options.quick else DEFAULT_OUTPUT)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
        output.with_suffix(".svg").write_text(draw(measured))
    return 0


def measure_everything(folder: Path, options: argparse.Namespace) -> Measured:
    """Start the servers, load them, and measure the parts alone once they are gone."""
    models = folder / "models"
    write(models)
    with ExitStack() as stack:
        ours = {
            serve: stack.enter_context(
                serving(NATIVE, models, folder / f"log{number}", [*options.serve, *serve])
            )
            for number, serve in enumerate(dict.fromkeys(case.serve for case in CASES))
        }
        plain, ready_seconds = ours[()]
        twin, _ = stack.enter_context(
            serving(TWIN, models, folder / "twin.log", ["--grpc-transport=python"])
        )
        echo = stack.enter_context(echoing(answers(plain), folder))
        others = [twin, echo, *([options.against] if options.against else [])]
        cells = [Cell(case, server) for case in CASES for server in (ours[case.serve][0], *others)]
        results = measure_all(cells, options.rounds, options.seconds, options.budget)
        assert plain.process is not None
        remembered = memory(plain.process)
    measured = Measured(
        results, ready_seconds, remembered, note=options.note, options=options.serve
    )
    alone = 0.1 if options.quick else 1.0
    batches = {case.name: mean_batch(measured.runs(case, NATIVE)) for case in measured.cases}
    model = models / "simple" / "1" / "model.onnx"
    measured.loops = measure_bare(model, set(batches.values()), alone)
    measured.stages = measure_stages(models, batches, alone / 2)
    measured.texts = measure_json(2 if options.quick else 9)
    return measured


def answers(server: Server) -> dict[str, bytes]:
    """Return what a server answers to the requests of each case over HTTP."""
    return {
        case.name: raw_answer(encode(case.protocol, case.model), server.host, server.port(case))
        for case in CASES
        if case.over_http
    }


def measure_all(cells: Sequence[Cell], rounds: int, seconds: float, budget: float) -> Results:
    """
    Run every combination once per round, each for about so many seconds.

    After the first round, none is started that would likely end beyond the budget.
    """
    deadline = time.monotonic() + budget
    counts = {cell: requests_for(cell, seconds) for cell in cells}
    results: Results = {cell: [] for cell in cells}
    longest = 0.0
    for number in range(rounds):
        if time.monotonic() + longest > deadline:
            print(f"stopped before round {number + 1}: the time is up", file=sys.stderr)
            break
        begun = time.monotonic()
        for cell in cells:
            results[cell].append(measure(cell, counts[cell]))
        longest = max(longest, time.monotonic() - begun)
        print(f"round {number + 1} of {rounds} took {longest:.0f} s", file=sys.stderr)
    return results


def requests_for(cell: Cell, seconds: float) -> int:
    """Warm a combination up, and return how many requests fill the time."""
    rate = measure(cell, FEWEST).rate
    rate = measure(cell, between(rate * seconds / 4)).rate
    return between(rate * seconds)


def between(requests: float) -> int:
    """Return a number of requests that a run may have."""
    return int(min(max(requests, FEWEST), MOST))


def draw(measured: Measured) -> str:
    """Return the plot."""
    series = (NATIVE, ECHO, TWIN)
    rows = [
        Row(
            case.name,
            tuple(measured.rate(case, name) or None for name in series),
            target_rate(case),
        )
        for case in measured.cases
    ]
    names = ("inferd", "bare echo", "inferd without native modules")
    return as_svg("Requests per second", "requests/s, logarithmic", names, rows)


def target_rate(case: Case) -> float | None:
    """Return the target in requests per second, where it is one."""
    if case.target.kind == "bytes":
        return case.target.least * 1e9 / case.both_ways
    return case.target.least if case.target.kind == "rate" else None


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.2, help="of one run")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds for all rounds")
    parser.add_argument("--against", type=other_server, metavar="HOST:HTTP_PORT:GRPC_PORT[:PID]")
    parser.add_argument("--write-repository", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--serve", action="append", default=[], help="an option of our server: --serve=--flag=1"
    )
    parser.add_argument("--note", default="", help="a sentence for the report: what else ran")
    parser.add_argument(
        "--output", type=Path, help="default: none if quick, else results/server.md"
    )
    return parser.parse_args()


def other_server(text: str) -> Server:
    """Parse ``HOST:HTTP_PORT:GRPC_PORT[:PID]``."""
    host, http_port, grpc_port, *process = text.split(":")
    ports = {"http": int(http_port), "grpc": int(grpc_port)}
    return Server("other", host, ports, int(process[0]) if process else None)


if __name__ == "__main__":
    sys.exit(main())
