"""The response cache, as clients and Prometheus see it."""

import json
import re
from pathlib import Path

import pytest
from client_process import run_client
from model_folders import write_identity
from server_process import run_serve

CLIENT = Path(__file__).with_name("clients") / "repeated_requests.py"
CACHED = "response_cache { enable: true }"


@pytest.fixture(name="ask_repeatedly")
def _ask_repeatedly(serve, repository):
    """Start a server with a cached and a plain model and send both the same request 4 times."""

    def ask(*flags):
        write_identity(repository, "cached", more=CACHED)
        server = serve(repository, *flags).wait_ready()
        addresses = (server.http, server.grpc, server.metrics)
        return json.loads(run_client(CLIENT, *addresses, "cached", "echo")), server.log

    return ask


def counts(statistics):
    """Return the counts of a model's statistics; zero is left out of protobuf's JSON."""
    found = {"executions": int(statistics.get("execution_count", 0))}
    for name, duration in statistics["inference_stats"].items():
        if duration:
            found[name] = int(duration["count"])
            assert int(duration.get("ns", 0)) or name == "queue"
    return found


def cache_metrics(text):
    """Return name -> value of the cache's counters, all of which are of the cached model."""
    found = re.findall(r'^(nv_cache_\w+){model="cached",version="1"} (\d+)', text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^nv_cache_", text, re.MULTILINE))
    return {name: int(value) for name, value in found}


@pytest.mark.parametrize("flag", ["--cache-config=local,size=1000000",
                                  "--response-cache-byte-size=1000000"])  # fmt: skip
def test_a_repeated_request_is_executed_once(ask_repeatedly, flag):
    """Over both protocols; hits are successes that were not computed, and have own ids."""
    seen, log = ask_repeatedly(flag)
    ids = [f"tritonclient.{name}-{i}" for name in ("http", "grpc") for i in range(2)]

    for model in ("cached", "echo"):
        assert seen["answers"][model] == [[one, True] for one in ids]
    assert counts(seen["statistics"]["cached"]) == {
        "executions": 1, "success": 4, "queue": 4, "cache_hit": 3, "cache_miss": 1,
        "compute_input": 1, "compute_infer": 1, "compute_output": 1,
    }  # fmt: skip
    assert counts(seen["statistics"]["echo"]) == {
        "executions": 4, "success": 4, "queue": 4,
        "compute_input": 4, "compute_infer": 4, "compute_output": 4,
    }  # fmt: skip
    metrics = cache_metrics(seen["metrics"])
    assert metrics.pop("nv_cache_hit_duration_per_model") > 0
    assert metrics.pop("nv_cache_miss_duration_per_model") > 0
    assert metrics == {"nv_cache_num_hits_per_model": 3, "nv_cache_num_misses_per_model": 1}
    assert 'nv_inference_request_success{model="cached",version="1"} 4' in seen["metrics"]
    assert 'nv_inference_exec_count{model="cached",version="1"} 1' in seen["metrics"]
    assert re.search(r"\| cache_enabled +\| 1 +\|", log)


def test_without_a_cache_every_request_is_executed(ask_repeatedly):
    """The log says that the model's wish has no effect, and there are no metrics of a cache."""
    seen, log = ask_repeatedly()

    assert counts(seen["statistics"]["cached"])["executions"] == 4
    assert cache_metrics(seen["metrics"]) == {}
    assert "model 'cached': 'response_cache' has no effect" in log
    assert re.search(r"\| cache_enabled +\| 0 +\|", log)


def test_another_cache_is_refused(repository):
    """In one line."""
    ended = run_serve("--model-repository", str(repository), "--cache-config=redis,host=h")

    assert ended.returncode == 2
    assert ended.stderr == (
        "inferd: --cache-config: cache 'redis' is not supported; only 'local' is\n"
    )
