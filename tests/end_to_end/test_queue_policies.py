"""Queue policies over HTTP: limits, timeouts and priorities of a model that is slow."""

import json
import time

import pytest
from model_folders import write_identity
from plain_http import PlainHttp

SLOW_MS = 1000
POLICIES = {
    "full": "default_queue_policy { max_queue_size: 1 }",
    "timed": "default_queue_policy { default_timeout_microseconds: 100000 }",
    "delayed": "default_queue_policy { default_timeout_microseconds: 1000 timeout_action: DELAY }",
    "own": "default_queue_policy { allow_timeout_override: true }",
    "levels": "priority_levels: 2 default_priority_level: 2",
}


@pytest.fixture
def server(repository, serve):
    """A server whose models take a second each and execute one request at a time."""
    for name, policy in POLICIES.items():
        more = f"dynamic_batching {{ {policy} }}\ninstance_group [{{ count: 1 kind: KIND_CPU }}]\n"
        write_identity(repository, name, batch=1, delay_ms=SLOW_MS, more=more)
    return serve(repository).wait_ready()


def send(server, model: str, value: float, **parameters: int) -> PlainHttp:
    """Send a request and do not wait for its answer; return the connection it comes on."""
    tensor = {"name": "INPUT0", "shape": [1, 1], "datatype": "FP32", "data": [value]}
    connection = PlainHttp(server.http)
    body = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    connection.send("POST", f"/v2/models/{model}/infer", body)
    # The server reads connections in no particular order.
    time.sleep(0.1)
    return connection


def answer(connection: PlainHttp) -> tuple[int, object]:
    """Return the status and the value, or the error text."""
    reply = connection.receive()
    connection.close()
    return reply.status, reply.error if reply.status >= 400 else reply.json()["outputs"][0]["data"]


def failures(server, model: str) -> int:
    """Return how many requests of a model the metrics count as rejected."""
    connection = PlainHttp(server.metrics)
    text = connection.get("/metrics").body.decode()
    connection.close()
    (line,) = (
        line
        for line in text.splitlines()
        if line.startswith("nv_inference_request_failure")
        and f'model="{model}"' in line
        and 'reason="REJECTED"' in line
    )
    return int(float(line.rsplit(" ", 1)[1]))


def test_a_full_queue_answers_503_at_once(server):
    """One executes, one waits, the third is told; the first two are answered."""
    first, second, third = (send(server, "full", value) for value in (1, 2, 3))
    started = time.monotonic()

    assert answer(third) == (503, "Exceeds maximum queue size")
    assert time.monotonic() - started < SLOW_MS / 2000
    assert [answer(first), answer(second)] == [(200, [1.0]), (200, [2.0])]
    assert failures(server, "full") == 1


def test_a_timeout_answers_503_while_another_request_executes(server):
    """At the timeout of the config, not when the instance is free."""
    first = send(server, "timed", 1)
    started = time.monotonic()
    second = send(server, "timed", 2)

    assert answer(second) == (503, "Request timeout expired")
    assert 0.09 < time.monotonic() - started < SLOW_MS / 2000
    assert answer(first) == (200, [1.0])
    assert failures(server, "timed") == 1


def test_a_request_brings_its_own_timeout_where_allowed(server):
    """In microseconds, as a parameter; the others wait."""
    first = send(server, "own", 1)
    hasty, patient = send(server, "own", 2, timeout=1000), send(server, "own", 3)

    assert answer(hasty) == (503, "Request timeout expired")
    assert [answer(first), answer(patient)] == [(200, [1.0]), (200, [3.0])]


def test_a_delayed_request_is_answered(server):
    """It waits for longer, and is not rejected."""
    first, second = send(server, "delayed", 1), send(server, "delayed", 2)

    assert [answer(first), answer(second)] == [(200, [1.0]), (200, [2.0])]
    assert failures(server, "delayed") == 0


def test_a_higher_priority_overtakes(server):
    """Level 1 is executed before requests of the default level that came earlier."""
    started = time.monotonic()
    first, low = send(server, "levels", 1), send(server, "levels", 2)
    high = send(server, "levels", 3, priority=1)

    assert answer(high) == (200, [3.0])
    assert time.monotonic() - started < 2.5 * SLOW_MS / 1000
    assert answer(low) == (200, [2.0])
    assert time.monotonic() - started > 2.9 * SLOW_MS / 1000
    assert answer(first) == (200, [1.0])
    assert "no effect" not in server.log
