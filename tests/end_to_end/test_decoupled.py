"""Decoupled and iterative models of a running server, with the real clients and curl."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from backend_metadata import install
from client_process import run_client
from curl import run_curl
from model_folders import tensors, write_identity, write_model
from plain_http import PlainHttp
from server_process import ServerProcess

CLIENT = Path(__file__).with_name("clients") / "decoupled.py"
DECOUPLED = "model_transaction_policy { decoupled: true }\n"
REPEAT = (
    'backend: "repeat"\n'
    + DECOUPLED
    + tensors("input", "IN", "INT32", [-1])
    + tensors("input", "DELAY", "UINT32", [-1])
    + tensors("input", "WAIT", "UINT32", [1])
    + tensors("output", "OUT", "INT32", [1])
    + tensors("output", "IDX", "UINT32", [1])
)
SQUARE = (
    'backend: "square"\n'
    + DECOUPLED
    + tensors("input", "IN", "INT32", [1])
    + tensors("output", "OUT", "INT32", [1])
)
ITERATIVE = (
    'backend: "iterative" max_batch_size: 4\n'
    + tensors("input", "INPUT", "INT32", [1])
    + tensors("output", "OUTPUT", "INT32", [1])
    + """
sequence_batching {
  %s: true
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] } }
  control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
}
"""
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A repository of the models."""
    repository = tmp_path_factory.mktemp("decoupled") / "models"
    write_model(repository, "repeat_int32", REPEAT)
    write_model(repository, "square_int32", SQUARE)
    write_model(repository, "iterative_unary", ITERATIVE % "iterative_sequence")
    write_model(repository, "iterative_decoupled", DECOUPLED + ITERATIVE % "generative_sequence")
    write_identity(repository, "echo")
    write_identity(
        repository, "patient", more="dynamic_batching { max_queue_delay_microseconds: 60000000 }"
    )
    return repository


@pytest.fixture(scope="module")
def start(folder):
    """A function that starts a server which finds the iterative backend."""
    path = install(folder.parent / "site", "iterative", "iterative_backend:IterativeBackend")
    before = os.environ.get("PYTHONPATH")
    started = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path + (f":{before}" if before else ""))

        def start():
            server = ServerProcess(folder, folder.parent / f"log{len(started)}")
            started.append(server)
            return server.wait_ready()

        yield start
        for server in started:
            server.stop()


@pytest.fixture(scope="module")
def server(start):
    """A server most tests share."""
    return start()


def ask_client(what, server, *arguments):
    """Return what a client printed."""
    printed = run_client(CLIENT, what, server.grpc, *arguments, seconds=90)
    return json.loads(printed.splitlines()[-1])


@pytest.fixture(name="begin")
def _begin():
    """A function that starts a client one can talk to; it is ended at the end of the test."""
    started = []

    def begin(what, server, *arguments):
        command = [sys.executable, str(CLIENT), what, server.grpc, *arguments]
        started.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
        )
        return started[-1]

    yield begin
    for client in started:
        client.kill()
        client.communicate()


def get(server, path):
    """Return a document of the server."""
    connection = PlainHttp(server.http)
    found = connection.get(path).json()
    connection.close()
    return found


def in_flight(server, model):
    """Return what the scheduler of a model has to do."""
    return get(server, f"/v2/models/{model}/scheduler")["in_flight"]


