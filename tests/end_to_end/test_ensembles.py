"""Ensembles through a real server, asked by the real client library."""

import json
import re
import shutil
from pathlib import Path

import onnx
import pytest
from client_process import run_client
from model_folders import tensors, write_identity, write_model, write_samples
from onnx import TensorProto, helper
from plain_http import PlainHttp
from server_process import ServerProcess

CLIENTS = Path(__file__).with_name("clients")
HEAD = 'platform: "ensemble"\nmax_batch_size: 8\n'


def mapping(kind: str, pairs: str) -> str:
    """Return an input or output map written as ``KEY=tensor KEY=tensor``."""
    return "".join(
        '{}_map {{ key: "{}" value: "{}" }} '.format(kind, *pair.split("="))
        for pair in pairs.split()
    )


def step(model: str, reads: str, writes: str) -> str:
    """Return one step of an ensemble."""
    maps = mapping("input", reads) + mapping("output", writes)
    return f'step {{ model_name: "{model}" model_version: -1 {maps} }}\n'


def steps(*parts: str) -> str:
    """Return the scheduling of an ensemble."""
    return f"ensemble_scheduling {{ {''.join(parts)} }}\n"


def both(kind: str, data_type: str = "INT32", dims: int = 16) -> str:
    """Return the two inputs or outputs of the sum-and-difference models."""
    return "".join(tensors(kind, f"{kind.upper()}{i}", data_type, [dims]) for i in (0, 1))


def add_sub(data_type: str = "INT32", dims: int = 16) -> str:
    """Return the head of an ensemble with the tensors of a sum-and-difference model."""
    return HEAD + both("input", data_type, dims) + both("output", data_type, dims)


def write_onnx(repository: Path, name: str, config: str, given, made, nodes, constants=()) -> None:
    """Write an ONNX model of one input and one output."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(given[0], given[1], given[2])],
        [helper.make_tensor_value_info(made[0], made[1], made[2])],
        list(constants),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="tests"
    )
    folder = write_model(repository, name, config)
    onnx.save(model, folder / "1" / "model.onnx")


def write_pictures(repository: Path) -> None:
    """Write an image pipeline: scaling and layout, then the mean of each colour."""
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [255.0])
    write_onnx(
        repository,
        "scaler",
        'backend: "onnxruntime" max_batch_size: 8',
        ("RAW", TensorProto.UINT8, ["n", 4, 4, 3]),
        ("SCALED", TensorProto.FLOAT, ["n", 3, 4, 4]),
        [
            helper.make_node("Cast", ["RAW"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["floats", "scale"], ["small"]),
            helper.make_node("Transpose", ["small"], ["SCALED"], perm=[0, 3, 1, 2]),
        ],
        [scale],
    )
    write_onnx(
        repository,
        "colours",
        'backend: "onnxruntime" max_batch_size: 8 dynamic_batching { }',
        ("X", TensorProto.FLOAT, ["n", 3, 4, 4]),
        ("SCORES", TensorProto.FLOAT, ["n", 3]),
        [helper.make_node("ReduceMean", ["X"], ["SCORES"], axes=[2, 3], keepdims=0)],
    )
    folder = write_model(
        repository,
        "pictures",
        HEAD
        + tensors("input", "IMAGE", "UINT8", [4, 4, 3])
        + tensors("output", "CLASSES", "FP32", [3], 'label_filename: "labels.txt"')
        + steps(
            step("scaler", "RAW=IMAGE", "SCALED=scaled"),
            step("colours", "X=scaled", "SCORES=CLASSES"),
        ),
    )
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")


def write_ensembles(repository: Path) -> None:
    """Write ensembles over the sum-and-difference samples."""
    write_model(
        repository,
        "diamond",
        add_sub()
        + steps(
            step("simple", "INPUT0=INPUT0 INPUT1=INPUT1", "OUTPUT0=sum OUTPUT1=difference"),
            step("simple", "INPUT0=sum INPUT1=sum", "OUTPUT0=sums"),
            step("simple", "INPUT0=difference INPUT1=difference", "OUTPUT0=differences"),
            step("simple", "INPUT0=sums INPUT1=differences", "OUTPUT0=OUTPUT0 OUTPUT1=OUTPUT1"),
        ),
    )
    same = "INPUT0=INPUT0 INPUT1=INPUT1"
    write_model(
        repository,
        "loose",
        add_sub(dims=-1) + steps(step("simple", same, "OUTPUT0=OUTPUT0 OUTPUT1=OUTPUT1")),
    )
    write_model(
        repository,
        "words",
        add_sub("STRING") + steps(step("simple_string", same, "OUTPUT0=OUTPUT0 OUTPUT1=OUTPUT1")),
    )
    write_model(
        repository,
        "counting",
        'platform: "ensemble" max_batch_size: 1\n'
        + tensors("input", "INPUT", "INT32", [1])
        + tensors("output", "OUTPUT", "INT32", [1])
        + steps(step("simple_sequence", "INPUT=INPUT", "OUTPUT=OUTPUT")),
    )
    one = tensors("input", "INPUT0", "INT32", [16]) + tensors("output", "OUTPUT0", "INT32", [16])
    for name, model in (("row", "simple"), ("dangling", "nowhere")):
        write_model(
            repository,
            name,
            'platform: "ensemble"\n'
            + one
            + steps(step(model, "INPUT0=INPUT0 INPUT1=INPUT0", "OUTPUT0=OUTPUT0")),
        )


@pytest.fixture(name="ensembles", scope="module")
def _ensembles(tmp_path_factory) -> Path:
    """A repository of ensembles and what they are composed of."""
    folder = tmp_path_factory.mktemp("ensembles") / "models"
    write_samples(folder, "simple", "simple_string", "simple_sequence")
    write_pictures(folder)
    write_ensembles(folder)
    return folder


def run(script: str, *arguments: str) -> str:
    """Run a client script to its end; return what it printed."""
    return run_client(CLIENTS / script, *arguments)


@pytest.fixture(name="seen", scope="module")
def _seen(ensembles, tmp_path_factory) -> dict[str, object]:
    """What the client saw."""
    log = tmp_path_factory.mktemp("log") / "serve.log"
    server = ServerProcess(
        ensembles, log, "--exit-on-error", "false", "--strict-readiness", "false"
    )
    try:
        server.wait_ready()
        return json.loads(run("ensembles.py", server.http, server.grpc))
    finally:
        server.stop()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
class TestBothProtocols:
    """What HTTP and gRPC have in common."""

    def test_an_image_pipeline_is_classified_with_labels(self, seen, protocol):
        """Preprocessing and classifier are models of their own."""
        red, blue = seen[protocol]["classes"]

        assert red[0].endswith(":0:red")
        assert blue[0].endswith(":2:blue")
        assert [len(red), float(red[0].split(":")[0])] == [2, 1.0]

    def test_branches_join(self, seen, protocol):
        """All outputs, or the one that was asked for."""
        assert seen[protocol]["graph"] == [True, True, True, True]

    def test_an_ensemble_that_does_not_batch_over_a_model_that_does(self, seen, protocol):
        """The batch dimension comes and goes."""
        assert seen[protocol]["row"] == [2 * value for value in range(16)]

    def test_a_tensor_a_step_refuses(self, seen, protocol):
        """The status is the step's."""
        status, text = seen[protocol]["shape"]

        assert status == {"http": "400", "grpc": "StatusCode.INVALID_ARGUMENT"}[protocol]
        assert text.startswith(
            "in ensemble 'loose', [request id: x] unexpected shape for input 'INPUT0' for model "
            "'simple'. Expected [-1,16], got [2,8]."
        )

    def test_a_step_whose_backend_fails(self, seen, protocol):
        """The status is the step's."""
        status, text = seen[protocol]["backend"]

        assert status == {"http": "500", "grpc": "StatusCode.INTERNAL"}[protocol]
        assert text.startswith("in ensemble 'words', ")
        assert text.endswith(" (step 'simple_string')")

    def test_a_sequence_passes_through(self, seen, protocol):
        """Its id, start and end reach the step."""
        answers, (status, text) = seen[protocol]["sequence"]

        assert answers == [6, 6, 7]
        assert status == {"http": "400", "grpc": "StatusCode.INVALID_ARGUMENT"}[protocol]
        assert text.startswith("in ensemble 'counting', ")

    def test_an_ensemble_that_could_not_be_loaded(self, seen, protocol):
        """The others serve."""
        status, text = seen[protocol]["unavailable"]

        assert (
            status == {"http": "404", "grpc": "StatusCode.NOT_FOUND"}[protocol] or "503" in status
        )
        assert "Request for unknown model: 'dangling'" in text


