"""
Measures what hostile HTTP/2 peers cost a server: CPU time, memory, and how it ended.

    python tests/benchmarks/flood_cost.py [--rounds N] [--output FILE]

Starts a server with each gRPC transport, sends every flood of ``tests/end_to_end`` on
connections of its own, and reads the server's CPU time (steps of 10 ms) and resident memory
from ``/proc``. The table has the largest figures of the rounds.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

TESTS: Final = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "end_to_end" / "support"), str(TESTS / "conformance" / "support")]

import floods  # noqa: E402 - the folders of the tests' support files are put on the path above
from http2_peer import Http2Peer, echo_request  # noqa: E402
from model_folders import write_identity  # noqa: E402
from process_figures import cpu_seconds, resident_bytes  # noqa: E402
from server_process import ServerProcess  # noqa: E402

FLOODS: Final = (*floods.FATAL, *floods.FATAL_NATIVE, *floods.HARMLESS)
QUIET: Final = 0.3
"""A server that has nothing to say for so long has survived, in seconds."""


class Cost(NamedTuple):
    """
    What one flood cost.

    Attributes:
        cpu: CPU time, in seconds.
        memory: What resident memory grew by, in bytes.
        end: The code of the GOAWAY, or what became of the connection instead.
    """

    cpu: float
    memory: int
    end: str


@contextmanager
def started(transport: str) -> Iterator[ServerProcess]:
    """Serve an identity model, and stop the server afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        write_identity(Path(folder) / "models", "echo")
        log = Path(folder) / "log"
        server = ServerProcess(Path(folder) / "models", log, "--grpc-transport", transport)
        try:
            yield server.wait_ready()
        finally:
            server.stop()


def end_of(peer: Http2Peer) -> str:
    """Return how a peer's connection ended, if it did."""
    peer.socket.settimeout(QUIET)
    try:
        code = peer.last_words()
    except TimeoutError:
        return "survived"
    return "closed" if code is None else f"GOAWAY {code}"


def cost_of(server: ServerProcess, flood: Callable[[], bytes]) -> Cost:
    """Send a flood; a polite client on another connection has to be answered after it."""
    data = flood()
    with Http2Peer(server.grpc) as bystander, Http2Peer(server.grpc) as peer:
        bystander.call(echo_request(2))
        cpu, memory = cpu_seconds(server.pid), resident_bytes(server.pid)
        peer.flood(data)
        end = end_of(peer)
        if bystander.call(echo_request(2)) != 0:
            raise SystemExit(f"{flood.__name__}: the other client was not answered")
        return Cost(cpu_seconds(server.pid) - cpu, resident_bytes(server.pid) - memory, end)


def row(flood: Callable[[], bytes], transport: str, costs: list[Cost]) -> str:
    """Return a line of the table."""
    cpu = max(cost.cpu for cost in costs)
    memory = max(0, *(cost.memory for cost in costs)) / (1 << 20)
    ends = " / ".join(sorted({cost.end for cost in costs}))
    name = flood.__name__.replace("_", " ")
    return f"| {name} | {len(flood()):,} | {transport} | {cpu:.2f} | {memory:.1f} | {ends} |"


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=TESTS / "benchmarks/results/floods.md")
    options = parser.parse_args()
    rows = []
    for transport in ("native", "python"):
        with started(transport) as server:
            for flood in FLOODS:
                costs = [cost_of(server, flood) for _ in range(options.rounds)]
                rows.append(row(flood, transport, costs))
                print(rows[-1], flush=True)
    head = (
        f"# Floods\n\nWhat one flood costs the server, largest of {options.rounds} rounds: CPU "
        "time in seconds (steps of 10 ms),\ngrowth of resident memory in MiB. A client on "
        "another connection is answered after each.\n\n"
        "| flood | bytes offered | transport | CPU s | MiB | end |\n"
        "| --- | ---: | --- | ---: | ---: | --- |"
    )
    options.output.write_text("\n".join([head, *sorted(rows)]) + "\n")


if __name__ == "__main__":
    main()
