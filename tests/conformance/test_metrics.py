"""What Prometheus reads from the metrics port, against the requests that were sent."""

import json

import pytest
from plain_http import PlainHttp
from prometheus_client.parser import text_string_to_metric_families

INFERENCE = {
    "nv_inference_request_success": "Number of successful inference requests, all batch sizes",
    "nv_inference_count": "Number of inferences performed (does not include cached requests)",
    "nv_inference_exec_count":
        "Number of model executions performed (does not include cached requests)",
    "nv_inference_request_duration_us":
        "Cumulative inference request duration in microseconds (includes cached requests)",
    "nv_inference_queue_duration_us":
        "Cumulative inference queuing duration in microseconds (includes cached requests)",
    "nv_inference_compute_input_duration_us":
        "Cumulative compute input duration in microseconds (does not include cached requests)",
    "nv_inference_compute_infer_duration_us":
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
    "nv_inference_compute_output_duration_us":
        "Cumulative inference compute output duration in microseconds"
        " (does not include cached requests)",
}  # fmt: skip
FAILURE = "nv_inference_request_failure"
PENDING = "nv_inference_pending_request_count"
REASONS = {"REJECTED", "CANCELED", "BACKEND", "OTHER"}


@pytest.fixture
def scrape(server):
    """
    A function that reads the metrics: the text, and samples by name and labels.

    The parser adds ``_total`` to the names of counters; the text has no such suffix.
    """

    def read() -> tuple[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]]:
        connection = PlainHttp(server.metrics)
        answer = connection.get("/metrics")
        connection.close()
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain")
        text = answer.body.decode()
        samples = {
            (s.name.removesuffix("_total"), tuple(sorted(s.labels.items()))): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }
        return text, samples

    return read


def of(model: str, **more: str) -> tuple[tuple[str, str], ...]:
    """Return the labels of a model's series."""
    return tuple(sorted({"model": model, "version": "1", **more}.items()))


def request(word: str = "1", batch: int = 1) -> bytes:
    """Return a request to ``simple_string`` with this text in every element."""
    return json.dumps(
        {
            "inputs": [
                {"name": n, "shape": [batch, 16], "datatype": "BYTES", "data": [word] * 16 * batch}
                for n in ("INPUT0", "INPUT1")
            ]
        }
    ).encode()


def test_the_counters_say_how_many_requests_there_were(http, scrape, grpc_requests):
    """After 12 good requests (20 rows), 3 failed and 2 refused ones, the counters say so."""
    path = "/v2/models/simple_string/infer"
    statistics = "/v2/models/simple_string/stats"
    _, before = scrape()
    (stats_before,) = http.get(statistics).json()["model_stats"]
    for batch in [1] * 10 + [8, 2]:
        assert http.post(path, request(batch=batch)).status == 200
    for _ in range(3):
        assert http.post(path, request("no number")).status == 500
    for _ in range(2):
        assert http.post(path, b'{"inputs":[]}').status == 400
    _, after = scrape()
    (stats_after,) = http.get(statistics).json()["model_stats"]
    (over_grpc,) = grpc_requests([["ModelStatistics", {"name": "simple_string", "version": "1"}]])

    def grown(name: str, **labels: str) -> float:
        key = (name, of("simple_string", **labels))
        return after[key] - before[key]

    assert grown("nv_inference_request_success") == 12
    assert grown("nv_inference_count") == 20
    assert grown("nv_inference_exec_count") == 12
    assert {reason: grown(FAILURE, reason=reason) for reason in REASONS} == {
        "BACKEND": 3, "REJECTED": 0, "CANCELED": 0, "OTHER": 0,
    }  # fmt: skip
    assert grown("nv_inference_request_duration_us") > 0
    assert after[PENDING, of("simple_string")] == 0

    def difference(*keys: str) -> int:
        first, second = stats_before, stats_after
        for key in keys:
            first, second = first[key], second[key]
        return second - first

    assert difference("inference_count") == 20
    assert difference("execution_count") == 12
    assert difference("inference_stats", "success", "count") == 12
    assert difference("inference_stats", "queue", "count") == 12
    assert difference("inference_stats", "compute_infer", "count") == 12
    assert difference("inference_stats", "fail", "count") == 3
    assert stats_after["last_inference"] > 1_600_000_000_000
    sizes = {entry["batch_size"]: entry for entry in stats_after["batch_stats"]}
    assert list(sizes) == sorted(sizes)
    assert {1, 2, 8} <= set(sizes)
    (same,) = over_grpc["message"]["model_stats"]
    assert int(same["inference_count"]) == stats_after["inference_count"]
    assert (
        int(same["inference_stats"]["fail"]["count"])
        == (stats_after["inference_stats"]["fail"]["count"])
    )


def test_names_help_texts_and_labels_are_the_references(scrape):
    """Dashboards find the families by their names, without suffixes or more labels."""
    text, samples = scrape()
    for name, help_text in INFERENCE.items():
        assert f"# HELP {name} {help_text}\n# TYPE {name} counter\n" in text
        assert (name, of("simple")) in samples
        assert f'{name}{{model="simple",version="1"}} ' in text
    assert f"# TYPE {PENDING} gauge\n" in text
    assert (PENDING, of("simple")) in samples
    assert {dict(labels)["reason"] for name, labels in samples if name == FAILURE} == REASONS
    assert f'{FAILURE}{{model="simple",reason="BACKEND",version="1"}} ' in text
    assert "_total{" not in text
    assert "_created" not in text
    assert "otel_scope" not in text


def test_every_loaded_model_has_its_series(scrape, repository):
    """The series of a model exist from its load on, at zero."""
    _, samples = scrape()
    models = {p.parent.name for p in repository.glob("*/config.pbtxt")}
    counted = {dict(labels)["model"] for name, labels in samples if name == PENDING}
    assert counted == models


def test_the_cpu_and_its_memory_are_reported(scrape):
    """The host's families are there with plausible values."""
    text, samples = scrape()
    total, used = (samples[f"nv_cpu_memory_{name}_bytes", ()] for name in ("total", "used"))
    assert 0 < used < total
    assert 0 <= samples["nv_cpu_utilization", ()] <= 1
    assert "nv_gpu_" not in text or "gpu_uuid=" in text


def test_a_client_that_hangs_up_disturbs_no_other(http, scrape, server):
    """A client that hangs up is counted once at most, as CANCELED or as a success."""
    _, before = scrape()
    body = b'{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP32","data":[1]}]}'
    leaver = PlainHttp(server.http)
    leaver.send("POST", "/v2/models/slow/infer", body)
    leaver.close()
    for _ in range(2):
        assert http.post("/v2/models/slow/infer", body).status == 200
    _, after = scrape()
    failed = [after[FAILURE, of("slow", reason=r)] - before[FAILURE, of("slow", reason=r)]
              for r in ("CANCELED", "BACKEND", "OTHER", "REJECTED")]  # fmt: skip
    served = (
        after["nv_inference_request_success", of("slow")]
        - before["nv_inference_request_success", of("slow")]
    )
    assert failed[1:] == [0, 0, 0]
    assert served >= 2
    assert served + failed[0] in (2, 3)


def test_other_paths_of_the_metrics_port(server):
    """Any other path is an empty page and another method is refused, as upstream does."""
    connection = PlainHttp(server.metrics)
    answer = connection.get("/elsewhere")
    assert (answer.status, answer.body) == (200, b"")
    assert connection.post("/metrics").status == 405
    assert connection.get("/metrics/").body.startswith(b"# HELP")
    connection.close()
