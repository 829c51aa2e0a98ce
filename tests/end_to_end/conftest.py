"""Fixtures of the end-to-end tests: servers of their own, started and stopped as a user would."""

import importlib.util
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from http2_peer import Http2Peer
from model_folders import tensors, write_identity, write_model, write_samples
from server_process import ServerProcess

REPEAT = (
    'backend: "repeat"\nmodel_transaction_policy { decoupled: true }\n'
    + tensors("input", "IN", "INT32", [-1])
    + tensors("input", "DELAY", "UINT32", [-1])
    + tensors("input", "WAIT", "UINT32", [1])
    + tensors("output", "OUT", "INT32", [1])
    + tensors("output", "IDX", "UINT32", [1])
)
"""A model that answers a request with as many responses as it has elements."""


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


@pytest.fixture(scope="session")
def standing_server(tmp_path_factory) -> Iterator[Callable[..., ServerProcess]]:
    """A function that returns a ready server over ``echo`` and ``repeat``, one per set of flags."""
    folder = tmp_path_factory.mktemp("standing")
    write_identity(folder / "models", "echo")
    write_model(folder / "models", "repeat", REPEAT)
    started: list[ServerProcess] = []

    @cache
    def start(*flags: str) -> ServerProcess:
        with pytest.MonkeyPatch.context() as patch:
            # Large blocks go back to the system when they are freed, so that what is resident
            # is what is held.
            patch.setenv("MALLOC_MMAP_THRESHOLD_", "1048576")
            log = folder / f"{len(started)}.log"
            started.append(ServerProcess(folder / "models", log, *flags))
        return started[-1].wait_ready()

    yield start
    for server in started:
        server.stop()


@pytest.fixture(params=["native", "python"])
def grpc_transport(request) -> str:
    """One gRPC transport after the other; skipped where it is not built."""
    if request.param == "native" and not importlib.util.find_spec("inferd_kernels.wire._http2"):
        pytest.skip("the HTTP/2 kernel is not built")
    return request.param


@pytest.fixture
def grpc_server(standing_server, grpc_transport) -> ServerProcess:
    """A server with each gRPC transport."""
    return standing_server("--grpc-transport", grpc_transport)


@pytest.fixture
def bystander(grpc_server) -> Iterator[Http2Peer]:
    """A polite gRPC client, connected before the test's other peers."""
    with Http2Peer(grpc_server.grpc) as peer:
        yield peer


@pytest.fixture
def serve_unix(repository, serve, tmp_path) -> Callable[..., ServerProcess]:
    """A function that starts a server on the Unix sockets h, g and m of the test's folder."""

    def start(*flags: str) -> ServerProcess:
        return serve(
            repository, "--http-address", f"unix://{tmp_path}/h", "--grpc-address",
            f"unix://{tmp_path}/g", "--metrics-address", f"unix://{tmp_path}/m", *flags,
        )  # fmt: skip

    return start
