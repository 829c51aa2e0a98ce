"""Requests of different lengths in one execution of an ONNX model."""

import asyncio

import numpy as np
import pytest
from onnx import numpy_helper

from inferd.errors import InferdError, InvalidRequest
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor
from inferd.testing.server import InMemoryServer

CONFIG = """
backend: "onnxruntime"
max_batch_size: 8
input { name: "RAGGED" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
output { name: "SUM" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "LONGEST" data_type: TYPE_INT64 dims: [ 1 ] }
output { name: "SHAPE" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "SAME" data_type: TYPE_FP32 dims: [ -1 ] }
batch_input {
  kind: BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO
  target_name: "ENDS" data_type: TYPE_INT32 source_input: "RAGGED"
}
batch_input {
  kind: BATCH_MAX_ELEMENT_COUNT_AS_SHAPE
  target_name: "MAX" data_type: TYPE_FP32 source_input: "RAGGED"
}
batch_input {
  kind: BATCH_ITEM_SHAPE target_name: "ITEMS" data_type: TYPE_FP32 source_input: "RAGGED"
}
batch_output { target_name: "SAME" source_input: "RAGGED" }
instance_group { count: 1 kind: KIND_CPU }
"""
DYNAMIC = "dynamic_batching { max_queue_delay_microseconds: 1000 }"
SEQUENCES = """
sequence_batching {
  oldest { max_candidate_sequences: 4 max_queue_delay_microseconds: 1000 }
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START fp32_false_true: [0, 1] } }
}
"""
WARMUP = """
model_warmup {
  name: "sample" batch_size: 3
  inputs { key: "RAGGED" value { data_type: TYPE_FP32 dims: [ 5 ] random_data: true } }
}
"""
LENGTHS = (2, 4, 1, 3)


CONSTANTS = {
    "zero": np.zeros(1, np.float32),
    "first": np.int64(0),
    "first_1": np.array([0]),
    "one": np.array([1]),
    "minus_one": np.array([-1]),
    "last": np.array([2**31]),
    "column": np.array([-1, 1]),
}


def summing(node, start):
    """Return the nodes that sum each request, less its start control where there is one."""
    return [
        node("Concat", ["zero", "RAGGED"], ["from_zero"], axis=0),
        node("CumSum", ["from_zero", "first"], ["running"]),
        node("Gather", ["running", "ENDS"], ["at_ends"]),
        node("Slice", ["at_ends", "one", "last"], ["ends"]),
        node("Slice", ["at_ends", "first_1", "minus_one"], ["starts"]),
        node("Sub", ["ends", "starts"], ["sums"]),
        node("Reshape", ["sums", "column"], ["SUM" if not start else "sum"]),
        *([node("Sub", ["sum", "START"], ["SUM"])] if start else []),
    ]


def telling(node):
    """Return the nodes that say how long the requests are, and give the elements back."""
    return [
        node("Shape", ["MAX"], ["max"]),
        node("Shape", ["ITEMS"], ["rows"]),
        node("Expand", ["max", "rows"], ["LONGEST"]),
        node("Identity", ["ITEMS"], ["SHAPE"]),
        node("Identity", ["RAGGED"], ["SAME"]),
    ]


@pytest.fixture(name="write")
def _write(tmp_path, onnx_files):
    """Write a model that sums each request, and says how long they are."""

    def write(more=DYNAMIC, start=False):
        types, node, tensor = onnx_files.types, onnx_files.node, onnx_files.tensor
        controls = [tensor("START", types.FLOAT, ["b", 1])] if start else []
        onnx_files.graph(
            tmp_path / "m" / "1" / "model.onnx",
            [
                tensor("RAGGED", types.FLOAT, ["elements"]),
                tensor("ENDS", types.INT32, ["ends"]),
                tensor("MAX", types.FLOAT, ["max"]),
                tensor("ITEMS", types.FLOAT, ["rows", 1]),
                *controls,
            ],
            [
                tensor("SUM", types.FLOAT, ["rows", 1]),
                tensor("LONGEST", types.INT64, ["rows", 1]),
                tensor("SHAPE", types.FLOAT, ["rows", 1]),
                tensor("SAME", types.FLOAT, ["elements"]),
            ],
            [*summing(node, start), *telling(node)],
            [numpy_helper.from_array(np.array(value), key) for key, value in CONSTANTS.items()],
        )
        (tmp_path / "m" / "config.pbtxt").write_text(CONFIG + more)
        return tmp_path

    return write


