"""Starting and stopping a server: log lines, exit codes, draining, ports in use."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from model_folders import write_identity
from plain_http import PlainHttp
from server_process import ANY_PORT, LOOPBACK, run_serve

CLIENTS = Path(__file__).with_name("clients")
ONE = b'{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[7]}]}'


def slow_http_request(server) -> PlainHttp:
    """Send a request to the slow model and do not wait for its answer."""
    connection = PlainHttp(server.http)
    connection.send("POST", "/v2/models/slow/infer", ONE)
    return connection


@pytest.fixture
def slow_grpc_request():
    """A function that starts a gRPC client which has sent a slow request when it returns."""
    started: list[subprocess.Popen] = []

    def start(server) -> subprocess.Popen:
        client = subprocess.Popen(
            [sys.executable, str(CLIENTS / "slow_request.py"), server.grpc],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(client)
        assert client.stdout.readline() == "sent\n"
        return client

    yield start
    for client in started:
        client.kill()
        client.communicate()


def wait_for_requests(server, count: int) -> None:
    """Return when the slow model has this many requests in flight."""

    def holds() -> bool:
        connection = PlainHttp(server.metrics)
        text = connection.get("/metrics").body.decode()
        connection.close()
        pending = re.search(
            r'nv_inference_pending_request_count\{model="slow",version="1"\} (\d+)', text
        )
        # A request that executes is no longer pending; the first one executes.
        return pending is not None and int(pending[1]) >= count - 1

    server.wait_until(holds, f"{count} requests are in flight")
    time.sleep(0.2)


def test_start_up_says_what_is_served(repository, serve):
    """The log has the reference's tables and the three addresses, in records of its format."""
    server = serve(repository).wait_ready()
    log = server.log
    for table in (
        r"\| Backend +\| Path +\| Config +\|",
        r"\| Model +\| Version +\| Status +\|",
        r"\| echo +\| 1 +\| READY +\|",
        r"\| Option +\| Value +\|",
        r"\| server_id +\| triton +\|",
        r"\| model_control_mode +\| MODE_NONE +\|",
        r"\| strict_readiness +\| 1 +\|",
        r"\| exit_timeout +\| 30 +\|",
    ):
        assert re.search(table, log), table
    record = r"^I\d{4} \d\d:\d\d:\d\d\.\d{6} \d+ [\w.]+:\d+\] "
    assert re.search(record + r'"?Started HTTPService at 127\.0\.0\.1:\d+', log, re.MULTILINE)
    assert re.search(record + r"\"?successfully loaded 'echo'", log, re.MULTILINE)


def test_sigterm_drains(repository, serve, slow_grpc_request):
    """Requests in flight are answered, nothing new is taken, and the exit code is 0."""
    write_identity(repository, "slow", delay_ms=1000)
    server = serve(repository).wait_ready()
    watcher = PlainHttp(server.http)
    assert watcher.get("/v2/health/ready").status == 200
    grpc_client = slow_grpc_request(server)
    waiting = slow_http_request(server)
    wait_for_requests(server, 2)
    server.signal(signal.SIGTERM)
    server.wait_until(lambda: "Signal (15) received." in server.log, "the signal is seen", 2)
    assert not_ready(watcher), "an open connection must see at once that the server is not ready"
    grpc_client.stdin.write("go\n")
    grpc_client.stdin.flush()
    assert grpc_client.stdout.readline() == "not ready\n"
    answer = waiting.receive()
    assert answer.status == 200, answer
    assert answer.json()["outputs"][0]["data"] == [7.0]
    said, _ = grpc_client.communicate(timeout=20)
    assert said.splitlines()[-1] == "OK [7.0]"
    assert server.wait(20) == 0
    assert "Waiting for in-flight requests to complete." in server.log
    waiting.close()
    watcher.close()


def not_ready(connection: PlainHttp) -> bool:
    """Tell whether a draining server says it is not ready, or has hung up."""
    try:
        return connection.get("/v2/health/ready").status in (400, 503)
    except (ConnectionError, OSError):
        return True


def test_a_request_that_outlasts_the_exit_timeout_is_given_up(repository, serve):
    """After ``--exit-timeout-secs`` the server ends with exit code 1 and says so."""
    write_identity(repository, "slow", delay_ms=20_000)
    server = serve(repository, "--exit-timeout-secs", "1").wait_ready()
    waiting = slow_http_request(server)
    wait_for_requests(server, 1)
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait(15) == 1
    assert 0.9 < time.monotonic() - started < 6
    assert "Exit timeout expired. Exiting immediately." in server.log
    waiting.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(repository, serve, number):
    """With nothing in flight, not even an idle client delays the end; the exit code is 0."""
    server = serve(repository).wait_ready()
    idle = PlainHttp(server.http)
    assert idle.get("/v2/health/live").status == 200
    started = time.monotonic()
    server.signal(number)
    assert server.wait(10) == 0
    assert time.monotonic() - started < 3
    assert f"Signal ({number.value}) received." in server.log
    idle.close()


@pytest.mark.parametrize(
    ("flag", "line"),
    [
        ("--http-port", "failed to start HTTP service: Unavailable - Socket '{}' already in use"),
        ("--grpc-port", "failed to start GRPC service: Unavailable - Socket '{}' already in use"),
        ("--metrics-port", "Socket '{}' already in use"),
    ],
)
def test_a_port_in_use_ends_the_start(repository, flag, line):
    """A taken port is named in the last line and the exit code is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_serve("--model-repository", str(repository), *LOOPBACK, *ANY_PORT, flag, port)
    assert ended.returncode == 1
    assert line.format(f"127.0.0.1:{port}") in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ["--nonesuch"],
        ["--http-port", "abc"],
        ["--strict-readiness", "maybe"],
        ["--model-control-mode", "sometimes"],
        ["--load-model", "echo"],
        ["--http-max-input-size", "0"],
        [],
    ],
    ids=lambda flags: " ".join(flags) or "no repository",
)
def test_a_bad_flag_is_one_line_and_exit_code_2(repository, flags):
    """A wrong command line ends with one line that names the flag."""
    known = ["--model-repository", str(repository)] if flags else []
    ended = run_serve(*known, *flags)
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert (flags[0] if flags else "--model-repository") in line


def test_a_repository_that_is_not_there_ends_the_start(tmp_path):
    """A wrong path is named, without a traceback."""
    ended = run_serve("--model-repository", str(tmp_path / "nowhere"), *LOOPBACK, *ANY_PORT)
    assert ended.returncode in (1, 2)
    assert "nowhere" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_old_spelling_of_the_repository_flag_works(repository, serve):
    """``--model-store`` names a repository too, and its models are served."""
    more = repository.parent / "more"
    write_identity(more, "other")
    server = serve(repository, f"--model-store={more}").wait_ready()
    assert server.get_status("/v2/models/other/ready") == 200


def test_the_server_is_ready_soon(repository, serve):
    """A cold start to readiness stays far below what a start-up probe would allow."""
    started = time.monotonic()
    serve(repository).wait_ready()
    assert time.monotonic() - started < 10