def rss_mb(server):
    """Return the memory of the server in MB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def countdown(id, number):
    """Return what an iterative request of so many executions is told."""
    return [[id, [[left]], left == 0] for left in reversed(range(number))]


def ended(id, *responses):
    """Return what a decoupled request is told that ends with an empty response."""
    return [*([id, list(one), False] for one in responses), [id, [], True]]


@pytest.fixture(name="heard", scope="module")
def _heard(server):
    """What the synchronous client was told."""
    return ask_client("sync", server)


def test_each_kind_of_model_answers_on_a_stream(heard):
    """As many responses as there are, the last one marked; an error is no end of the stream."""
    assert heard["repeat"] == ended("repeat", [[4], [0]], [[2], [1]], [[0], [2]])
    assert heard["nothing"] == ended("nothing")
    assert heard["square"] == ended("square", *[[[3]]] * 3)
    assert heard["iterative"] == countdown("iterative", 3)
    assert heard["iterative_unary"] == [["iterative_unary", [[0]], True]]
    assert heard["echo"] == [["echo", [[7.0]], True]]
    assert "'no'" in heard["unknown"][0]


def test_the_mere_end_is_told_to_who_asks(heard):
    """Others hear the responses only."""
    assert heard["silent"] == [
        ["mark", [[1.0]], True],
        ["silent", [[5], [0]], False],
        ["silent", [[6], [1]], False],
    ]


def test_models_of_all_kinds_share_a_stream(heard):
    """Each request has its responses in order, and none waits for another."""
    mixed = heard["mixed"]
    by_id = {id: [one for one in mixed if one[0] == id] for id in "abcd"}

    assert by_id["a"] == ended("a", *([[n + 1], [n]] for n in range(3)))
    assert by_id["b"] == [["b", [[9.0]], True]]
    assert by_id["c"] == ended("c", *[[[4]]] * 4)
    assert by_id["d"] == ended("d", *([[n + 4], [n]] for n in range(3)))
    assert [one[0] for one in mixed].index("d") < len(mixed) - 1 - mixed[::-1].index(by_id["a"][-1])


def test_one_answer_is_all_a_unary_call_gets(heard):
    """The last of an iterative model; a decoupled one is refused."""
    assert heard["unary"] == [[0]]
    assert heard["refused"] == [
        "StatusCode.UNIMPLEMENTED",
        "ModelInfer RPC doesn't support models with decoupled transaction policy",
    ]


def test_the_asyncio_client_gets_the_same(server):
    """Of 30 requests on one stream."""
    replies = ask_client("stream_infer", server)
    for number in range(30):
        id = str(number)
        expected = (
            countdown(id, number + 1) if number % 2 else ended(id, *[[[number]]] * number)[:-1]
        )
        assert [one for one in replies if one[0] == id] == expected


def test_hundreds_of_iterative_requests_at_once(server):
    """Those that are not taken back are answered, and no slot stays taken."""
    assert ask_client("crowd", server) == [240, 60]
    server.wait_until(lambda: in_flight(server, "iterative_unary") == 0, "nothing is in flight")
    found = get(server, "/v2/models/iterative_unary/scheduler")
    assert found["sequences"] == {"live": 0, "backlog": 0}
    assert [one["slots_used"] for one in found["instances"]["list"]] == [0]


def test_the_old_name_of_the_field_is_shown_as_the_new_one(server):
    """In the config that clients get."""
    batching = get(server, "/v2/models/iterative_decoupled/config")["sequence_batching"]
    assert batching["iterative_sequence"] is True
    assert "generative_sequence" not in batching


def test_a_stream_that_is_cancelled_frees_the_model(server):
    """Which answers the next one at once; the request counts as failed."""
    before = get(server, "/v2/models/square_int32/stats")["model_stats"][0]["inference_stats"]
    heard, after = ask_client("cancelled", server)
    assert heard == 101
    assert after == ended("b", [[2]], [[2]])
    server.wait_until(lambda: in_flight(server, "square_int32") == 0, "nothing is in flight")
    now = get(server, "/v2/models/square_int32/stats")["model_stats"][0]["inference_stats"]
    assert now["fail"]["count"] == before["fail"]["count"] + 1
    assert now["success"]["count"] == before["success"]["count"] + 1


def test_a_client_that_reads_slowly_costs_no_memory(server, begin):
    """The responses are not made ahead of it, and it gets all of them."""
    number = 120_000
    before = rss_mb(server)
    client = begin("slow", server, str(number))
    assert client.stdout.readline() == "paused\n"
    seen = []

    def stalls():
        path = "/v2/models/square_int32/stats"
        stats = get(server, path)["model_stats"][0]["response_stats"]
        seen.append(sum(one["success"]["count"] for one in stats.values()))
        return seen[-10:] == [seen[-1]] * 10

    server.wait_until(stalls, "the model waits for its client")
    assert seen[-1] < number
    assert in_flight(server, "square_int32") >= 1
    assert rss_mb(server) < before + 40
    client.stdin.write("\n")
    client.stdin.flush()
    out, _ = client.communicate(timeout=120)
    assert out == f"{number}\n"
    assert rss_mb(server) < before + 200


def test_responses_are_counted_by_their_place(start):
    """Under ``response_stats`` of the statistics."""
    server = start()
    ask_client("sync", server)
    (stats,) = get(server, "/v2/models/square_int32/stats")["model_stats"]
    found = stats["response_stats"]

    # Requests for 3 and for 4, each with an empty response at the end.
    assert list(found) == ["0", "1", "2", "3", "4"]
    assert [one["success"]["count"] for one in found.values()] == [2, 2, 2, 1, 0]
    assert [one["empty_response"]["count"] for one in found.values()] == [0, 0, 0, 1, 1]
    assert stats["inference_stats"]["success"]["count"] == 2
    server.signal(signal.SIGTERM)
    assert server.wait(20) == 0


def test_sigterm_lets_a_stream_finish(start, begin):
    """Every response comes, and the server ends well."""
    server = start()
    client = begin("stopped", server)
    assert client.stdout.readline() == "streaming\n"
    server.signal(signal.SIGTERM)

    assert json.loads(client.stdout.readline()) == ended("a", *([[n], [n]] for n in range(8)))
    assert server.wait(20) == 0


@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson"])
def test_curl_can_stream(server, kind):
    """One document per response."""
    tensor = {"name": "IN", "shape": [1], "datatype": "INT32", "data": [3]}
    body = json.dumps({"id": "x", "inputs": [tensor]}).encode()
    path = "/v2/models/square_int32/infer"
    reply = run_curl(server.http, path, "-N", "-H", f"Accept: {kind}", body=body)
    events = [one.removeprefix("data: ") for one in reply.body.decode().split("\n") if one]

    assert reply.status == 200
    assert reply.headers["content-type"].startswith(kind)
    assert [json.loads(one)["outputs"][0]["data"] for one in events] == [[3]] * 3
    refused = run_curl(server.http, path, body=body)
    assert refused.status == 501
    assert refused.error == (
        "HTTP end point doesn't support models with decoupled transaction policy"
    )


def test_a_batch_that_closed_for_a_deadline_says_so(server):
    """It would have waited for a minute."""
    tensor = {"name": "INPUT0", "shape": [1, 1], "datatype": "FP32", "data": [7]}
    body = json.dumps({"inputs": [tensor]}).encode()
    connection = PlainHttp(server.http)
    for _ in range(5):
        # On a busy machine the few milliseconds kept for the first execution may be too few.
        headers = {"inferd-timeout-ms": "2000"}
        if connection.post("/v2/models/patient/infer", body, headers).status == 200:
            break
    connection.close()
    batches = get(server, "/v2/models/patient/scheduler")["batches"]

    assert set(batches["reasons"]) == {"deadline"}
    assert batches["last"][0]["reason"] == "deadline"
