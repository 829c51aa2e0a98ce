"""What a config leaves out is read from the graph, by Triton's rules."""

import pytest
from inferd_backend_onnx.completion import complete, needs_completion
from inferd_backend_onnx.graph import Graph, GraphTensor

from inferd._generated.inference import (
    BatchInput,
    DataType,
    ModelDynamicBatching,
    ModelInput,
    ModelOutput,
    ModelSequenceBatching,
    ModelSequenceBatchingControlInput,
    ModelSequenceBatchingState,
)
from inferd.backend import BackendError, ModelConfig

FP32 = DataType.TYPE_FP32


def graph(inputs, outputs) -> Graph:
    """Return a graph of FP32 tensors with these shapes."""
    return Graph(
        {name: GraphTensor(name, "tensor(float)", FP32, shape) for name, shape in inputs.items()},
        {name: GraphTensor(name, "tensor(float)", FP32, shape) for name, shape in outputs.items()},
        {},
    )


BATCHING = graph({"X": (-1, 16)}, {"Y": (-1, 4)})
FIXED = graph({"X": (1, 16)}, {"Y": (1, 4)})


def completed(known: Graph, default: int = 4, **fields) -> ModelConfig:
    """Return a config completed from a graph."""
    config = ModelConfig(name="m", **fields)
    complete(config, known, default)
    return config


def dims(config: ModelConfig) -> list[list[int]]:
    """Return the dims of all inputs and outputs."""
    return [tensor.dims for tensor in (*config.input, *config.output)]


class TestBatching:
    """Whether and how the model batches."""

    def test_graph_that_can_batch(self):
        """A variable first dimension everywhere turns dynamic batching on, up to 4."""
        config = completed(BATCHING)

        assert config.max_batch_size == 4
        assert config.dynamic_batching == ModelDynamicBatching(preferred_batch_size=[4])
        assert dims(config) == [[16], [4]]

    def test_one_tensor_without_a_batch_dimension(self):
        """One fixed first dimension is enough to leave batching off."""
        config = completed(graph({"X": (-1, 16), "Z": (16,)}, {"Y": (-1, 4)}))

        assert config.max_batch_size == 0
        assert config.dynamic_batching is None
        assert dims(config) == [[-1, 16], [16], [-1, 4]]

    def test_max_batch_size_of_the_config(self):
        """A stated max_batch_size is kept, and preferred."""
        config = completed(BATCHING, max_batch_size=32)

        assert config.max_batch_size == 32
        assert config.dynamic_batching == ModelDynamicBatching(preferred_batch_size=[32])

    def test_max_batch_size_of_one(self):
        """A model with room for one row has nothing to batch."""
        config = completed(BATCHING, max_batch_size=1)

        assert config.dynamic_batching is None
        assert dims(config) == [[16], [4]]

    def test_default_of_one(self):
        """default-max-batch-size 1 makes a batching model without a batcher."""
        config = completed(BATCHING, default=1)

        assert config.max_batch_size == 1
        assert config.dynamic_batching is None

    def test_default_of_zero(self):
        """default-max-batch-size 0 leaves batching off and the shapes whole."""
        config = completed(BATCHING, default=0)

        assert config.max_batch_size == 0
        assert dims(config) == [[-1, 16], [-1, 4]]

    def test_scheduler_of_the_config(self):
        """A model with another scheduler gets no dynamic batching."""
        config = completed(BATCHING, sequence_batching=ModelSequenceBatching())

        assert config.max_batch_size == 4
        assert config.dynamic_batching is None

    def test_dynamic_batching_of_the_config(self):
        """Dynamic batching that is configured stays as it is."""
        given = ModelDynamicBatching(preferred_batch_size=[2], max_queue_delay_microseconds=9)

        assert completed(BATCHING, dynamic_batching=given).dynamic_batching == given

    def test_contradiction(self):
        """A config that batches a graph that cannot is refused with Triton's text."""
        with pytest.raises(BackendError) as caught:
            completed(FIXED, max_batch_size=8)

        assert caught.value.message == (
            "autofill failed for model 'm': model does not support batching while non-zero "
            "max_batch_size is specified"
        )


