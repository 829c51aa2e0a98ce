"""The gRPC port as nghttp, h2load and curl see it: HTTP/2 clients that are not gRPC's."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from http2_peer import SERVICE, echo_request

HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")
CURL = ("-s", "-S", "-m", "20", "--http2-prior-knowledge", "-D", "-", "-o", "/dev/null")


def run(*command: str | Path) -> str:
    """Return what a command prints; skip the test where it is not installed."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: nghttp2-client, curl)")
    return subprocess.run(
        command, capture_output=True, check=True, timeout=60, text=True, errors="replace"
    ).stdout


@pytest.fixture
def url(grpc_server) -> str:
    """The method that infers."""
    return f"http://{grpc_server.grpc}{SERVICE}ModelInfer"


@pytest.fixture
def body(tmp_path) -> Path:
    """A file with a framed inference request of some size."""
    file = tmp_path / "body"
    file.write_bytes(echo_request(5000))
    return file


def test_nghttp(url, body):
    """It gets an answer, its size and the status in trailers, for each of several requests."""
    said = run("nghttp", "-v", "-n", "-m", "5", *HEADERS, "-d", body, url)
    assert len(re.findall(r"grpc-status: 0", said)) == 5
    assert len(re.findall(r"recv .*DATA frame <length=[1-9]", said)) >= 5
    assert "error_code=NO_ERROR" in said


def test_nghttp_with_small_windows(url, body):
    """Answers longer than a window of 1 KiB come as it is opened again."""
    said = run("nghttp", "-v", "-n", "-w", "10", "-W", "10", *HEADERS, "-d", body, url)
    assert re.search(r"grpc-status: 0", said)
    assert len(re.findall(r"recv .*DATA frame <length=[1-9]", said)) >= 20


@pytest.mark.parametrize("shape", [("-c", "1", "-m", "32"), ("-c", "8", "-m", "4")])
def test_h2load(url, body, shape):
    """Every request is answered, over one connection and over several."""
    said = run("h2load", "-n", "400", *shape, *HEADERS, "-d", body, url)
    assert "400 succeeded, 0 failed, 0 errored, 0 timeout" in said
    assert "status codes: 400 2xx" in said


def test_curl_calls(url, body):
    """HTTP/2 without negotiation; the status comes in trailers."""
    said = run("curl", *CURL, *HEADERS, "--data-binary", f"@{body}", url)
    assert said.startswith("HTTP/2 200")
    assert "grpc-status: 0" in said


@pytest.mark.parametrize(
    ("arguments", "status"),
    [((), "405"), ((*HEADERS, "--data-binary", "x"), "200")],
    ids=["get", "truncated"],
)
def test_curl_is_told_what_is_wrong(url, arguments, status):
    """What is no gRPC call gets an HTTP status; what is no message, a gRPC status."""
    said = run("curl", *CURL, *arguments, url)
    assert said.startswith(f"HTTP/2 {status}")
    assert re.search(r"grpc-status: [1-9]", said)


def test_curl_upgrades_from_http_1_are_not_taken(grpc_server):
    """A client that begins with HTTP/1.1 is hung up on, and says so at once."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    ended = subprocess.run(
        ["curl", "-s", "-m", "20", "--http2", f"http://{grpc_server.grpc}/"], check=False
    )
    assert ended.returncode not in (0, 28)
