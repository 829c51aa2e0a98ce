"""
Runs h2load for a fixed number of requests and reads what it measured.
"""

import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from cases import Case
from messages import check, encode
from processes import ProcessorTime, children_seconds, machine_seconds, processor_time
from servers import Counters, Server

_RUN_SECONDS: Final = 120.0
_FINISHED: Final = re.compile(r"finished in [^,]+, ([\d.]+) req/s")
_SUCCEEDED: Final = re.compile(r"(\d+) succeeded")


class LoadFailed(Exception):
    """h2load failed, or not every request was answered well."""


@dataclass(frozen=True, slots=True)
class Cell:
    """
    A case against a server.

    Attributes:
        case: How it is loaded.
        server: Which server.
    """

    case: Case
    server: Server


@dataclass(frozen=True, slots=True)
class Run:
    """
    What one run measured.

    Attributes:
        rate: Requests per second.
        p50: Median latency, in milliseconds.
        p99: 99th percentile of the latency, in milliseconds.
        user: Processor time in the server's own code, in microseconds per request.
        system: Its processor time in the kernel, in microseconds per request.
        batch: Mean batch size.
        others: Share of the machine's processor time that neither the loaded server nor the
            client took.
    """

    rate: float
    p50: float
    p99: float
    user: float
    system: float
    batch: float
    others: float


def measure(cell: Cell, requests: int) -> Run:
    """
    Load a server with a number of requests and check that it answered each.

    One more request is sent before, and its answer decoded.

    Raises:
        LoadFailed: h2load failed, or a request was not answered well.
        WrongAnswer: The server computed something else.
    """
    case, server = cell.case, cell.server
    if server.infers:
        check(case.protocol, case.model, server.host, server.port(case))
    before, took = server.counters(case.model), processor_time(server.process)
    machine, children, start = machine_seconds(), children_seconds(), time.perf_counter()
    rate, latencies_ms = _timed_load(cell, requests)
    elapsed = time.perf_counter() - start
    took = processor_time(server.process) - took
    children = children_seconds() - children
    busy, cores = (now - then for now, then in zip(machine_seconds(), machine, strict=True))
    after = server.counters(case.model)
    if server.infers and after.successes - before.successes != requests:
        counted = after.successes - before.successes
        raise LoadFailed(f"{case.name}, {server.name}: {requests} requests, {counted} successes")
    others = (busy - took.user - took.system - children) / max(cores, elapsed)
    p50, p99 = np.percentile(latencies_ms, (50, 99))
    return _run(rate, float(p50), float(p99), took, before, after, requests, max(others, 0.0))


def _run(
    rate: float,
    p50: float,
    p99: float,
    took: ProcessorTime,
    before: Counters,
    after: Counters,
    requests: int,
    others: float,
) -> Run:
    executions = after.executions - before.executions
    return Run(
        rate=rate,
        p50=p50,
        p99=p99,
        user=took.user * 1e6 / requests,
        system=took.system * 1e6 / requests,
        batch=(after.inferences - before.inferences) / max(executions, 1),
        others=others,
    )


def run_load(cell: Cell, requests: int) -> float:
    """Send the requests, see that all are answered well, and return how many per second."""
    with tempfile.TemporaryDirectory() as folder:
        return _finished(_command(cell, requests, Path(folder)), cell, requests)


def _timed_load(cell: Cell, requests: int) -> tuple[float, "np.ndarray"]:
    """Return requests per second and all latencies in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        line = [*_command(cell, requests, Path(folder)), "--log-file", str(log)]
        rate = _finished(line, cell, requests)
        return rate, np.loadtxt(log, delimiter="\t", usecols=2, ndmin=1) / 1000


def _finished(line: list[str], cell: Cell, requests: int) -> float:
    try:
        ran = subprocess.run(
            line, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise LoadFailed("h2load is missing: apt-get install nghttp2-client") from error
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(
            f"{cell.case.name}, {cell.server.name}: no end after {_RUN_SECONDS} s"
        ) from error
    try:
        return parse_report(ran.stdout, requests)
    except ValueError:
        raise LoadFailed(
            f"{cell.case.name}, {cell.server.name}:\n{ran.stdout}{ran.stderr}"
        ) from None


def parse_report(text: str, requests: int) -> float:
    """
    Return the requests per second that h2load reports.

    Raises:
        ValueError: It reports none, or not that all requests were answered well.
    """
    rate, good = _FINISHED.search(text), _SUCCEEDED.search(text)
    if rate is None or good is None or int(good.group(1)) != requests:
        raise ValueError("not every request was answered well")
    return float(rate.group(1))


def _command(cell: Cell, requests: int, folder: Path) -> list[str]:
    """Return h2load's command line; the body goes to a file in the folder."""
    case = cell.case
    request = encode(case.protocol, case.model)
    body = folder / "body"
    body.write_bytes(request.body)
    line = ["h2load", "-t", "1", "-n", str(requests), "-d", str(body)]
    line += ["-c", str(case.connections), "-m", str(case.streams)]
    if case.over_http:
        line.append("--h1")
    for name, value in request.headers.items():
        line += ["-H", f"{name}: {value}"]
    return [*line, f"http://{cell.server.host}:{cell.server.port(case)}{request.path}"]
