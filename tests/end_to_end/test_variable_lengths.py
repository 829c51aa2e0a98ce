"""Requests of different lengths in one execution: ragged ones, and padded ones."""

import http.client
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from client_process import run_client
from model_folders import write_identity, write_model
from onnx import TensorProto, helper, numpy_helper

CLIENT = Path(__file__).with_name("clients") / "variable_lengths.py"
LENGTHS = (2, 4, 1, 3)
TOGETHER = """
dynamic_batching { max_queue_delay_microseconds: 10000000 }
instance_group [{ count: 1 kind: KIND_CPU }]
"""
"""The batch closes when it is full, which the requests of one protocol make it."""

RAGGED = """
name: "ragged"
backend: "onnxruntime"
max_batch_size: 4
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }]
output [
  { name: "SUM" data_type: TYPE_FP32 dims: [ 1 ] },
  { name: "SAME" data_type: TYPE_FP32 dims: [ -1 ] }
]
batch_input [{
  kind: BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO
  target_name: "ENDS" data_type: TYPE_INT32 source_input: "INPUT0"
}]
batch_output [{ target_name: "SAME" source_input: "INPUT0" }]
"""


def write_ragged(repository: Path) -> None:
    """Write a model that returns the sum of each request, and its elements."""
    info, node = helper.make_tensor_value_info, helper.make_node
    constants = {
        "zero": np.zeros(1, np.float32),
        "axis": np.int64(0),
        "begin": np.array([0]),
        "second": np.array([1]),
        "last": np.array([-1]),
        "end": np.array([2**31]),
        "column": np.array([-1, 1]),
    }
    graph = helper.make_graph(
        [
            node("Concat", ["zero", "INPUT0"], ["from_zero"], axis=0),
            node("CumSum", ["from_zero", "axis"], ["running"]),
            node("Gather", ["running", "ENDS"], ["at_ends"]),
            node("Slice", ["at_ends", "second", "end"], ["ends"]),
            node("Slice", ["at_ends", "begin", "last"], ["starts"]),
            node("Sub", ["ends", "starts"], ["sums"]),
            node("Reshape", ["sums", "column"], ["SUM"]),
            node("Identity", ["INPUT0"], ["SAME"]),
        ],
        "graph",
        [info("INPUT0", TensorProto.FLOAT, ["n"]), info("ENDS", TensorProto.INT32, ["e"])],
        [info("SUM", TensorProto.FLOAT, ["b", 1]), info("SAME", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    folder = write_model(repository, "ragged", RAGGED + TOGETHER)
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "1/model.onnx")


def collate(**parameters: str) -> str:
    """Return the parameters of padding."""
    return "".join(
        f'parameters {{ key: "inferd_{key}" value {{ string_value: "{value}" }} }}\n'
        for key, value in parameters.items()
    )


@pytest.fixture(name="ask")
def _ask(serve, repository):
    """Start a server and return a function that sends a model requests of some lengths."""

    def ask(model, lengths, *flags):
        server = serve(repository, *flags).wait_ready()
        text = ",".join(map(str, lengths))
        return json.loads(run_client(CLIENT, server.grpc, server.http, model, text)), server

    return ask


def batches(seen):
    """Return batch size -> executions."""
    found = seen["statistics"]["batch_stats"]
    return {int(one["batch_size"]): int(one["compute_infer"]["count"]) for one in found}


def collate_metrics(server):
    """Return (elements, padded elements) by model."""
    connection = http.client.HTTPConnection(server.metrics, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.findall(
        r'^inferd_collate_(padded_)?elements{model="(\w+)",version="1"} (\d+)$', text, re.MULTILINE
    )
    assert len(found) == len(re.findall(r"^inferd_collate", text, re.MULTILINE))
    values = {(model, bool(padded)): int(value) for padded, model, value in found}
    return {model: (values[model, False], values[model, True]) for model, _ in values}


def test_ragged_requests_share_an_execution(ask, repository):
    """Over both protocols; each client gets its own sum and its own elements."""
    write_ragged(repository)
    seen, server = ask("ragged", LENGTHS)

    assert seen["inputs"] == ["INPUT0"]
    for i, protocol in enumerate(("grpc", "http"), start=1):
        assert seen[protocol]["answers"] == [{"SUM": [[n * n]], "SAME": [[n] * n]} for n in LENGTHS]
        assert batches(seen[protocol]) == {4: i}
    assert collate_metrics(server) == {}


def test_padded_requests_share_an_execution(ask, repository):
    """Each answer has the length of its request; the padding is counted."""
    write_identity(repository, "padded", batch=4, more=TOGETHER + collate(collate="pad"))
    seen, server = ask("padded", LENGTHS)

    for i, protocol in enumerate(("grpc", "http"), start=1):
        assert seen[protocol]["answers"] == [{"OUTPUT0": [[n] * n]} for n in LENGTHS]
        assert batches(seen[protocol]) == {4: i}
    assert collate_metrics(server) == {"padded": (32, 12)}


def test_requests_are_padded_to_their_bucket(ask, repository):
    """Whatever they are executed with; what is longer than all buckets is not padded."""
    buckets = collate(collate="bucket", collate_buckets="2,4", collate_pad_value="-1")
    write_identity(repository, "bucketed", batch=4, more="dynamic_batching { }\n" + buckets)
    lengths = (1, 2, 3, 4, 9)
    seen, server = ask("bucketed", lengths)

    for protocol in ("grpc", "http"):
        assert seen[protocol]["answers"] == [{"OUTPUT0": [[n] * n]} for n in lengths]
    assert collate_metrics(server) == {"bucketed": (42, 4)}


def test_padded_answers_are_cached_by_their_own_requests(ask, repository):
    """The cache knows nothing of the batch an answer came from."""
    more = TOGETHER + collate(collate="pad") + "response_cache { enable: true }\n"
    write_identity(repository, "padded", batch=4, more=more)
    seen, _ = ask("padded", LENGTHS, "--cache-config=local,size=1000000")

    assert seen["http"]["answers"] == [{"OUTPUT0": [[n] * n]} for n in LENGTHS]
    assert batches(seen["http"]) == {4: 1}
    assert int(seen["http"]["statistics"]["inference_stats"]["cache_hit"]["count"]) == 4


def test_a_wrong_parameter_is_named_at_load(serve, repository):
    """In the log, with its value, the reason and the model."""
    write_identity(repository, "wrong", more=collate(collate="pad", collate_axes="INPUT0:2"))
    server = serve(repository, "--exit-on-error", "false")

    assert server.get_status("/v2/models/wrong/ready") == 400
    assert (
        "parameter 'inferd_collate_axes' 'INPUT0:2': input 'INPUT0' has the axes 0 to 1 for wrong"
        in server.log
    )