def filled(length):
    """Return one row of a number as often as it says."""
    return np.full((1, length), length, np.float32)


def check(length, outputs, longest=4):
    """Check what a request of this length was told."""
    assert outputs["SUM"].tolist() == [[length * length]]
    assert outputs["LONGEST"].tolist() == [[longest]]
    assert outputs["SHAPE"].tolist() == [[length]]
    assert outputs["SAME"].tolist() == [[length] * length]


async def test_requests_of_different_lengths_share_one_execution(write):
    """Each gets its own sum and its own elements back."""
    async with InMemoryServer(write()) as server:
        answers = await asyncio.gather(
            *(server.infer("m", {"RAGGED": filled(length)}) for length in LENGTHS)
        )
        (statistics,) = server.dataplane.model_statistics("m", "")
        metadata = server.dataplane.model_metadata("m", "")

    for length, outputs in zip(LENGTHS, answers, strict=True):
        check(length, outputs)
    assert (statistics.execution_count, statistics.inference_count) == (1, 4)
    assert [tensor.name for tensor in metadata.inputs] == ["RAGGED"]


async def test_a_single_request_is_answered_like_many(write):
    """After a warm-up with requests of other lengths."""
    async with InMemoryServer(write(DYNAMIC + WARMUP)) as server:
        check(3, await server.infer("m", {"RAGGED": filled(3)}), longest=3)
        (statistics,) = server.dataplane.model_statistics("m", "")

    assert statistics.execution_count == 1


async def test_generated_inputs_are_not_the_clients(write):
    """Sending one is refused."""
    async with InMemoryServer(write()) as server:
        with pytest.raises(InvalidRequest, match="but got 2 inputs for model 'm'"):
            await server.infer("m", {"RAGGED": filled(1), "ITEMS": filled(1)})


async def test_sequences_of_different_lengths_share_one_execution(write):
    """The sequence batcher's controls are rows beside the ragged elements."""

    def step(sequence_id, length):
        array = filled(length)
        return InferRequest(
            "m",
            {"RAGGED": Tensor("RAGGED", "FP32", array.shape, array=array)},
            sequence_id=sequence_id,
            sequence_start=True,
            sequence_end=True,
        )

    async with InMemoryServer(write(SEQUENCES + WARMUP, start=True)) as server:
        answers = await asyncio.gather(
            *(server.dataplane.infer(step(id, length)) for id, length in enumerate(LENGTHS, 1))
        )
        (statistics,) = server.dataplane.model_statistics("m", "")

    for length, answer in zip(LENGTHS, answers, strict=True):
        outputs = {tensor.name: tensor.array() for tensor in answer.outputs}
        outputs["SUM"] += 1
        check(length, outputs)
    assert statistics.execution_count == 1


async def test_a_graph_without_the_generated_input_is_refused(write, onnx_files):
    """At load, naming it."""
    repository = write()
    config = repository / "m" / "config.pbtxt"
    config.write_text(config.read_text().replace('"ENDS"', '"BEGINS"'))

    with pytest.raises(InferdError, match="unexpected inference input 'BEGINS'"):
        async with InMemoryServer(repository):
            pass


TEXT = """
backend: "onnxruntime"
max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_STRING dims: [ -1 ] allow_ragged_batch: true }
output { name: "OUTPUT0" data_type: TYPE_STRING dims: [ -1 ] }
batch_output { target_name: "OUTPUT0" source_input: "INPUT0" }
dynamic_batching { max_queue_delay_microseconds: 1000 }
instance_group { count: 1 kind: KIND_CPU }
"""


async def test_one_requests_bad_text_does_not_touch_the_others(tmp_path, onnx_files):
    """Ragged BYTES inputs are checked per request, too."""
    onnx_files.identity(
        tmp_path / "m" / "1" / "model.onnx", onnx_files.types.STRING, shape=["elements"]
    )
    (tmp_path / "m" / "config.pbtxt").write_text(TEXT)
    sent = [np.array([row], object) for row in ([b"a", b"b"], [b"\xff"], [b"c"])]
    async with InMemoryServer(tmp_path) as server:
        first, bad, last = await asyncio.gather(
            *(server.infer("m", {"INPUT0": array}) for array in sent), return_exceptions=True
        )
        (statistics,) = server.dataplane.model_statistics("m", "")

    assert isinstance(bad, InvalidRequest)
    assert [first["OUTPUT0"].tolist(), last["OUTPUT0"].tolist()] == [[["a", "b"]], [["c"]]]
    assert statistics.execution_count == 1
