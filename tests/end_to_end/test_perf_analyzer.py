"""NVIDIA's perf_analyzer, the binary itself, against a running server."""

import json

import pytest
from model_folders import tensors, write_identity, write_model, write_samples
from perf_analyzer import NotAvailable, PerfAnalyzer
from plain_http import PlainHttp
from server_process import ServerProcess

REPEAT = (
    'backend: "repeat"\nmodel_transaction_policy { decoupled: true }\n'
    + tensors("input", "IN", "INT32", [-1])
    + tensors("input", "DELAY", "UINT32", [-1])
    + tensors("input", "WAIT", "UINT32", [1])
    + tensors("output", "OUT", "INT32", [1])
    + tensors("output", "IDX", "UINT32", [1])
)
CACHED = "response_cache { enable: true }"
ENSEMBLE = """
platform: "ensemble" max_batch_size: 8
input { name: "IN" data_type: TYPE_INT32 dims: [ 16 ] }
output { name: "OUT" data_type: TYPE_INT32 dims: [ 16 ] }
ensemble_scheduling {
  step { model_name: "simple" model_version: -1
    input_map { key: "INPUT0" value: "IN" } input_map { key: "INPUT1" value: "IN" }
    output_map { key: "OUTPUT0" value: "sum" } }
  step { model_name: "cached" model_version: -1
    input_map { key: "INPUT0" value: "sum" } output_map { key: "OUTPUT0" value: "OUT" } }
}
"""
JSON = ("--input-tensor-format", "json", "--output-tensor-format", "json")
SHORT = ("--sequence-length", "5")


@pytest.fixture(scope="session")
def perf_analyzer(request, tmp_path_factory):
    """The command; fetched once and kept in pytest's cache."""
    cache = request.config.cache
    folder = cache.mkdir("perf_analyzer") if cache else tmp_path_factory.mktemp("perf_analyzer")
    try:
        return PerfAnalyzer(folder)
    except NotAvailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a model of every kind that perf_analyzer treats differently."""
    folder = tmp_path_factory.mktemp("perf_analyzer")
    repository = folder / "models"
    write_samples(repository, "simple", "simple_string", "simple_sequence", "simple_dyna_sequence")
    write_model(repository, "repeat_int32", REPEAT)
    write_identity(repository, "cached", "INT32", dims=[16], more=CACHED)
    write_identity(repository, "vector", dims=[-1], batch=0)
    write_model(repository, "steps", ENSEMBLE)
    started = ServerProcess(repository, folder / "log", "--cache-config", "local,size=1048576")
    yield started.wait_ready()
    started.stop()


@pytest.fixture
def measure(perf_analyzer, tmp_path):
    """A function that loads a model of a server and checks what nothing may be wrong about."""

    def measure(server, protocol, model, *arguments):
        http = PlainHttp(server.http)
        before = counts(http, model)
        where = ("-i", protocol, "-u", getattr(server, protocol), "-m", model)
        rows, printed = perf_analyzer.measure(tmp_path / "report.csv", *where, *arguments)
        successes, failures = (
            now - then for now, then in zip(counts(http, model), before, strict=True)
        )
        http.close()
        assert failures == 0
        assert successes > 0
        assert all(float(row["Inferences/Second"]) > 0 for row in rows)
        assert all(int(row["p50 latency"]) > 0 for row in rows)
        return rows, printed

    return measure


def counts(http, model):
    """Return how many requests of a model succeeded and failed so far."""
    stats = http.get(f"/v2/models/{model}/stats").json()["model_stats"][0]["inference_stats"]
    return tuple(int(stats[kind].get("count", 0)) for kind in ("success", "fail"))


@pytest.mark.parametrize(
    ("protocol", "arguments"),
    [
        ("http", []),
        ("http", [*JSON]),
        ("http", ["--input-tensor-format", "json", "-b", "8"]),
        ("http", ["--async", *JSON]),
        ("http", ["--async"]),
        ("grpc", ["--sync"]),
        ("grpc", ["--async"]),
        ("grpc", ["--async", "--streaming", "-b", "3"]),
        ("grpc", ["--grpc-compression-algorithm", "gzip"]),
        ("grpc", ["--async", "--grpc-compression-algorithm", "deflate"]),
    ],
)
def test_requests_in_flight(measure, server, protocol, arguments):
    """Every way of sending tensors works with a number of requests in flight, and none fails."""
    rows, _ = measure(server, protocol, "simple", "--concurrency-range", "1:4:3", *arguments)
    assert sorted(row["Concurrency"] for row in rows) == ["1", "4"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_request_rates(measure, server, protocol):
    """Requests at a rate are answered at that rate."""
    rates = ("--request-rate-range", "100:200:100", "--request-distribution", "poisson")
    rows, _ = measure(server, protocol, "simple", "--async", *rates)
    assert sorted(float(row["Request Rate"]) for row in rows) == [100, 200]


@pytest.mark.parametrize(
    ("protocol", "arguments"), [("http", []), ("http", [*JSON]), ("grpc", ["--async"])]
)
def test_strings(measure, server, protocol, arguments):
    """BYTES tensors travel as JSON and binary."""
    measure(server, protocol, "simple_string", "--string-data", "7", *arguments)


def test_shapes_that_vary(measure, server):
    """A model with a variable dimension is measured with the shape that is asked for."""
    measure(server, "grpc", "vector", "--shape", "INPUT0:100000")


@pytest.mark.parametrize("model", ["simple_sequence", "simple_dyna_sequence"])
@pytest.mark.parametrize(
    ("protocol", "arguments"),
    [
        ("http", ["--concurrency-range", "4"]),
        ("grpc", ["--sync", "--concurrency-range", "2"]),
        ("grpc", ["--streaming", "--concurrency-range", "4", "--sequence-id-range", "7:20"]),
        ("grpc", ["--streaming", "--request-rate-range", "100", "--num-of-sequences", "3"]),
    ],
)
def test_sequences(measure, server, model, protocol, arguments):
    """Sequence models are loaded with whole sequences, none of which is left open."""
    measure(server, protocol, model, *SHORT, *arguments)
    http = PlainHttp(server.http)
    scheduler = http.get(f"/v2/models/{model}/scheduler").json()
    http.close()
    assert scheduler["sequences"]["live"] == 0


def test_responses_of_a_decoupled_model(measure, server, tmp_path):
    """The responses of a decoupled model are counted beside its requests."""
    data = tmp_path / "in.json"
    entry = {"content": [4, 5, 6], "shape": [3]}
    delays = {"content": [0, 0, 0], "shape": [3]}
    data.write_text(json.dumps({"data": [{"IN": entry, "DELAY": delays, "WAIT": [0]}]}))
    how = ("--async", "--streaming", "--concurrency-range", "2", "--input-data", str(data))
    (row,), _ = measure(server, "grpc", "repeat_int32", *how)
    ratio = float(row["Response Throughput"]) / float(row["Inferences/Second"])
    assert 2 <= ratio <= 4


def test_cache_hits_are_seen(measure, server):
    """The time of cache hits, which our statistics tell, has its column."""
    (row,), _ = measure(server, "grpc", "cached")
    assert int(row["Server Cache Hit"]) >= 0


def test_steps_of_an_ensemble_are_seen(measure, server):
    """An ensemble's report has its steps: their configs and statistics are read, too."""
    _, printed = measure(server, "grpc", "steps", "--concurrency-range", "2")
    assert "Composing models" in printed
    assert all(f"{step}, version" in printed for step in ("simple", "cached"))


