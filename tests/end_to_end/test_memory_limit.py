"""A server whose clients want it to hold more than it may."""

import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).with_name("clients") / "slow_writers.py"
LIMIT = 56 << 20
"""Two of the client's twelve requests of 24 MiB fit."""

SLACK = 24 << 20


def memory(server) -> int:
    """Return the bytes of memory a server's process has."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    ("protocol", "flags", "answers", "refused"),
    [
        ("grpc", ("--grpc-transport", "native"), "2 taken, 10 grpc-status 8",
         "StatusCode.RESOURCE_EXHAUSTED"),
        ("grpc", ("--grpc-transport", "python"), "2 taken, 10 grpc-status 8",
         "StatusCode.RESOURCE_EXHAUSTED"),
        ("http", ("--http-fast-lane", "true"), "2 taken, 10 HTTP/1.1 503 Service Unavailable",
         "503"),
        ("http", ("--http-fast-lane", "false"), "2 taken, 10 HTTP/1.1 503 Service Unavailable",
         "503"),
    ],
    ids=["native", "python", "lane", "aiohttp"],
)  # fmt: skip
def test_slow_writers_do_not_use_up_the_memory(
    repository, serve, protocol, flags, answers, refused
):
    """Most are refused, the memory stays within the limit, and small requests are answered."""
    if "native" in flags:
        pytest.importorskip("inferd_kernels.wire._http2", reason="the kernel is not built")
    server = serve(repository, "--max-in-flight-bytes", str(LIMIT), *flags).wait_ready()
    before = memory(server)
    command = [sys.executable, str(CLIENT), protocol, getattr(server, protocol)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout.readline().strip() == answers
        assert memory(server) - before < LIMIT + SLACK
        rest, _ = client.communicate("\n", timeout=60)
    assert client.returncode == 0
    assert rest.split("\n")[:3] == ["OK 1000", refused, f"OK {20 << 20}"]
