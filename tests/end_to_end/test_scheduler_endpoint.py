"""``GET .../scheduler`` of a running server: why batches closed, and what happens meanwhile."""

import json

import pytest
from model_folders import write_identity, write_model
from plain_http import PlainHttp
from server_process import ServerProcess

ONE_INSTANCE = "instance_group [{ count: 1 kind: KIND_CPU }]\n"
SLOW_MS = 400
MINUTE_US = 60_000_000
MODELS = {
    "full": {"more": "dynamic_batching { }"},
    "idle": {"more": "dynamic_batching { }"},
    "delay": {"more": "dynamic_batching { max_queue_delay_microseconds: 100 }"},
    "preferred": {
        "more": "dynamic_batching { preferred_batch_size: [ 2 ] "
        f"max_queue_delay_microseconds: {MINUTE_US} }}"
    },
    "shape": {"delay_ms": SLOW_MS, "more": "dynamic_batching { }"},
    "levels": {
        "batch": 1,
        "delay_ms": SLOW_MS,
        "more": "dynamic_batching { priority_levels: 2 default_priority_level: 2 }",
    },
    "alone": {},
}
SEQUENCES = "sequence_batching { direct { } max_sequence_idle_microseconds: 600000000 }"
ORDERED = (
    "sequence_batching { oldest { max_candidate_sequences: 4 preserve_ordering: true } "
    "max_sequence_idle_microseconds: 600000000 }"
)
ENSEMBLE = """
name: "pair" platform: "ensemble" max_batch_size: 1
input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
ensemble_scheduling {
  step { model_name: "echo" model_version: -1
    input_map { key: "INPUT0" value: "IN" } output_map { key: "OUTPUT0" value: "between" } }
  step { model_name: "levels" model_version: -1
    input_map { key: "INPUT0" value: "between" } output_map { key: "OUTPUT0" value: "OUT" } }
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a model for each reason."""
    folder = tmp_path_factory.mktemp("scheduler")
    repository = folder / "models"
    for name, fields in MODELS.items():
        more = fields.get("more", "") + "\n" + ONE_INSTANCE
        write_identity(repository, name, **{"batch": 4, **fields, "more": more})
    write_identity(repository, "echo")
    write_identity(repository, "steps", batch=2, more=SEQUENCES + "\n" + ONE_INSTANCE)
    write_identity(
        repository, "order", batch=4, delay_ms=SLOW_MS, more=ORDERED + "\n" + ONE_INSTANCE
    )
    write_model(repository, "pair", ENSEMBLE)
    started = ServerProcess(repository, folder / "log").wait_ready()
    yield started
    started.stop()


@pytest.fixture
def connect(server):
    """A function that opens a connection; all are closed at the end of the test."""
    opened = []

    def connect():
        opened.append(PlainHttp(server.http))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def send(connection, model, *, rows=1, width=1, name="INPUT0", **parameters):
    """Send a request and do not wait for its answer."""
    tensor = {
        "name": name,
        "shape": [rows, width],
        "datatype": "FP32",
        "data": [1.0] * rows * width,
    }
    body = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    connection.send("POST", f"/v2/models/{model}/infer", body)
    return connection


def ask(connection, model, **how):
    """Send a request and see that it is answered."""
    assert send(connection, model, **how).receive().status == 200


def look(connection, model):
    """Return what the endpoint says of a model."""
    reply = connection.get(f"/v2/models/{model}/scheduler")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    return reply.json()


def metrics(server):
    """Return what Prometheus would read."""
    connection = PlainHttp(server.metrics)
    text = connection.get("/metrics").body.decode()
    connection.close()
    return text


@pytest.mark.parametrize(
    ("model", "rows"), [("full", 4), ("idle", 1), ("delay", 1), ("preferred", 2)]
)
def test_a_batch_says_why_it_closed(server, connect, model, rows):
    """Each model's config makes its batches close for the reason it is named after."""
    ask(connect(), model, rows=rows)
    found = look(connect(), model)

    assert (found["model"], found["version"], found["scheduler"]) == (model, "1", "dynamic")
    assert found["batches"]["reasons"] == {model: 1}
    assert found["batches"]["sizes"] == [{"size": rows, "count": 1}]
    (batch,) = found["batches"]["last"]
    assert (batch["reason"], batch["size"], batch["requests"]) == (model, rows, 1)
    assert (batch["instance"], batch["failed"]) == (f"{model}_0_0", 0)
    assert len(batch["queue_us"]) == 1
    assert f'inferd_batch_close{{model="{model}",reason="{model}",version="1"}} 1\n' in (
        metrics(server)
    )


