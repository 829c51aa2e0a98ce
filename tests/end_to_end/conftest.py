"""Fixtures of the end-to-end tests: servers of their own, started and stopped as a user would."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_folders import write_identity, write_samples
from server_process import ServerProcess


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the log of every server that still runs with a failure."""
    report = yield
    if report.failed:
        for server in ServerProcess.running:
            report.sections.append((f"inferd serve (pid {server.pid})", server.log[-2000:]))
    return report


@pytest.fixture
def repository(tmp_path) -> Path:
    """A model repository with one identity model, ``echo``."""
    folder = tmp_path / "models"
    folder.mkdir()
    write_identity(folder, "echo")
    return folder


@pytest.fixture(scope="session")
def onnx_samples(tmp_path_factory) -> Path:
    """A folder with the sample models that need no download."""
    folder = tmp_path_factory.mktemp("samples") / "models"
    write_samples(folder, "simple", "simple_identity")
    return folder


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., ServerProcess]]:
    """A function that starts a server; every server is stopped at the end of the test."""
    started: list[ServerProcess] = []

    def start(repository: Path, *flags: str) -> ServerProcess:
        server = ServerProcess(repository, tmp_path / f"serve{len(started)}.log", *flags)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def serve_unix(repository, serve, tmp_path) -> Callable[..., ServerProcess]:
    """A function that starts a server on the Unix sockets h, g and m of the test's folder."""

    def start(*flags: str) -> ServerProcess:
        return serve(
            repository, "--http-address", f"unix://{tmp_path}/h", "--grpc-address",
            f"unix://{tmp_path}/g", "--metrics-address", f"unix://{tmp_path}/m", *flags,
        )  # fmt: skip

    return start
