"""Deadlines through a real server: what comes too late is answered in time and not executed."""

import json
from pathlib import Path

import pytest
from client_process import run_client
from model_folders import tensors, write_identity, write_model
from plain_http import PlainHttp

CLIENT = Path(__file__).with_name("clients") / "impatient_request.py"
SLOW_MS = 1000
ONE_INSTANCE = "instance_group [{ count: 1 kind: KIND_CPU }]\n"
OPTED_IN = 'parameters { key: "inferd_deadline_from_timeout" value { string_value: "true" } }\n'
TIMED = "dynamic_batching { default_queue_policy { default_timeout_microseconds: 100000 } }\n"
CHAIN = """ensemble_scheduling {
  step { model_name: "slow" model_version: -1
    input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "between" } }
  step { model_name: "quick" model_version: -1
    input_map { key: "INPUT0" value: "between" } output_map { key: "OUTPUT0" value: "OUTPUT0" } }
}
"""


@pytest.fixture
def models(repository):
    """A repository with a model that takes a second, two variants, a quick one and an ensemble."""
    for name, more in (("slow", ""), ("opted", OPTED_IN), ("timed", TIMED)):
        write_identity(repository, name, batch=1, delay_ms=SLOW_MS, more=more + ONE_INSTANCE)
    write_identity(repository, "quick", batch=1)
    both = tensors("input", "INPUT0", "FP32", [-1]) + tensors("output", "OUTPUT0", "FP32", [-1])
    write_model(repository, "chain", f'platform: "ensemble"\nmax_batch_size: 1\n{both}{CHAIN}')
    return repository


@pytest.fixture
def server(models, serve):
    """A server of these models."""
    return serve(models).wait_ready()


def send(server, model: str, headers=None, **parameters: int) -> PlainHttp:
    """Send a request and do not wait for its answer; return the connection it comes on."""
    tensor = {"name": "INPUT0", "shape": [1, 1], "datatype": "FP32", "data": [7]}
    connection = PlainHttp(server.http)
    body = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    connection.send("POST", f"/v2/models/{model}/infer", body, headers)
    return connection


def begin(server, model: str) -> PlainHttp:
    """Send a request; return its connection once the model executes it."""
    connection, looking = send(server, model), PlainHttp(server.http)
    path = f"/v2/models/{model}/scheduler"
    server.wait_until(lambda: looking.get(path).json()["batches"]["executing"], "it executes")
    looking.close()
    return connection


def answer(connection: PlainHttp) -> tuple[int, object]:
    """Return the status and the value, or the error text."""
    reply = connection.receive()
    connection.close()
    return reply.status, reply.error if reply.status >= 400 else reply.json()["outputs"][0]["data"]


def statistics(server, model: str) -> tuple[int, int, int]:
    """Return the executions of a model, its successes and its failures."""
    connection = PlainHttp(server.http)
    (found,) = connection.get(f"/v2/models/{model}/stats").json()["model_stats"]
    connection.close()
    counts = found["inference_stats"]
    return found["execution_count"], counts["success"]["count"], counts["fail"]["count"]


def rejected(server, model: str) -> int:
    """Return how many requests of a model the metrics count as rejected."""
    connection = PlainHttp(server.metrics)
    lines = connection.get("/metrics").body.decode().splitlines()
    connection.close()
    wanted = ("nv_inference_request_failure", f'model="{model}"', 'reason="REJECTED"')
    (line,) = (line for line in lines if all(part in line for part in wanted))
    return int(float(line.rsplit(" ", 1)[1]))


def test_a_grpc_deadline_holds_in_the_queue(server):
    """The client library's timeout reaches the queue; nothing is executed for it."""
    first = begin(server, "slow")
    printed = run_client(CLIENT, server.grpc, "slow", "0.3", "30")

    assert printed.splitlines() == ["StatusCode.DEADLINE_EXCEEDED", "OK [7.0]"]
    assert answer(first) == (200, [7.0])
    assert statistics(server, "slow") == (2, 2, 1)


@pytest.mark.parametrize("header", ["inferd-timeout-ms", "X-Envoy-Expected-Rq-Timeout-Ms"])
def test_an_http_deadline_holds_in_the_queue(server, header):
    """It is answered 504 at its deadline, while another request executes."""
    first = begin(server, "slow")
    status, text = answer(send(server, "slow", {header: "200"}))

    assert statistics(server, "slow") == (0, 0, 1)
    assert status == 504
    assert "deadline" in text.lower()
    assert answer(first) == (200, [7.0])
    assert statistics(server, "slow") == (1, 1, 1)
    assert rejected(server, "slow") == 1


def test_an_execution_does_not_hold_the_answer_up(server):
    """It runs to its end, and its answer is dropped."""
    assert answer(send(server, "slow", {"inferd-timeout-ms": "200"})) == (504, "Deadline Exceeded")
    assert statistics(server, "slow") == (0, 0, 0)
    server.wait_until(lambda: statistics(server, "slow") == (1, 0, 1), "it has executed")


def test_no_step_of_an_ensemble_starts_after_the_deadline(server):
    """The first one executes, the second never does."""
    assert answer(send(server, "chain", {"inferd-timeout-ms": "200"}))[0] == 504
    assert answer(send(server, "slow")) == (200, [7.0])

    assert statistics(server, "quick") == (0, 0, 0)
    assert answer(send(server, "chain", {"inferd-timeout-ms": "30000"})) == (200, [7.0])
    assert statistics(server, "quick") == (1, 1, 0)


def test_a_timeout_is_a_deadline_where_the_model_says_so(server):
    """Elsewhere it means nothing to a model without a queue policy, as in Triton."""
    for model, status in (("opted", 504), ("slow", 200)):
        first, second = begin(server, model), send(server, model, timeout=200_000)

        assert answer(second)[0] == status
        assert answer(first) == (200, [7.0])


@pytest.mark.parametrize(("flags", "status"), [((), 503), (("--strict-deadlines=true",), 504)])
def test_a_queue_timeout_is_told_as_the_operator_likes(models, serve, flags, status):
    """As Triton does, or as a deadline."""
    server = serve(models, *flags).wait_ready()
    first, second = begin(server, "timed"), send(server, "timed")

    assert answer(second) == (status, "Request timeout expired")
    assert answer(first) == (200, [7.0])
    assert rejected(server, "timed") == 1
