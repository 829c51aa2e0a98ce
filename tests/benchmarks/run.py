"""
Measures a server on this machine with h2load and writes a Markdown table.

    python tests/benchmarks/run.py [--quick] [--rounds N] [--seconds S] [--budget S]
        [--output FILE] [--note TEXT] [--against HOST:HTTP_PORT:GRPC_PORT[:PID]]
        [--write-repository FOLDER]

Starts ``inferd serve`` over a generated repository, loads it over gRPC and HTTP with 1, 16
and 64 requests in flight, and reports medians over rounds that alternate between all
combinations, so that a slow moment of the machine meets all of them. ``--against`` names
another server that serves the same repository (``--write-repository`` writes it); it is
loaded in turn with ours. Afterwards the model runs in ONNX Runtime alone, in batches as
large as the server's were. Needs h2load (Debian: nghttp2-client).
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bare import measure_bare
from load import Cell, LoadFailed, Run, measure
from messages import WrongAnswer
from report import mean_batch, render
from repository import MODELS, write
from servers import NotStarted, Server, started

PROTOCOLS = ("grpc", "http binary", "http json")
IN_FLIGHT = (1, 16, 64)
WARM_UP = 300
FEWEST, MOST = 200, 60_000
DEFAULT_OUTPUT = Path(__file__).parent / "results" / "server.md"

Results = dict[Cell, list[Run]]


def main() -> int:
    """Measure as the command line says; 0 when every request was answered well."""
    options = parse()
    if options.write_repository:
        write(options.write_repository)
        return 0
    rounds = 1 if options.quick else options.rounds
    seconds = 0.4 if options.quick else options.seconds
    models = MODELS[1:] if options.quick else MODELS
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "models"))
        try:
            with started(Path(folder, "models"), Path(folder, "log")) as (server, ready):
                servers = [server] + ([options.against] if options.against else [])
                results = measure_all(servers, models, rounds, seconds, options.budget)
                memory = server.memory_mib()
        except (LoadFailed, NotStarted, WrongAnswer) as error:
            print(error, file=sys.stderr)
            return 1
        model = Path(folder, "models", MODELS[0], "1", "model.onnx")
        sizes = {*IN_FLIGHT, *map(mean_batch, results.values())}
        bare = measure_bare(model, sizes, 0.2 if options.quick else 1.0)
    text = render(results, ready, memory, bare, options.note)
    print(text)
    output = options.output or (None if options.quick else DEFAULT_OUTPUT)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
    return 0


def measure_all(
    servers: list[Server], models: tuple[str, ...], rounds: int, seconds: float, budget: float
) -> Results:
    """
    Run every combination once per round, each for about so many seconds.

    After the first round, none is started that would likely end beyond the budget.
    """
    deadline = time.monotonic() + budget
    cells = [
        Cell(server, protocol, model, in_flight)
        for model in models
        for protocol in PROTOCOLS
        for in_flight in IN_FLIGHT
        for server in servers
    ]
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
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return results


def requests_for(cell: Cell, seconds: float) -> int:
    """Warm a combination up, and return how many requests fill the time."""
    rate = measure(cell, WARM_UP).rate
    return int(min(max(rate * seconds, FEWEST), MOST))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="one short round, one model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one run")
    parser.add_argument("--budget", type=float, default=200.0, help="seconds for all rounds")
    parser.add_argument("--against", type=other_server, metavar="HOST:HTTP_PORT:GRPC_PORT[:PID]")
    parser.add_argument("--write-repository", type=Path, metavar="FOLDER")
    parser.add_argument("--note", default="", help="a sentence for the report: what else ran")
    parser.add_argument(
        "--output", type=Path, help="default: none if quick, else results/server.md"
    )
    return parser.parse_args()


def other_server(text: str) -> Server:
    """Parse ``HOST:HTTP_PORT:GRPC_PORT[:PID]``."""
    host, http_port, grpc_port, *process = text.split(":")
    pid = int(process[0]) if process else None
    return Server("other", host, int(http_port), int(grpc_port), pid)


if __name__ == "__main__":
    sys.exit(main())
