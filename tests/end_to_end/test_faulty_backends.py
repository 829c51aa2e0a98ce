"""Backends that raise, break their contract, leave the process or never return, in a server."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from backend_metadata import install
from client_process import run_client
from model_folders import tensors, write_identity, write_model
from plain_http import PlainHttp
from server_process import ANY_PORT, LOOPBACK, serve_command

CLIENT = Path(__file__).with_name("clients") / "faulty_models.py"
BODY = b'{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'
ANSWERS = {
    "raises": "internal error",
    "raises_inline": "internal error",
    "exits": "internal error",
    "exits_inline": "internal error",
    "exits_beside": "internal error",
    "wrong_count": "model 'wrong_count' returned 0 outputs, expected 1",
    "wrong_rows": "model 'wrong_rows' returned output 'OUTPUT0' of shape [0, 2] for a batch of 1",
}


def write_faulty(repository: Path, name: str, fault: str, more: str = "", after: int = 0) -> None:
    """Write a model that fails after so many answers."""
    parameters = "".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'
        for key, value in (("fault", fault), ("after", after))
    )
    sides = tensors("input", "INPUT0", "FP32", [2]) + tensors("output", "OUTPUT0", "FP32", [2])
    write_model(repository, name, f'backend: "faulty" max_batch_size: 4\n{sides}{parameters}{more}')


@pytest.fixture(name="faulty")
def _faulty(repository, tmp_path, monkeypatch):
    """A repository of an identity model and faulty ones; servers find their backend."""
    before = os.environ.get("PYTHONPATH")
    path = install(tmp_path / "site", "faulty", "faulty_backend:FaultyBackend")
    monkeypatch.setenv("PYTHONPATH", path + (f":{before}" if before else ""))
    return repository


def infer(server, model: str):
    """Return the answer to one request."""
    connection = PlainHttp(server.http)
    answer = connection.post(f"/v2/models/{model}/infer", BODY)
    connection.close()
    return answer


def post(server, path: str):
    """Return the answer to a POST."""
    connection = PlainHttp(server.http)
    answer = connection.post(path)
    connection.close()
    return answer


def reasons(server) -> dict[str, str]:
    """Return model -> why it does not serve."""
    return {
        one["name"]: one.get("reason", "") for one in post(server, "/v2/repository/index").json()
    }


def test_failing_executions_are_errors_of_their_requests(faulty, serve):
    """HTTP says 500, gRPC INTERNAL, both say why; other models answer and the server stops."""
    for name in ANSWERS:
        fault, _, how = name.partition("_") if "wrong" not in name else (name, "", "")
        more = "dynamic_batching { }\n" if name == "wrong_rows" else ""
        if how == "beside":
            more = "instance_group { kind: KIND_CPU count: 2 }\n"
        write_faulty(faulty, name, fault, more, after=30 if how == "inline" else 0)
    server = serve(faulty).wait_ready()
    seen = json.loads(run_client(CLIENT, server.http, server.grpc, *ANSWERS))
    for model, text in ANSWERS.items():
        for protocol, status in (("http", "500"), ("grpc", "StatusCode.INTERNAL")):
            answers = seen[protocol][model]["answers"]
            good = 30 if (protocol, model.endswith("_inline")) == ("http", True) else 0
            assert answers[:good] == [float(value) for value in range(good)]
            assert answers[good:] == [[status, text]] * (40 - good)
            assert seen[protocol][model]["echo"] == 7.0
    assert "ValueError: a secret" in server.log

    server.signal()
    assert server.wait() == 0


def test_backends_that_fail_to_load_leave_the_others_alone(faulty, serve):
    """A call of ``exit()`` and an unforeseen exception are reasons in the index."""
    for fault in ("exits_at_load", "completes_wrongly"):
        write_faulty(faulty, fault, fault)
    server = serve(faulty, "--exit-on-error=false", "--strict-readiness=false").wait_ready()
    found = reasons(server)

    assert found["exits_at_load"] == "Internal: the backend raised SystemExit"
    assert found["completes_wrongly"] == "Internal: ZeroDivisionError while loading"
    assert infer(server, "echo").status == 200


def test_a_model_that_leaves_at_unload(faulty, serve):
    """Unloading it does not end the server."""
    write_faulty(faulty, "leaves", "exits_at_unload")
    write_identity(faulty, "other")
    server = serve(faulty, "--model-control-mode=explicit", "--load-model=*").wait_ready()

    assert post(server, "/v2/repository/models/leaves/unload").status == 200
    server.wait_until(lambda: reasons(server)["leaves"] == "unloaded", "the model is unloaded")
    assert infer(server, "echo").status == infer(server, "other").status == 200


def test_an_execution_that_never_ends(faulty, serve):
    """Who waits behind it times out, other models serve, and the server can be stopped."""
    policy = "dynamic_batching { default_queue_policy { default_timeout_microseconds: 50000 } }\n"
    one = "instance_group { kind: KIND_CPU count: 1 }\n"
    write_faulty(faulty, "blocks", "blocks", policy + one)
    flags = ("--model-control-mode=explicit", "--load-model=*", "--exit-timeout-secs=1")
    server = serve(faulty, *flags).wait_ready()
    stuck = PlainHttp(server.http)
    stuck.send("POST", "/v2/models/blocks/infer", BODY)
    server.wait_until(lambda: executing(server, "blocks"), "the model executes")

    queued = infer(server, "blocks")
    assert (queued.status, queued.error) == (503, "Request timeout expired")
    assert infer(server, "echo").status == 200
    assert post(server, "/v2/repository/models/blocks/unload").status == 200
    assert infer(server, "blocks").status in (400, 404, 503)
    assert infer(server, "echo").status == 200
    server.signal()
    assert server.wait() == 1
    stuck.close()


def test_a_load_that_never_ends(faulty, tmp_path):
    """A signal during the start ends the server after the exit timeout all the same."""
    write_faulty(faulty, "stuck", "blocks_at_load")
    flags = ("--model-repository", str(faulty), "--exit-timeout-secs=1")
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            serve_command(*flags, *LOOPBACK, *ANY_PORT),
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        deadline = time.monotonic() + 30
        while "loading: stuck:1" not in log.read_text():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        server.terminate()
        assert server.wait(20) == 1
    finally:
        server.kill()
        server.wait()


def executing(server, model: str) -> bool:
    """Tell whether a model has taken a request from its queue."""
    connection = PlainHttp(server.http)
    found = connection.get(f"/v2/models/{model}/stats").json()["model_stats"][0]
    connection.close()
    return int(found["last_inference"]) > 0
