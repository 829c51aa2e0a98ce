"""``inferd bench`` against running servers."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from model_folders import tensors, write_identity, write_model
from plain_http import PlainHttp
from server_process import ServerProcess

from inferd.__main__ import main

REPEAT = (
    'backend: "repeat"\nmodel_transaction_policy { decoupled: true }\n'
    + tensors("input", "IN", "INT32", [-1])
    + tensors("input", "DELAY", "UINT32", [-1])
    + tensors("input", "WAIT", "UINT32", [1])
    + tensors("output", "OUT", "INT32", [1])
    + tensors("output", "IDX", "UINT32", [1])
)


ACCUMULATED = "sequence_batching { direct { } }\ninstance_group [{ count: 1 kind: KIND_CPU }]\n"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two servers of the same models."""
    folder = tmp_path_factory.mktemp("bench")
    repository = folder / "models"
    write_identity(repository, "echo", dims=[4])
    write_identity(repository, "words", "STRING", dims=[2])
    write_identity(repository, "large", dims=[-1], batch=0)
    write_model(repository, "repeat_int32", REPEAT)
    write_identity(repository, "sequence", dims=[1], more=ACCUMULATED)
    started = [ServerProcess(repository, folder / f"log{index}") for index in range(2)]
    yield [server.wait_ready() for server in started]
    for server in started:
        server.stop()


CONCURRENT = ["--concurrency-range", "5"]