def test_an_executing_batch_is_shown_and_shapes_part_batches(server, connect):
    """Requests that wait behind it are counted; a batch ends where the next shape differs."""
    connection = connect()
    asked = [send(connect(), "shape")]
    server.wait_until(lambda: look(connection, "shape")["batches"]["executing"], "it executes")
    for number, width in enumerate((2, 3), 1):
        asked.append(send(connect(), "shape", width=width))
        server.wait_until(
            lambda count=number: (
                [one["waiting"] for one in look(connection, "shape")["queue"]] == [count]
            ),
            "it waits",
        )
    found = look(connection, "shape")

    (batch,) = found["batches"]["executing"]
    assert (batch["size"], batch["requests"], batch["instance"]) == (1, 1, "shape_0_0")
    assert batch["elapsed_us"] > 0
    assert 0 < found["queue"][0]["oldest_wait_us"] <= batch["elapsed_us"]
    assert found["instances"] == {
        "count": 1,
        "busy": 1,
        "runs": "thread",
        "list": [{"name": "shape_0_0", "busy": True}],
    }
    assert found["in_flight"] == 3
    assert [connection.receive().status for connection in asked] == [200] * 3
    after = look(connection, "shape")
    assert after["in_flight"] == 0
    newest_first = [one["reason"] for one in after["batches"]["last"]]
    assert newest_first == ["idle", "shape", "idle"]
    newest = after["batches"]["last"][0]
    assert newest["compute_infer_us"] >= SLOW_MS * 1000
    assert newest["queue_us"][0] >= SLOW_MS * 1000


def test_the_queue_is_shown_by_level(server, connect):
    """The level that is served first comes first."""
    connection = connect()
    asked = [send(connect(), "levels")]
    server.wait_until(lambda: look(connection, "levels")["batches"]["executing"], "it executes")
    asked += [send(connect(), "levels", priority=level) for level in (2, 1, 2)]
    server.wait_until(lambda: look(connection, "levels")["in_flight"] == 4, "they wait")
    queue = look(connection, "levels")["queue"]

    assert [(one["level"], one["waiting"], one["delayed"]) for one in queue] == [
        (1, 1, 0), (2, 2, 0)
    ]  # fmt: skip
    assert [connection.receive().status for connection in asked] == [200] * 4


def test_a_model_that_never_batches_has_no_counter_of_reasons(server, connect):
    """Its scheduler can be looked at all the same."""
    ask(connect(), "alone")
    found = look(connect(), "alone")

    assert (found["scheduler"], found["batches"]["reasons"]) == ("default", {"full": 1})
    assert 'inferd_batch_close{model="alone"' not in metrics(server)


def test_sequences_are_shown(connect):
    """The live ones, and the slots they have, until their END."""
    connection = connect()
    ask(connection, "steps", sequence_id=5, sequence_start=True)
    found = look(connection, "steps")

    assert (found["scheduler"], found["sequences"]) == (
        "sequence_direct",
        {"live": 1, "backlog": 0},
    )
    assert found["instances"]["list"] == [{"name": "steps_0_0", "busy": False, "slots_used": 1}]
    ask(connection, "steps", sequence_id=5, sequence_end=True)
    assert look(connection, "steps")["sequences"] == {"live": 0, "backlog": 0}


def test_a_sequence_that_may_not_overtake_parts_batches(server, connect):
    """Its request came after the second one of a sequence in the batch."""
    connection = connect()
    asked = [send(connect(), "order", sequence_id=1, sequence_start=True, sequence_end=True)]
    server.wait_until(lambda: look(connection, "order")["batches"]["executing"], "it executes")
    flags = ({"sequence_start": True}, {"sequence_end": True}, {"sequence_start": True})
    for number, (key, more) in enumerate(zip((2, 2, 3), flags, strict=True), 2):
        asked.append(send(connect(), "order", sequence_id=key, **more))
        server.wait_until(
            lambda count=number: look(connection, "order")["in_flight"] == count, "it waits"
        )
    waiting = look(connection, "order")

    assert [one["waiting"] for one in waiting["queue"]] == [3]
    assert waiting["sequences"]["live"] == 3
    assert [connection.receive().status for connection in asked] == [200] * 4
    found = look(connection, "order")
    assert found["scheduler"] == "sequence_oldest"
    assert [one["reason"] for one in found["batches"]["last"]][-2] == "order"


def test_an_ensemble_shows_the_steps_its_requests_are_in(server, connect):
    """Its models have queues and batches of their own."""
    connection = connect()
    asked = send(connect(), "pair", name="IN")
    server.wait_until(
        lambda: (
            look(connection, "pair")["steps"]
            == [{"model": "echo", "requests": 0}, {"model": "levels", "requests": 1}]
        ),
        "it is in its second step",
    )

    assert asked.receive().status == 200
    found = look(connection, "pair")
    assert (found["scheduler"], found["in_flight"]) == ("ensemble", 0)
    assert "batches" not in found


@pytest.mark.parametrize("path", ["no", "idle/versions/2"])
def test_what_is_not_there_is_not_found(connect, path):
    """As for the other endpoints of a model."""
    reply = connect().get(f"/v2/models/{path}/scheduler")

    assert reply.status == 404
    assert reply.error


def test_an_unloaded_model_has_no_scheduler(repository, serve):
    """It answers as its metadata do."""
    server = serve(repository, "--model-control-mode", "explicit", "--load-model", "echo")
    connection = PlainHttp(server.wait_ready().http)
    assert connection.get("/v2/models/echo/versions/1/scheduler").status == 200
    assert connection.post("/v2/repository/models/echo/unload").status == 200
    replies = [connection.get(f"/v2/models/echo{part}") for part in ("", "/scheduler")]
    connection.close()

    assert replies[0].status == replies[1].status
    assert replies[0].status in (404, 503)
    assert replies[0].error == replies[1].error
