"""
Runs h2load for a fixed number of requests and reads what it measured.
"""

import re
import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from messages import Request, check, encode
from servers import Server

_RUN_SECONDS: Final = 30.0
_TICKS_PER_SECOND: Final = 100


class LoadFailed(Exception):
    """h2load failed, or not every request was answered well."""


@dataclass(frozen=True, slots=True)
class Cell:
    """
    One way to load a server.

    Attributes:
        server: Which server.
        protocol: ``"grpc"``, ``"http json"`` or ``"http binary"``.
        model: Which model.
        in_flight: Requests kept in flight: gRPC streams of one connection, or HTTP
            connections.
    """

    server: Server
    protocol: str
    model: str
    in_flight: int


@dataclass(frozen=True, slots=True)
class Run:
    """
    What one run measured.

    Attributes:
        rate: Requests per second.
        p50: Median latency, in milliseconds.
        p99: 99th percentile of the latency, in milliseconds.
        cpu: Processor time of the server, in microseconds per request.
        batch: Mean batch size.
        others: Share of the machine's processor time that neither server nor client took.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    batch: float
    others: float


def measure(cell: Cell, requests: int) -> Run:
    """
    Load a server with a number of requests and check that it answered each.

    One more request is sent before and after, and its answer decoded.

    Raises:
        LoadFailed: h2load failed, or a request was not answered well.
        WrongAnswer: The server computed something else.
    """
    server = cell.server
    check(cell.protocol, cell.model, server.host, server.port(cell.protocol))
    before, server_cpu = server.counters(cell.model), server.cpu_seconds()
    machine, children, start = _machine_seconds(), _children_seconds(), time.perf_counter()
    rate, latencies = _h2load(cell, requests)
    elapsed = time.perf_counter() - start
    server_cpu = server.cpu_seconds() - server_cpu
    children = _children_seconds() - children
    busy, cores = (now - then for now, then in zip(_machine_seconds(), machine, strict=True))
    after = server.counters(cell.model)
    if after.successes - before.successes != requests:
        counted = after.successes - before.successes
        raise LoadFailed(f"{cell}: {requests} requests, {counted} successes")
    check(cell.protocol, cell.model, server.host, server.port(cell.protocol))
    executions = after.executions - before.executions
    others = (busy - server_cpu - children) / max(cores, elapsed)
    return Run(
        rate=rate,
        p50=statistics.median(latencies),
        p99=statistics.quantiles(latencies, n=100)[98],
        cpu=server_cpu * 1e6 / requests,
        batch=(after.inferences - before.inferences) / max(executions, 1),
        others=max(others, 0.0) if server.process else 0.0,
    )


def _h2load(cell: Cell, requests: int) -> tuple[float, list[float]]:
    """Return requests per second and all latencies in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = _command(cell, encode(cell.protocol, cell.model), requests, Path(folder))
        try:
            ran = subprocess.run(
                command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
            )
        except FileNotFoundError as error:
            raise LoadFailed("h2load is missing: apt-get install nghttp2-client") from error
        except subprocess.TimeoutExpired as error:
            raise LoadFailed(f"{cell}: no end after {_RUN_SECONDS} s") from error
        rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", ran.stdout)
        good = re.search(r"(\d+) succeeded", ran.stdout)
        if rate is None or good is None or int(good.group(1)) != requests:
            raise LoadFailed(f"{cell}:\n{ran.stdout}{ran.stderr}")
        lines = log.read_text().splitlines()
    return float(rate.group(1)), [int(line.split("\t")[2]) / 1000 for line in lines]


def _command(cell: Cell, request: Request, requests: int, folder: Path) -> list[str]:
    body = folder / "body"
    body.write_bytes(request.body)
    clients, streams = (1, cell.in_flight) if cell.protocol == "grpc" else (cell.in_flight, 1)
    command = ["h2load", "-t", "1", "-n", str(requests), "-c", str(clients), "-m", str(streams)]
    command += ["-d", str(body), "--log-file", str(folder / "log")]
    if cell.protocol != "grpc":
        command.append("--h1")
    for name, value in request.headers.items():
        command += ["-H", f"{name}: {value}"]
    port = cell.server.port(cell.protocol)
    return [*command, f"http://{cell.server.host}:{port}{request.path}"]


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _machine_seconds() -> tuple[float, float]:
    """Return the processor time of the whole machine: busy, and in all."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    ticks = [int(field) for field in fields]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / _TICKS_PER_SECOND, sum(ticks) / _TICKS_PER_SECOND