def bench(server, *arguments, protocol="http", model="echo"):
    """Run the command and return what it printed, and how it ended."""
    url = server.grpc if protocol == "grpc" else server.http
    command = [sys.executable, "-m", "inferd", "bench", "-m", model, "-u", url, "-i", protocol]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def measured(done, file):
    """Return the results of a run that succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(Path(file).read_text())["results"]


def inferences(server, model):
    """Return how many rows the server says it inferred."""
    http = PlainHttp(server.http)
    statistics = http.get(f"/v2/models/{model}/stats").json()["model_stats"][0]
    http.close()
    return int(statistics.get("inference_count", 0))


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("http", []),
        ("http", ["--json"]),
        ("http", ["--input-tensor-format", "json"]),
        ("grpc", []),
        ("grpc", ["--streaming"]),
        ("grpc", ["--connections", "2"]),
        ("grpc", ["--grpc-compression-algorithm", "gzip"]),
        ("grpc", ["--streaming", "--grpc-compression-algorithm", "deflate"]),
        ("http", ["--request-rate-range", "500", "--request-distribution", "poisson"]),
        ("grpc", ["--request-rate-range", "500"]),
        ("grpc", ["--request-intervals", "INTERVALS"]),
    ],
)
def test_every_request_is_answered_and_counted_once(servers, tmp_path, protocol, more):
    """The server counts exactly the rows that were sent, over every protocol and by every load."""
    server, file, intervals = servers[0], tmp_path / "out.json", tmp_path / "intervals"
    intervals.write_text("1000\n0\n3000\n")
    more = [str(intervals) if word == "INTERVALS" else word for word in more]
    load = [] if {"--request-rate-range", "--request-intervals"} & {*more} else CONCURRENT
    before = inferences(server, "echo")
    done = bench(
        server,
        *(*load, *more, "--processes", "2", "--request-count", "101", "-b", "3"),
        *("-f", str(file)),
        protocol=protocol,
    )
    (result,) = measured(done, file)
    assert (result["answered"], result["failed"]) == (101, 0)
    assert inferences(server, "echo") - before == 303
    assert result["server_side"]["inferences"] == 303
    assert sum(count for _, count in result["histogram"]) == 101


@pytest.mark.parametrize("more", [["--json"], ["--string-data", "7"], ["-z"]])
def test_strings(servers, tmp_path, more):
    """BYTES tensors can be sent, too."""
    file = tmp_path / "out.json"
    done = bench(servers[0], "--request-count", "5", *more, "-f", str(file), model="words")
    assert measured(done, file)[0]["answered"] == 5


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_large_tensors(servers, tmp_path, protocol):
    """Requests and responses far larger than a flow-control window arrive."""
    file = tmp_path / "out.json"
    done = bench(
        servers[0],
        *("--shape", "INPUT0:300000", "--concurrency-range", "4", "--request-count", "12"),
        *("-f", str(file)),
        protocol=protocol,
        model="large",
    )
    assert measured(done, file)[0]["answered"] == 12


def test_responses_of_a_decoupled_model_are_counted(servers, tmp_path):
    """A decoupled request ends with its final response; all its responses count."""
    data, file = tmp_path / "in.json", tmp_path / "out.json"
    entry = {"content": [1, 2, 3], "shape": [3]}
    none = {"content": [0, 0, 0], "shape": [3]}
    data.write_text(json.dumps({"data": [{"IN": entry, "DELAY": none, "WAIT": [0]}]}))
    done = bench(
        servers[0],
        *("--streaming", "--input-data", str(data), "--request-count", "20"),
        *("--concurrency-range", "2", "-f", str(file)),
        protocol="grpc",
        model="repeat_int32",
    )
    (result,) = measured(done, file)
    ratio = result["responses_per_second"] / result["requests_per_second"]
    assert (result["answered"], ratio) == (20, pytest.approx(3))
    assert result["first_response_us"]["mean"] <= result["latency_us"]["mean"]


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("http", [*CONCURRENT]),
        ("http", ["--json", *CONCURRENT]),
        ("grpc", [*CONCURRENT, "--processes", "2"]),
        ("grpc", ["--streaming", *CONCURRENT, "--sequence-id-range", "3:9"]),
        ("http", ["--request-rate-range", "2000", "--num-of-sequences", "2", "--processes", "4"]),
        ("grpc", ["--streaming", "--request-rate-range", "2000"]),
    ],
)
def test_sequences_are_whole(servers, tmp_path, protocol, more):
    """A model that takes sequences answers each request of them, and none is left open."""
    file = tmp_path / "out.json"
    length = ("--sequence-length", "6", "--sequence-length-variation", "50")
    done = bench(
        servers[0],
        *(*more, *length, "--request-count", "200", "-f", str(file)),
        protocol=protocol,
        model="sequence",
    )
    (result,) = measured(done, file)
    assert (result["answered"], result["failed"]) == (200, 0)
    http = PlainHttp(servers[0].http)
    assert http.get("/v2/models/sequence/scheduler").json()["sequences"]["live"] == 0
    http.close()


def test_largest_load_within_a_latency(servers):
    """A binary search measures both ends first and says which level was the largest."""
    done = bench(
        servers[0],
        *("--concurrency-range", "1:4:1", "--binary-search", "-l", "60000"),
        *("--request-count", "10", "--no-histogram"),
    )
    assert done.returncode == 0, done.stderr
    assert "largest level with a mean latency of at most 60000 ms: 4 in flight" in done.stdout


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_unix_sockets_are_loaded(serve_unix, tmp_path, protocol):
    """Servers that listen on Unix domain sockets can be loaded over them."""
    serve_unix()
    url, file = f"unix://{tmp_path}/{protocol[0]}", tmp_path / "out.json"
    command = [sys.executable, "-m", "inferd", "bench", "-m", "echo", "-i", protocol, "-u", url]
    done = subprocess.run(
        [*command, "--shape", "INPUT0:3", "--request-count", "20", "-f", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (result,) = measured(done, file)
    assert (result["answered"], result["failed"]) == (20, 0)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_encrypted_servers_are_loaded(
    repository, serve, authority, server_pair, client_pair, tmp_path, protocol
):
    """Servers with mutual TLS can be loaded with the files that perf_analyzer is given."""
    server = serve(
        repository,
        f"--{protocol}-use-ssl-mutual=true",
        f"--{protocol}-server-cert={server_pair.certificate}",
        f"--{protocol}-server-key={server_pair.key}",
        f"--{protocol}-root-cert={authority.root}",
    )
    file = tmp_path / "out.json"
    command = [sys.executable, "-m", "inferd", "bench", "-m", "echo", "-i", protocol]
    done = subprocess.run(
        [
            *(*command, "-u", TLS_URL[protocol].format(getattr(server, protocol))),
            *(word.format(authority, client_pair) for word in TLS_FILES[protocol]),
            *("--shape", "INPUT0:3", "--request-count", "20", "-f", str(file)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (result,) = measured(done, file)
    assert (result["answered"], result["failed"]) == (20, 0)


TLS_URL = {"http": "https://{}", "grpc": "{}"}
TLS_FILES = {
    "http": [
        *("--ssl-https-ca-certificates-file", "{0.root}"),
        *("--ssl-https-client-certificate-file", "{1.certificate}"),
        *("--ssl-https-private-key-file", "{1.key}"),
    ],
    "grpc": [
        *("--ssl-grpc-use-ssl", "--ssl-grpc-root-certifications-file", "{0.root}"),
        *("--ssl-grpc-certificate-chain-file", "{1.certificate}"),
        *("--ssl-grpc-private-key-file", "{1.key}"),
    ],
}


def test_compare_alternates_two_servers(servers, tmp_path):
    """Both servers get the same requests, and a ratio is printed."""
    file = tmp_path / "out.json"
    before = [inferences(server, "echo") for server in servers]
    other = servers[1].http
    done = bench(
        servers[0],
        *("--compare", other, "--rounds", "3", "--request-count", "10", "-f", str(file)),
    )
    names = [result["server"] for result in measured(done, file)]
    assert names == [servers[0].http, other] * 3
    assert [inferences(server, "echo") for server in servers] == [n + 30 for n in before]
    assert "RATIO" in done.stdout


def test_reports(servers, tmp_path):
    """Levels have a row each in the CSV, with perf_analyzer's columns; plots are SVG and PNG."""
    table, drawing, image = (tmp_path / f"out.{kind}" for kind in ("csv", "svg", "png"))
    done = bench(
        servers[0],
        *("--concurrency-range", "1:3:2", "-p", "50", "--max-trials", "3", "--percentile", "95"),
        *("-f", str(table), "--plot", str(drawing), "--plot", str(image)),
        *("--measurement-mode", "count_windows", "--measurement-request-count", "30"),
    )
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["Concurrency"] for row in rows] == ["1", "3"]
    assert float(rows[0]["Inferences/Second"]) > 0
    assert int(rows[0]["p50 latency"]) <= int(rows[0]["p99 latency"])
    assert int(rows[0]["p95 latency"]) > 0
    assert drawing.read_text().startswith("<svg")
    assert image.read_bytes().startswith(b"\x89PNG")
    assert "3 in flight" in done.stdout
    assert "█" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_interrupted_run_shows_what_was_measured(servers):
    """After Ctrl-C the measurements so far are printed; the exit code is 130."""
    url = servers[0].http
    command = [sys.executable, "-m", "inferd", "bench", "-m", "echo", "-u", url]
    before = inferences(servers[0], "echo")
    running = subprocess.Popen(
        [*command, "-p", "600000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while inferences(servers[0], "echo") - before < 10_000 and running.poll() is None:
        pass
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "requests/s" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-m", "nosuch"], 1, "unknown model: 'nosuch'"),
        (["-u", "127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["--shape", "INPUT0:3"], 2, "shape [3] is not [4]"),
        (["-u", "unix:///nonexistent/socket"], 1, "unix:/nonexistent/socket"),
        (["-i", "grpc", "-u", "grpcs://127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["-m", "sequence", "--sequence-id-range", "1:3", *CONCURRENT], 2, "2 ids for 5 sequences"),
        (
            ["-m", "sequence", "--sequence-id-range", "1:9", "--concurrency-range", "1:0", "-l1"],
            2,
            "without one",
        ),
        (["-z", "--input-data", "x.json"], 2, "goes with no other"),
        (["--shape", "X:3"], 2, "no input 'X'"),
        (["-b", "9"], 2, "batches of up to 8"),
        (["-m", "large"], 2, "say --shape INPUT0:..."),
        (["-m", "repeat_int32"], 2, "--streaming"),
        (["--streaming"], 2, "-i grpc"),
        (["-i", "grpc", "--json"], 2, "-i http"),
        (["--input-data", "/nonexistent.json"], 2, "/nonexistent.json"),
        (["--concurrency-range", "0"], 2, "'0' is not START"),
        (["--concurrency-range", "1", "--request-rate-range", "1"], 2, "not allowed with"),
        (["-f", "out.txt"], 2, ".csv, .json"),
    ],
)
def test_errors_are_one_line(servers, arguments, code, message, capsys):
    """What cannot be measured is said in one line, with the exit codes of the other commands."""
    url = servers[0].grpc if "grpc" in arguments else servers[0].http
    try:
        found = main(["bench", "-m", "echo", "-u", url, *arguments])
    except SystemExit as end:
        found = end.code
    said = capsys.readouterr().err
    assert found == code
    assert message in said
    assert said.count("\n") == 1


def test_requests_that_all_fail_end_the_run(servers):
    """When nothing but errors come, the commonest is the command's error."""
    done = bench(servers[0], "-H", "Content-Encoding: bogus", "--request-count", "5")
    assert done.returncode == 1
    assert "all 5 requests failed" in done.stderr
