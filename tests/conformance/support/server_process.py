"""
Runs ``inferd serve`` as a user would: a process of its own, found by what it logs.

Every server listens on loopback at ports the system chose; the three ``Started`` lines of
its log say which. A server is stopped by its process id, and its log is kept in a file so
that a failing test can show it.
"""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

STARTED = {
    "http": r"Started HTTPService at (unix:[\w./-]+|[\d.]+:\d+)",
    "grpc": r"Started GRPCInferenceService at (unix:[\w./-]+|[\d.]+:\d+)",
    "metrics": r"Started Metrics Service at (unix:[\w./-]+|[\d.]+:\d+)",
}
LOOPBACK = ("--http-address", "127.0.0.1", "--grpc-address", "127.0.0.1")
ANY_PORT = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
SECONDS = 30.0


def serve_command(*flags: str) -> list[str]:
    """Return the command line of a server with these flags and no others."""
    return [sys.executable, "-m", "inferd", "serve", *flags]


def run_serve(*flags: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end by itself, and return how it ended."""
    return subprocess.run(
        serve_command(*flags), capture_output=True, text=True, timeout=seconds, check=False
    )


class ServerProcess:
    """
    One running server.

    Args:
        repository: Its model repository.
        log: The file its output goes to.
        flags: More flags; later ones win over the defaults.

    Attributes:
        http: ``host:port`` or ``unix:///path`` of the HTTP service, likewise ``grpc``,
            ``metrics``.
        repository: Its model repository.
    """

    running: ClassVar[list["ServerProcess"]] = []

    def __init__(self, repository: Path, log: Path, *flags: str) -> None:
        self.repository = repository
        self._log = log
        command = serve_command("--model-repository", str(repository), *LOOPBACK, *ANY_PORT, *flags)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        ServerProcess.running.append(self)
        try:
            addresses = {name: self._address(line) for name, line in STARTED.items()}
        except BaseException:
            self.stop()
            raise
        self.http, self.grpc, self.metrics = addresses.values()

    @property
    def log(self) -> str:
        """Everything the server has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self) -> "ServerProcess":
        """Return when the server says it is ready."""
        self.wait_until(lambda: self.get_status("/v2/health/ready") == 200, "the server is ready")
        return self

    def get_status(self, path: str) -> int:
        """Return the status of a GET on a connection of its own."""
        connection = http.client.HTTPConnection(self.http, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def wait_until(self, holds: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Return when ``holds`` is true; fail when it is not in time or the server ended."""
        deadline = time.monotonic() + seconds
        while not holds():
            if self._process.poll() is not None:
                raise AssertionError(f"exit code {self._process.returncode}:\n{self.log}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}\n{self.log}")
            time.sleep(0.02)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the server."""
        self._process.send_signal(number)

    def wait(self, seconds: float = SECONDS) -> int:
        """Return the exit code once the server has ended."""
        return self._process.wait(seconds)

    def stop(self) -> None:
        """End the server, politely at first."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self in ServerProcess.running:
            ServerProcess.running.remove(self)

    def _address(self, line: str) -> str:
        pattern = re.compile(line)
        self.wait_until(lambda: pattern.search(self.log) is not None, line)
        found = pattern.search(self.log)
        assert found is not None
        return found[1]
