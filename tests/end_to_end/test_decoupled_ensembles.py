"""Ensembles with decoupled models through a real server, streamed by the real client library."""

import json
import re
from pathlib import Path

import onnx
import pytest
from client_process import run_client
from model_folders import identity_config, tensors, write_model
from onnx import TensorProto, helper
from plain_http import PlainHttp
from server_process import ServerProcess

CLIENT = Path(__file__).with_name("clients") / "decoupled_ensembles.py"
DECOUPLED = "model_transaction_policy { decoupled: true }\n"
REPEAT_INPUTS = (
    tensors("input", "IN", "INT32", [-1])
    + tensors("input", "DELAY", "UINT32", [-1])
    + tensors("input", "WAIT", "UINT32", [1])
)
OUT = tensors("output", "OUT", "INT32", [1])
REPEATED = "IN=IN DELAY=DELAY WAIT=WAIT"


def step(model: str, reads: str, writes: str) -> str:
    """Return one step whose maps are written as ``KEY=tensor KEY=tensor``."""
    maps = "".join(
        '{}_map {{ key: "{}" value: "{}" }} '.format(kind, *pair.split("="))
        for kind, pairs in (("input", reads), ("output", writes))
        for pair in pairs.split()
    )
    return f'step {{ model_name: "{model}" model_version: -1 {maps} }}\n'


def write_onnx(repository: Path, name: str, inputs: str, node, constants=()) -> None:
    """Write an ONNX model of single numbers with one node and the output ``Y``."""
    number = [1]
    graph = helper.make_graph(
        [node],
        name,
        [helper.make_tensor_value_info(one, TensorProto.INT32, number) for one in inputs],
        [helper.make_tensor_value_info("Y", TensorProto.INT32, number)],
        list(constants),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="tests"
    )
    onnx.save(model, write_model(repository, name, 'backend: "onnxruntime"') / "1" / "model.onnx")


def write_models(repository: Path) -> None:
    """Write what the ensembles are composed of."""
    index = tensors("output", "IDX", "UINT32", [1])
    write_model(
        repository, "repeat", 'backend: "repeat"\n' + REPEAT_INPUTS + OUT + index + DECOUPLED
    )
    write_model(
        repository,
        "square",
        'backend: "square"\n' + tensors("input", "IN", "INT32", [1]) + OUT + DECOUPLED,
    )
    write_model(repository, "echo", identity_config("echo", "INT32", [1], batch=0))
    write_onnx(repository, "add", "AB", helper.make_node("Add", ["A", "B"], ["Y"]))
    table = helper.make_tensor("table", TensorProto.INT32, [3], [10, 20, 30])
    write_onnx(repository, "table", "X", helper.make_node("Gather", ["table", "X"], ["Y"]), [table])


def write_ensembles(repository: Path) -> None:
    """Write the ensembles of Triton's tests of decoupled models, and one with a step that fails."""
    echo = step("echo", "INPUT0=repeated", "OUTPUT0=%s")
    repeat, square = step("repeat", REPEATED, "OUT=%s"), step("square", "IN=repeated", "OUT=OUT")
    for name, steps in {
        "simple_repeat": [repeat % "OUT"],
        "sequence_repeat": [repeat % "repeated", echo % "OUT"],
        "fan_repeat": [
            repeat % "repeated",
            echo % "echoed",
            step("add", "A=repeated B=echoed", "Y=OUT"),
        ],
        "repeat_square": [repeat % "repeated", square],
        "nested_square": [step("repeat_square", REPEATED, "OUT=repeated"), square],
        "looked_up": [repeat % "repeated", step("table", "X=repeated", "Y=OUT")],
    }.items():
        scheduling = f"ensemble_scheduling {{ {''.join(steps)} }}\n"
        write_model(repository, name, 'platform: "ensemble"\n' + REPEAT_INPUTS + OUT + scheduling)


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory):
    """A server with the ensembles."""
    repository = tmp_path_factory.mktemp("decoupled") / "models"
    write_models(repository)
    write_ensembles(repository)
    server = ServerProcess(repository, tmp_path_factory.mktemp("log") / "serve.log")
    try:
        yield server.wait_ready()
    finally:
        server.stop()


def run(server: ServerProcess, what: str) -> dict:
    """Run the client to its end; return what it saw."""
    return json.loads(run_client(CLIENT, server.grpc, what))


@pytest.fixture(name="seen", scope="module")
def _seen(server) -> dict:
    """What the client saw."""
    return run(server, "all")


def expected(model: str, values: list[int]) -> list[int | None]:
    """Return the numbers an ensemble answers with; ``None`` is the end."""
    repeats = {"repeat_square": 1, "nested_square": 2}.get(model, 0)
    factor = 2 if model == "fan_repeat" else 1
    return [*(factor * value for value in values for _ in range(value**repeats)), None]


@pytest.mark.parametrize(
    "model", ["simple_repeat", "sequence_repeat", "fan_repeat", "repeat_square", "nested_square"]
)
class TestEnsembles:
    """The ensembles of Triton's tests."""

    def test_responses_flow_through_in_order(self, seen, model):
        """And the end comes once."""
        assert seen["one_by_one"][model][0] == expected(model, [3, 1, 2])

    def test_no_response_is_the_end_alone(self, seen, model):
        """The decoupled step has nothing to say."""
        assert seen["one_by_one"][model][1] == [None]

    def test_the_config_says_that_it_is_decoupled(self, seen, model):
        """Though the file does not."""
        assert seen["config"][model]
        assert not seen["config"]["echo"]


def test_the_end_is_hidden_from_clients_that_did_not_ask_for_it(seen):
    """The next message is the next request's."""
    assert seen["hidden_end"] == [["hidden", 5, False, ""], ["after", None, True, ""]]


def test_requests_on_one_stream_do_not_mix(seen):
    """Each keeps its own order."""
    models = ["simple_repeat", "sequence_repeat", "fan_repeat", "repeat_square", "nested_square"]
    assert seen["interleaved"] == {
        str(index): expected(models[index % 5], [2, 1, 2]) for index in range(10)
    }


def test_an_error_behind_the_decoupled_step_ends_its_request_alone(seen):
    """It names the ensemble; what came before it was sent, and the stream goes on."""
    found = seen["failing"]

    assert found["before"] == [1, 2, 3, None]
    assert found["good"] == [20, 10, None]
    assert found["bad"] == [10, 30]
    (error,) = found[""]
    assert error.startswith("in ensemble 'looked_up', ")


def test_a_client_that_leaves_takes_its_request_back(server):
    """The steps stop, too, long before they would have ended; the server serves on."""
    found = run(server, "cancel")

    assert found["first"] == ["long", 1, False, ""]
    assert found["more"]["sequence_repeat"] == found["more"]["repeat"] == [0, 1]
    assert found["more"]["echo"][0] < 500
    http = PlainHttp(server.metrics)
    text = http.get("/metrics").body.decode()
    http.close()
    failed = 'nv_inference_request_failure{model="sequence_repeat",reason="CANCELED",version="1"} 1'
    assert re.search(re.escape(failed) + r"\b", text), text