class TestTensors:
    """Inputs and outputs."""

    def test_both_given(self):
        """A config with inputs and outputs is not completed."""
        config = ModelConfig(input=[ModelInput(name="X")], output=[ModelOutput(name="Y")])

        assert not needs_completion(config)
        assert needs_completion(ModelConfig(input=[ModelInput(name="X")]))
        assert needs_completion(ModelConfig(output=[ModelOutput(name="Y")]))

    def test_names_and_datatypes(self):
        """Names and datatypes are the graph's, in its order."""
        config = completed(graph({"b": (1,), "a": (2,)}, {"y": (3,)}))

        assert [(tensor.name, tensor.data_type) for tensor in config.input] == [
            ("b", FP32),
            ("a", FP32),
        ]
        assert config.output == [ModelOutput(name="y", data_type=FP32, dims=[3])]

    def test_scalars(self):
        """A scalar is one element for clients and no dimension for the graph."""
        config = completed(graph({"X": ()}, {"Y": ()}))

        for tensor in (*config.input, *config.output):
            assert tensor.dims == [1]
            assert tensor.reshape is not None
            assert tensor.reshape.shape == []

    def test_rows_of_scalars(self):
        """What is left of [batch] without the batch is a scalar, too."""
        config = completed(graph({"X": (-1, 3)}, {"Y": (-1,)}))

        assert config.output[0].dims == [1]
        assert config.output[0].reshape is not None

    def test_optional_input(self):
        """An input of an optional ONNX type may be left out by clients."""
        known = Graph(
            {"X": GraphTensor("X", "optional(tensor(float))", FP32, (3,), optional=True)}, {}, {}
        )

        assert completed(known).input[0].optional

    def test_given_inputs_are_kept(self):
        """Only the missing side is filled in."""
        given = ModelInput(name="X", data_type=FP32, dims=[16], allow_ragged_batch=True)
        config = completed(BATCHING, input=[given])

        assert config.input[0].allow_ragged_batch
        assert dims(config) == [[16], [4]]

    def test_given_inputs_with_their_whole_shape(self):
        """Inputs written with the batch dimension lose it when batching is found out."""
        given = ModelInput(name="X", data_type=FP32, dims=[-1, 16])
        config = completed(BATCHING, input=[given])

        assert config.input[0].dims == [16]

    def test_a_ragged_input_keeps_its_dims(self):
        """The graph has it in one dimension, whatever the client sends."""
        given = ModelInput(name="X", data_type=FP32, dims=[-1], allow_ragged_batch=True)
        config = completed(graph({"X": (-1,)}, {"Y": (-1, 4)}), input=[given])

        assert config.max_batch_size
        assert dims(config) == [[-1], [4]]

    def test_given_inputs_of_a_model_with_a_batch_size(self):
        """Where the config says that it batches, its dims are without the batch already."""
        given = ModelInput(name="X", data_type=FP32, dims=[-1, 16])
        config = completed(BATCHING, input=[given], max_batch_size=2)

        assert config.input[0].dims == [-1, 16]

    def test_given_input_the_graph_does_not_have(self):
        """A wrong name is left for the load to report."""
        given = ModelInput(name="Q", data_type=FP32, dims=[-1, 16])

        assert completed(BATCHING, input=[given]).input == [given]

    def test_tensors_of_the_scheduler(self):
        """Controls, states and generated inputs are not the client's to send."""
        known = graph(
            {"X": (-1, 1), "START": (-1, 1), "S_IN": (-1, 1), "COUNT": (-1, 1)},
            {"Y": (-1, 1), "S_OUT": (-1, 1)},
        )
        config = completed(
            known,
            sequence_batching=ModelSequenceBatching(
                control_input=[ModelSequenceBatchingControlInput(name="START")],
                state=[ModelSequenceBatchingState(input_name="S_IN", output_name="S_OUT")],
            ),
            batch_input=[BatchInput(target_name=["COUNT"])],
        )

        assert [tensor.name for tensor in config.input] == ["X"]
        assert [tensor.name for tensor in config.output] == ["Y"]

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            (
                "seq(tensor(float))",
                "autofill failed for model 'm': unsupported ONNX type 'seq(tensor(float))' for "
                "output 'Y', expected a tensor",
            ),
            (
                "tensor(complex64)",
                "unsupported datatype tensor(complex64) for output 'Y' for model 'm'",
            ),
        ],
    )
    def test_undescribable(self, kind, message):
        """What a config cannot name is refused with its ONNX type."""
        known = Graph({}, {"Y": GraphTensor("Y", kind, None, (1,))}, {})

        with pytest.raises(BackendError) as caught:
            completed(known)

        assert caught.value.message == message