def test_server_metrics_are_collected(measure, server):
    """Our metrics can be collected during a measurement."""
    url = f"{server.metrics}/metrics"
    collect = ("--collect-metrics", "--metrics-url", url, "--metrics-interval", "20")
    (row,), _ = measure(server, "http", "simple", "--verbose-csv", *collect)
    assert "Avg GPU Utilization" in row


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "nosuch"], "unknown model: 'nosuch'"),
        (["-m", "simple", "-x", "7"], "'simple' version 7"),
        (["-m", "simple", "-b", "9"], "batch-size must be <= 8 for 'simple'"),
    ],
)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_refusals_are_shown(perf_analyzer, server, protocol, arguments, message):
    """What the server refuses ends perf_analyzer with the server's words."""
    where = ("-i", protocol, "-u", getattr(server, protocol))
    done = perf_analyzer.run(*where, *arguments, "-p", "100")
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_tls(perf_analyzer, serve, onnx_samples, authority, server_pair, tmp_path):
    """Both protocols work encrypted."""
    flags = [
        f"--{service}-{name}={value}"
        for service in ("http", "grpc")
        for name, value in [
            ("use-ssl", "true"),
            ("server-cert", server_pair.certificate),
            ("server-key", server_pair.key),
        ]
    ]
    server = serve(onnx_samples, *flags)
    address = {name: getattr(server, name).replace("127.0.0.1", "localhost") for name in TRUST}
    for protocol, trusting in TRUST.items():
        scheme = "https://" if protocol == "http" else ""
        (row,), _ = perf_analyzer.measure(
            tmp_path / f"{protocol}.csv",
            *("-m", "simple", "-i", protocol, "-u", scheme + address[protocol]),
            *(argument.format(root=authority.root) for argument in trusting),
        )
        assert float(row["Inferences/Second"]) > 0


TRUST = {
    "http": ["--ssl-https-ca-certificates-file", "{root}"],
    "grpc": ["--ssl-grpc-use-ssl", "--ssl-grpc-root-certifications-file", "{root}"],
}
