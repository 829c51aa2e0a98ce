"""TLS, mutual TLS, Unix domain sockets and shared ports, with clients as others have them."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from client_process import run_client
from curl import run_curl
from plain_http import PlainHttp
from server_process import run_serve

CLIENTS = Path(__file__).with_name("clients")
ONE = b'{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[7]}]}'
ANSWER = "[[3.0, 4.0]]"
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def ask(protocol: str, address: str, *files: str) -> str:
    """Return what tritonclient prints."""
    return run_client(CLIENTS / "secure.py", protocol, address, *files).strip()


def curl(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Return how curl ended; it prints HTTP's version and status."""
    told = ("-s", "-S", "-m", "20", "-o", "/dev/null", "-w", "%{http_version} %{http_code}")
    return subprocess.run(["curl", *told, *arguments, url], capture_output=True, text=True)


def tls_flags(pair, root="") -> list[str]:
    """Return the options of TLS on both ports; with a root, of mutual TLS."""
    flags = []
    for service in ("http", "grpc"):
        flags += [f"--{service}-server-cert", pair.certificate]
        flags += [f"--{service}-server-key", pair.key]
        if root:
            flags += [f"--{service}-use-ssl-mutual", "true", f"--{service}-root-cert", root]
        else:
            flags += [f"--{service}-use-ssl", "true"]
    return flags


def named(address: str) -> str:
    """Return an address with the name that the certificate has."""
    return address.replace("127.0.0.1", "localhost")


