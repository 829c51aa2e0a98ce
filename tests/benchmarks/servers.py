"""
The servers being measured: one started here, and perhaps one that is already running.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class NotStarted(Exception):
    """The server ended or did not become ready."""


@dataclass(frozen=True, slots=True)
class Counters:
    """
    What a model's statistics say.

    Attributes:
        successes: Requests answered well.
        inferences: Their batch sizes added up.
        executions: How often the model ran.
    """

    successes: int
    inferences: int
    executions: int


@dataclass(frozen=True, slots=True)
class Server:
    """
    Where a server listens.

    Attributes:
        name: What the report calls it.
        host: Its address.
        http_port: Where it takes HTTP.
        grpc_port: Where it takes gRPC.
        process: Its process id, or None when only its ports are known.
    """

    name: str
    host: str
    http_port: int
    grpc_port: int
    process: int | None

    def port(self, protocol: str) -> int:
        """Return the port for ``"grpc"`` or one of the HTTP protocols."""
        return self.grpc_port if protocol == "grpc" else self.http_port

    def is_ready(self) -> bool:
        """Ask whether the server and all its models are ready."""
        try:
            return self._get("/v2/health/ready")[0] == 200
        except OSError:
            return False

    def counters(self, model: str) -> Counters:
        """Read a model's statistics."""
        _, body = self._get(f"/v2/models/{model}/stats")
        stats: dict[str, Any] = json.loads(body)["model_stats"][0]
        return Counters(
            int(stats["inference_stats"]["success"].get("count", 0)),
            int(stats.get("inference_count", 0)),
            int(stats.get("execution_count", 0)),
        )

    def cpu_seconds(self) -> float:
        """Return the processor time of all threads so far; 0 where the process is unknown."""
        if self.process is None:
            return 0.0
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mib(self) -> float:
        """Return the proportional share of memory, in MiB; 0 where the process is unknown."""
        if self.process is None:
            return 0.0
        for line in Path(f"/proc/{self.process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.http_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def started(repository: Path, log: Path) -> Iterator[tuple[Server, float]]:
    """
    Serve a repository on free ports, and stop the server afterwards.

    Yields:
        The server, once it is ready, and the seconds that took.

    Raises:
        NotStarted: It ended, or was not ready in time; the message holds its log's end.
    """
    http_port, grpc_port, metrics_port = _free_ports(3)
    command = [sys.executable, "-m", "inferd", "serve", "--model-repository", str(repository)]
    for flag, value in (("http", http_port), ("grpc", grpc_port), ("metrics", metrics_port)):
        command += [f"--{flag}-port", str(value)]
    begun = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    server = Server("inferd", "127.0.0.1", http_port, grpc_port, process.pid)
    try:
        while not server.is_ready():
            waited = time.perf_counter() - begun
            if process.poll() is not None or waited > _START_SECONDS:
                raise NotStarted(f"no server after {waited:.1f} s:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield server, time.perf_counter() - begun
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    """Find ports nobody listens on; another process may still take one before the server does."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
