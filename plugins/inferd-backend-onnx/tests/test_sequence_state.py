"""Sequences of an ONNX model whose sum is kept by the scheduler."""

import asyncio

import numpy as np
import pytest
from onnx import numpy_helper

from inferd.errors import InferdError
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor
from inferd.testing.server import InMemoryServer

WARMUP = """
model_warmup {
  name: "sample" batch_size: 2
  inputs { key: "INPUT" value { data_type: TYPE_INT32 dims: [ 1 ] zero_data: true } }
}
"""
CONFIG = """
backend: "onnxruntime"
max_batch_size: %(batch)d
input { name: "INPUT" data_type: TYPE_INT32 dims: [ 1 ] }
output { name: "OUTPUT" data_type: TYPE_INT32 dims: [ 1 ] }
instance_group { count: 1 kind: KIND_CPU }
sequence_batching {
  %(strategy)s
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] } }
  state {
    input_name: "INPUT_STATE" output_name: "OUTPUT_STATE" data_type: TYPE_INT32 dims: [ 1 ]
    %(state)s
  }
}
"""
STRATEGIES = ("", "direct { }", "oldest { max_candidate_sequences: 4 }")


@pytest.fixture(name="write")
def _write(tmp_path, onnx_files):
    """Write a model that returns INPUT plus, except at START, its state, which it becomes."""

    def write(strategy="", state="", batch=4, forget=True):
        element, node = onnx_files.types.INT32, onnx_files.node
        shape = ["batch", 1] if batch else [1]
        keep = ["keep", ["one", "START"]] if forget else ["keep", ["one", "zero"]]
        onnx_files.graph(
            tmp_path / "m" / "1" / "model.onnx",
            [onnx_files.tensor(n, element, shape) for n in ("INPUT", "START", "INPUT_STATE")],
            [onnx_files.tensor(name, element, shape) for name in ("OUTPUT", "OUTPUT_STATE")],
            [
                node("Sub", keep[1], ["keep"]),
                node("Mul", ["INPUT_STATE", "keep"], ["old"]),
                node("Add", ["old", "INPUT"], ["OUTPUT"]),
                node("Identity", ["OUTPUT"], ["OUTPUT_STATE"]),
            ],
            [
                numpy_helper.from_array(np.array([1], np.int32), "one"),
                numpy_helper.from_array(np.array([0], np.int32), "zero"),
            ],
        )
        fields = {"strategy": strategy, "state": state, "batch": batch}
        (tmp_path / "m" / "config.pbtxt").write_text(CONFIG % fields)
        return tmp_path

    return write


def step(key, value, *, start=False, end=False, shape=(1, 1)):
    """Return a request of a sequence."""
    tensor = Tensor("INPUT", "INT32", shape, array=np.full(shape, value, np.int32))
    return InferRequest(
        "m", {"INPUT": tensor}, sequence_id=key, sequence_start=start, sequence_end=end
    )


async def answers(server, sequences):
    """Send the sequences step by step, the steps of one turn at once; return their answers."""
    found = {key: [] for key in sequences}
    length = len(next(iter(sequences.values())))
    for index in range(length):
        responses = await asyncio.gather(
            *(
                server.dataplane.infer(
                    step(key, values[index], start=index == 0, end=index == length - 1)
                )
                for key, values in sequences.items()
            )
        )
        for key, response in zip(sequences, responses, strict=True):
            assert [tensor.name for tensor in response.outputs] == ["OUTPUT"]
            found[key].append(int(response.outputs[0].array().ravel()[0]))
    return found


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_interleaved_sequences_get_what_each_gets_alone(write, strategy):
    """Although their steps share executions."""
    sequences = {1: [11, 7, 5, 3], "two": [100, -7, -5, -3]}
    async with InMemoryServer(write(strategy)) as server:
        together = await answers(server, sequences)
        (statistics,) = server.dataplane.model_statistics("m", "")
        shared = statistics.execution_count
        alone = {key: (await answers(server, {key: sequences[key]}))[key] for key in sequences}

    assert together == alone == {1: [11, 18, 23, 26], "two": [100, 93, 88, 85]}
    assert shared == 4
    assert statistics.inference_count == 8


async def test_a_model_without_a_batch_dimension(write):
    """One sequence after the other."""
    async with InMemoryServer(write(batch=0)) as server:
        found = [
            int((await server.dataplane.infer(one)).outputs[0].array()[0])
            for one in (step(1, 5, start=True, shape=(1,)), step(1, 6, end=True, shape=(1,)))
        ]
    assert found == [5, 11]


async def test_a_sequence_starts_with_the_value_of_the_file(write):
    """Every time; the model itself looks at no START."""
    initial = 'initial_state { name: "i" data_type: TYPE_INT32 dims: [ 1 ] data_file: "begin" }'
    repository = write(state=initial, forget=False)
    (repository / "m" / "initial_state").mkdir()
    (repository / "m" / "initial_state" / "begin").write_bytes(np.array([1000], "<i4").tobytes())
    async with InMemoryServer(repository) as server:
        found = [await answers(server, {key: [1, 2]}) for key in (1, 1, 2)]

    assert found == [{1: [1001, 1003]}, {1: [1001, 1003]}, {2: [1001, 1003]}]


async def test_the_same_buffer_for_input_and_output_changes_no_answer(write):
    """The field only saves memory on GPUs."""
    repository = write(state="use_same_buffer_for_input_output: true")
    async with InMemoryServer(repository) as server:
        assert await answers(server, {1: [1, 2, 3]}) == {1: [1, 3, 6]}


async def test_a_missing_file_of_initial_values_fails_the_load(write):
    """The reason names the state and the file."""
    initial = 'initial_state { name: "i" data_type: TYPE_INT32 dims: [ 1 ] data_file: "none" }'
    with pytest.raises(InferdError, match=r"initial value of state 'INPUT_STATE' of m: .*none"):
        async with InMemoryServer(write(state=initial)):
            pass


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_model_with_state_can_be_warmed_up(write, strategy):
    """And its sequences begin anew."""
    repository = write(strategy)
    with (repository / "m" / "config.pbtxt").open("a") as config:
        config.write(WARMUP)
    async with InMemoryServer(repository) as server:
        assert server.dataplane.is_model_ready("m", "1")


async def test_a_warm_up_sample_needs_no_state(write):
    """It gets the initial one; no sequence starts with what it leaves."""
    repository = write()
    with (repository / "m" / "config.pbtxt").open("a") as file:
        file.write(
            'model_warmup { name: "w" batch_size: 2 inputs { key: "INPUT" '
            "value { data_type: TYPE_INT32 dims: [ 1 ] random_data: true } } }"
        )
    async with InMemoryServer(repository) as server:
        assert await answers(server, {1: [1, 2]}) == {1: [1, 3]}