@LOOPS
def test_tls(repository, serve, authority, server_pair, loop):
    """Both protocols are encrypted, metrics are not, and plain text disturbs nobody."""
    server = serve(repository, "--event-loop", loop, *tls_flags(server_pair))
    host, port = server.grpc.split(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for protocol in ("http", "grpc", "http-aio", "grpc-aio"):
            address = named(getattr(server, protocol.removesuffix("-aio")))
            assert ask(protocol, address, authority.root) == ANSWER
    trusting = ("--cacert", authority.root)
    assert curl(f"https://{named(server.http)}/v2/health/ready", *trusting).stdout == "1.1 200"
    assert curl(f"https://{named(server.grpc)}/", *trusting).stdout.startswith("2 ")
    old = curl(f"https://{named(server.http)}/", *trusting, "--tls-max", "1.1")
    assert old.returncode == 35
    assert curl(f"https://{named(server.http)}/").returncode == 60
    assert run_curl(server.metrics, "/metrics").status == 200
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Traceback" not in server.log


@LOOPS
def test_mutual_tls(repository, serve, authority, server_pair, client_pair, loop):
    """Only clients whose certificate leads to the root get an answer."""
    server = serve(repository, "--event-loop", loop, *tls_flags(server_pair, authority.root))
    files = (authority.root, client_pair.certificate, client_pair.key)
    for protocol in ("http", "grpc"):
        address = named(getattr(server, protocol))
        assert ask(protocol, address, *files) == ANSWER
        assert ANSWER not in ask(protocol, address, authority.root)
        assert ask(protocol, address, *files) == ANSWER
    url = f"https://{named(server.http)}/v2/health/ready"
    trusting = ("--cacert", authority.root)
    known = ("--cert", client_pair.certificate, "--key", client_pair.key)
    assert curl(url, *trusting, *known).stdout == "1.1 200"
    assert curl(url, *trusting).returncode != 0
    assert "Traceback" not in server.log


def test_a_renewed_certificate(repository, serve, authority, tmp_path):
    """SIGHUP takes the new one without a restart; a bad one is logged and not taken."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def put(name, **more):
        made = authority.issue(name, **more)
        certificate.write_bytes(Path(made.certificate).read_bytes())
        key.write_bytes(Path(made.key).read_bytes())

    def subject(address):
        asked = subprocess.run(
            ["openssl", "s_client", "-connect", address],
            input="",
            capture_output=True,
            text=True,
            # It prints the session's ticket, in which any byte may stand.
            errors="replace",
        )
        return re.search(r"subject=CN ?= ?(\w+)", asked.stdout)[1]

    put("before")
    files = ["server-cert", str(certificate), "server-key", str(key), "use-ssl", "true"]
    flags = []
    for service in ("http", "grpc"):
        for name, value in zip(files[::2], files[1::2], strict=True):
            flags += [f"--{service}-{name}", value]
    server = serve(repository, *flags)
    assert subject(server.grpc) == "before"
    put("after")
    server.signal(signal.SIGHUP)
    server.wait_until(
        lambda: server.log.count("reloaded the certificates of ") == 2, "both are reloaded"
    )
    assert (subject(server.http), subject(server.grpc)) == ("after", "after")
    put("late", days=-1)
    server.signal(signal.SIGHUP)
    server.wait_until(lambda: server.log.count("not reloaded") == 2, "both are refused")
    assert (subject(server.http), subject(server.grpc)) == ("after", "after")


@pytest.mark.parametrize("service", ["http", "grpc"])
@pytest.mark.parametrize("problem", ["missing", "folder", "mismatch", "expired", "roots", "unset"])
def test_files_that_cannot_be_used(
    repository, tmp_path, authority, server_pair, client_pair, service, problem
):
    """One line names option and file, the exit code is 2, and no model was loaded."""
    certificate, key = server_pair.certificate, server_pair.key
    more = []
    if problem == "missing":
        key = named_file = str(tmp_path / "missing.key")
        option = "server-key"
    elif problem == "folder":
        certificate = named_file = str(tmp_path)
        option = "server-cert"
    elif problem == "mismatch":
        key = named_file = client_pair.key
        option = "server-key"
    elif problem == "expired":
        late = authority.issue("late", days=-1)
        certificate, key = late.certificate, late.key
        option, named_file = "server-cert", certificate
    elif problem == "roots":
        option, named_file = "root-cert", key
        more = [f"--{service}-use-ssl-mutual", "1", f"--{service}-root-cert", key]
    else:
        key = named_file = ""
        option = "server-key"
    ended = run_serve(
        "--model-repository", str(repository), f"--{service}-use-ssl", "1",
        f"--{service}-server-cert", certificate, f"--{service}-server-key", key, *more,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "load" not in ended.stdout
    (line,) = ended.stderr.splitlines()
    assert f"--{service}-{option}" in line
    assert named_file in line


@LOOPS
def test_unix_sockets(repository, tmp_path, serve_unix, loop):
    """Every service, for tritonclient, curl and the commands; the files go with the server."""
    server = serve_unix("--event-loop", loop)
    http, grpc, metrics = (tmp_path / name for name in ("h", "g", "m"))
    assert f"Started HTTPService at unix://{http}" in server.log
    assert ask("grpc", f"unix:{grpc}") == ANSWER
    assert ask("grpc", f"unix://{grpc}") == ANSWER
    body = run_curl("localhost", "/v2/models/echo/infer", "--unix-socket", str(http), body=ONE)
    assert (body.status, body.json()["outputs"][0]["data"]) == (200, [7.0])
    assert run_curl("localhost", "/metrics", "--unix-socket", str(metrics)).status == 200
    for protocol, path in (("http", http), ("grpc", grpc)):
        command = [sys.executable, "-m", "inferd", "models", "-i", protocol, "-u", f"unix://{path}"]
        assert "echo" in subprocess.check_output(command, text=True)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not any(path.exists() for path in (http, grpc, metrics))


def test_unix_sockets_of_a_killed_server(serve_unix, tmp_path):
    """Its successor takes its place; a live server keeps it."""
    killed = serve_unix()
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert (tmp_path / "h").exists()
    serve_unix()
    ended = run_serve(
        "--model-repository", str(tmp_path / "models"), "--http-address", f"unix://{tmp_path}/h",
        "--allow-grpc", "0", "--allow-metrics", "0",
    )  # fmt: skip
    assert ended.returncode == 1
    assert (
        f"failed to start HTTP service: Unavailable - Socket 'unix://{tmp_path}/h' already in use"
        in ended.stderr
    )
    assert ask("grpc", f"unix://{tmp_path}/g") == ANSWER


def test_a_unix_socket_in_a_missing_folder(repository, tmp_path):
    """The line says what is missing."""
    ended = run_serve(
        "--model-repository", str(repository), "--http-address", f"unix://{tmp_path}/no/h",
        "--allow-grpc", "0", "--allow-metrics", "0",
    )  # fmt: skip
    assert ended.returncode == 1
    assert (
        f"failed to start HTTP service: Unavailable - cannot listen on {tmp_path}/no/h: "
        "no such file or directory" in ended.stderr
    )


@LOOPS
def test_two_servers_share_their_ports(repository, serve, loop):
    """With both options, and the second one answers when the first has gone."""
    shared = ("--reuse-http-port", "true", "--reuse-grpc-port", "true", "--event-loop", loop)
    first = serve(repository, *shared)
    ports = [address.rpartition(":")[2] for address in (first.http, first.grpc)]
    second = serve(repository, *shared, "--http-port", ports[0], "--grpc-port", ports[1])
    assert (second.http, second.grpc) == (first.http, first.grpc)
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    assert ask("grpc", second.grpc) == ANSWER
    connection = PlainHttp(second.http)
    assert connection.get("/v2/health/ready").status == 200
    connection.close()
