"""
Fixtures of the conformance tests: real servers, and real clients in processes of their own.

``CONFORMANCE_SERVER=HTTP,GRPC,METRICS`` (three ``host:port``) points the tests at a server
that is already running instead of starting one: that is how a row of a table is compared
with what Triton answers.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import client_process
import pytest
from curl import run_curl
from model_folders import write_protocol_models, write_samples
from plain_http import PlainHttp, Reply
from server_process import ServerProcess

CLIENTS = Path(__file__).with_name("clients")
INPUT_LIMIT = 16 << 20


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the end of every running server's log with a failure."""
    report = yield
    if report.failed:
        for server in ServerProcess.running:
            report.sections.append((f"inferd serve (pid {server.pid})", server.log[-2000:]))
    return report


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """The sample repository with the models of the protocol tests next to it."""
    folder = tmp_path_factory.mktemp("conformance") / "models"
    write_samples(folder)
    write_protocol_models(folder)
    return folder


@pytest.fixture(scope="session")
def server(repository, tmp_path_factory) -> Iterator[Any]:
    """A ready server over :func:`repository`, shared by all tests that do not stop it."""
    given = os.environ.get("CONFORMANCE_SERVER")
    if given:
        http, grpc, metrics = given.split(",")
        yield SimpleNamespace(http=http, grpc=grpc, metrics=metrics, repository=repository)
        return
    log = tmp_path_factory.mktemp("log") / "serve.log"
    started = ServerProcess(repository, log, "--http-max-input-size", str(INPUT_LIMIT))
    try:
        yield started.wait_ready()
    finally:
        started.stop()


@pytest.fixture(scope="session")
def explicit_server(repository, tmp_path_factory) -> Iterator[ServerProcess]:
    """A ready server whose models are loaded and unloaded by its clients."""
    log = tmp_path_factory.mktemp("log") / "explicit.log"
    started = ServerProcess(repository, log, "--model-control-mode", "explicit")
    try:
        yield started.wait_ready()
    finally:
        started.stop()


@pytest.fixture(scope="session")
def input_limit() -> int:
    """The largest HTTP body the shared server takes, in bytes."""
    return INPUT_LIMIT


@pytest.fixture
def http(server) -> Iterator[PlainHttp]:
    """One keep-alive connection."""
    connection = PlainHttp(server.http)
    yield connection
    connection.close()


@pytest.fixture
def curl(server) -> Callable[..., Reply]:
    """A function that runs curl on a path of the shared server."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    return partial(run_curl, server.http)


@pytest.fixture(scope="session")
def run_client() -> Callable[..., str]:
    """A function that runs one client script to its end and returns what it printed."""

    def run(script: str, *arguments: str, given: str = "") -> str:
        return client_process.run_client(CLIENTS / script, *arguments, given=given)

    return run


@pytest.fixture(scope="session")
def grpc_requests(server, run_client) -> Callable[[list[list[Any]]], list[dict[str, Any]]]:
    """A function that sends ``[rpc, message]`` pairs over one channel, one after the other."""

    def send(requests: list[list[Any]]) -> list[dict[str, Any]]:
        printed = run_client("grpc_requests.py", server.grpc, given=json.dumps(requests))
        return json.loads(printed)

    return send
