"""
The servers being measured: those started here, and perhaps one that is already running.
"""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cases import Case

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_HERE: Final = Path(__file__).parent
_COMMANDS: Final = {
    "inferd": ["-m", "inferd"],
    "python": [str(_HERE / "without_kernels.py")],
}


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

    successes: int = 0
    inferences: int = 0
    executions: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """
    Where a server listens.

    Attributes:
        name: What the report calls it.
        host: Its address.
        ports: A case's name, ``"grpc"`` or ``"http"`` -> where it takes it.
        process: Its process id, or None when only its ports are known.
        infers: Whether it answers with tensors and has statistics.
    """

    name: str
    host: str
    ports: Mapping[str, int]
    process: int | None = None
    infers: bool = True

    def __hash__(self) -> int:
        return hash(self.name)

    def port(self, case: Case) -> int:
        """Return the port that takes a case's requests."""
        return self.ports.get(case.name) or self.ports[case.protocol.partition(" ")[0]]

    def is_ready(self) -> bool:
        """Ask whether the server and all its models are ready."""
        try:
            return self._get("/v2/health/ready")[0] == 200
        except OSError:
            return False

    def counters(self, model: str) -> Counters:
        """Read a model's statistics; zeros where there are none."""
        if not self.infers:
            return Counters()
        _, body = self._get(f"/v2/models/{model}/stats")
        stats: dict[str, Any] = json.loads(body)["model_stats"][0]
        return Counters(
            int(stats["inference_stats"]["success"].get("count", 0)),
            int(stats.get("inference_count", 0)),
            int(stats.get("execution_count", 0)),
        )

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.ports["http"], timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def serving(
    name: str, repository: Path, log: Path, options: Sequence[str] = ()
) -> Iterator[tuple[Server, float]]:
    """
    Serve a repository on free ports, and stop the server afterwards.

    Args:
        name: ``"inferd"``, or ``"python"`` for the one without native modules.
        repository: The models.
        log: Where its output goes.
        options: Further options of the server.

    Yields:
        The server, once it is ready, and the seconds that took.

    Raises:
        NotStarted: It ended, or was not ready in time; the message holds its log's end.
    """
    ports = dict(zip(("http", "grpc", "metrics"), free_ports(3), strict=True))
    command = [sys.executable, *_COMMANDS[name], "serve", "--model-repository", str(repository)]
    for service, port in ports.items():
        command += [f"--{service}-port", str(port)]
    begun = time.perf_counter()
    with running([*command, *options], log) as process:
        server = Server(name, "127.0.0.1", ports, process.pid)
        while not server.is_ready():
            waited = time.perf_counter() - begun
            if process.poll() is not None or waited > _START_SECONDS:
                raise NotStarted(f"no server after {waited:.1f} s:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield server, time.perf_counter() - begun


@contextmanager
def echoing(answers: Mapping[str, bytes], folder: Path) -> Iterator[Server]:
    """
    Run the echo, and stop it afterwards.

    Args:
        answers: The name of each case over HTTP -> what it is answered with.
        folder: For its files.

    Raises:
        NotStarted: It ended, or did not listen in time.
    """
    grpc, *ports = free_ports(1 + len(answers))
    command = [sys.executable, str(_HERE / "echo.py"), str(grpc)]
    for port, (number, answer) in zip(ports, enumerate(answers.values()), strict=True):
        (folder / f"answer{number}").write_bytes(answer)
        command += [str(port), str(folder / f"answer{number}")]
    log = folder / "echo.log"
    with running(command, log) as process:
        named = {"grpc": grpc, **dict(zip(answers, ports, strict=True))}
        begun = time.perf_counter()
        while not all(map(_listens, named.values())):
            if process.poll() is not None or time.perf_counter() - begun > _START_SECONDS:
                raise NotStarted(f"no echo:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield Server("echo", "127.0.0.1", named, process.pid, infers=False)


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with its output in a file, and end it afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Find ports nobody listens on; another process may still take one before the server does."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