def test_an_ensemble_and_its_models_each_count_their_own(seen):
    """Requests, executions and rows of the diamond's HTTP requests."""
    assert seen["statistics"]["diamond"] == [2, 2, 4]
    assert seen["statistics"]["simple"][2] == 2 * 2 * 4 + 1
    assert seen["platform"] == "ensemble"


def test_a_cancelled_request_starts_no_further_step(repository, serve):
    """And is counted as cancelled."""
    write_identity(repository, "slow", delay_ms=1500)
    one = tensors("input", "INPUT0", "FP32", [-1]) + tensors("output", "OUTPUT0", "FP32", [-1])
    write_model(
        repository,
        "slow_pair",
        HEAD
        + one
        + steps(
            step("slow", "INPUT0=INPUT0", "OUTPUT0=between"),
            step("echo", "INPUT0=between", "OUTPUT0=OUTPUT0"),
        ),
    )
    server = serve(repository).wait_ready()
    run("cancelled_ensemble.py", server.grpc)
    http = PlainHttp(server.metrics)
    text = http.get("/metrics").body.decode()
    http.close()

    failed = 'nv_inference_request_failure{model="%s",reason="CANCELED",version="1"} 1'
    assert re.search(re.escape(failed % "slow_pair") + r"\b", text), text
    assert 'nv_inference_request_success{model="echo",version="1"} 0' in text


def test_explicit_loads_and_unloads_follow_the_steps(ensembles, serve, tmp_path):
    """Loading an ensemble loads its models; unloading takes them along when asked to."""
    folder = tmp_path / "explicit"
    for name in ("simple", "diamond"):
        shutil.copytree(ensembles / name, folder / name)
    server = serve(folder, "--model-control-mode", "explicit").wait_ready()
    http = PlainHttp(server.http)

    def ready(name):
        return http.get(f"/v2/models/{name}/ready").status == 200

    def control(name, verb, body=b""):
        assert http.post(f"/v2/repository/models/{name}/{verb}", body).status == 200

    control("diamond", "load")
    assert (ready("diamond"), ready("simple")) == (True, True)
    control("simple", "unload")
    assert (ready("diamond"), ready("simple")) == (False, False)
    control("simple", "load")
    assert (ready("diamond"), ready("simple")) == (True, True)
    control("diamond", "unload", b'{"parameters":{"unload_dependents":true}}')
    assert (ready("diamond"), ready("simple")) == (False, False)
    http.close()
