"""
Serves a sample repository, classifies a picture over HTTP and gRPC, and shows the metrics.

Everything it starts is stopped again, whatever happens. It needs nothing but the Python
that inferd is installed in::

    python examples/demo.py MODELS
"""

import argparse
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = "densenet_onnx"
START_SECONDS = 60
STOP_SECONDS = 15

SERVICES = {
    "http": re.compile(r"Started HTTPService at \S*?:(\d+)"),
    "grpc": re.compile(r"Started GRPCInferenceService at \S*?:(\d+)"),
    "metrics": re.compile(r"Started Metrics Service at \S*?:(\d+)"),
}
METRICS = (
    "nv_inference_request_success",
    "nv_inference_count",
    "nv_inference_exec_count",
)


class DemoFailed(Exception):
    """The demonstration did not show what it should."""


def main() -> int:
    """Run the demonstration and return its exit code."""
    parser = argparse.ArgumentParser(description="serve the samples and classify a picture")
    parser.add_argument("models", type=Path, help="a folder written by 'inferd samples'")
    parser.add_argument("--log", type=Path, default=Path(".demo/server.log"), help="server's log")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("demo: terminated"))
    args.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with running_server(args.models, args.log) as server:
            show(args.models, *wait_until_ready(server, args.log))
    except DemoFailed as error:
        print(f"demo: {error}\nThe end of the server's log ({args.log}):", file=sys.stderr)
        print("\n".join(args.log.read_text().splitlines()[-20:]), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def running_server(models: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server on free ports and stop it at the end."""
    command = [sys.executable, "-m", "inferd", "serve", "--model-repository", str(models)]
    for service in SERVICES:
        command += [f"--{service}-address", "127.0.0.1", f"--{service}-port", "0"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> tuple[int, int, int]:
    """
    Return the ports of HTTP, gRPC and metrics once the server is ready.

    Raises:
        DemoFailed: The server ended or took too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        ports = [int(found[1]) for line in SERVICES.values() if (found := line.search(text))]
        if len(ports) == len(SERVICES) and is_ready(ports[0]):
            return ports[0], ports[1], ports[2]
        if server.poll() is not None:
            raise DemoFailed(f"the server ended with exit code {server.returncode}")
        time.sleep(0.05)
    raise DemoFailed(f"the server was not ready after {START_SECONDS} seconds")


def is_ready(port: int) -> bool:
    """Return whether every model of the server is ready."""
    try:
        fetch(port, "/v2/health/ready")
    except urllib.error.URLError:
        return False
    return True


def show(models: Path, http_port: int, grpc_port: int, metrics_port: int) -> None:
    """
    Classify the picture over both protocols and print the metrics.

    Raises:
        DemoFailed: A command failed or the counters do not say 2.
    """
    classify(models, "-i", "http", "-u", f"localhost:{http_port}")
    classify(models, "-i", "grpc", "-u", f"localhost:{grpc_port}")
    print(f"$ curl localhost:{metrics_port}/metrics")
    lines = fetch(metrics_port, "/metrics").splitlines()
    of_model = [line for line in lines if line.startswith(METRICS) and f'"{MODEL}"' in line]
    print("\n".join(of_model))
    expected = f'nv_inference_request_success{{model="{MODEL}",version="1"}} 2'
    if expected not in of_model:
        raise DemoFailed(f"the metrics do not say {expected}")


def classify(models: Path, *options: str) -> None:
    """
    Print and run one classification.

    Raises:
        DemoFailed: It failed.
    """
    command = ["classify", "-m", MODEL, "-c", "3", "-s", "INCEPTION", *options, "mug.jpg"]
    print(f"$ inferd {' '.join(command)}", flush=True)
    finished = subprocess.run([sys.executable, "-m", "inferd", *command], cwd=models, check=False)
    if finished.returncode != 0:
        raise DemoFailed(f"classify ended with exit code {finished.returncode}")
    print(flush=True)


def fetch(port: int, path: str) -> str:
    """Return what a local port answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return str(response.read().decode())


if __name__ == "__main__":
    sys.exit(main())
