"""A config that does not fit its graph is refused with Triton's text."""

import pytest
from inferd_backend_onnx.graph import Graph, GraphTensor
from inferd_backend_onnx.validation import check_config

from inferd._generated.inference import (
    BatchInput,
    BatchInputKind,
    BatchOutput,
    DataType,
    ModelInput,
    ModelOutput,
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlInput,
    ModelSequenceBatchingState,
    ModelTensorReshape,
)
from inferd.backend import BackendError, ModelConfig

FP32, INT32 = DataType.TYPE_FP32, DataType.TYPE_INT32
KINDS = {FP32: "tensor(float)", INT32: "tensor(int32)"}


def tensors(**shapes) -> dict[str, GraphTensor]:
    """Return FP32 tensors of these shapes."""
    return {name: GraphTensor(name, KINDS[FP32], FP32, shape) for name, shape in shapes.items()}


ADD_SUB = Graph(
    tensors(INPUT0=(-1, 16), INPUT1=(-1, 16)), tensors(OUTPUT0=(-1, 16), OUTPUT1=(-1, 16)), {}
)


def config(inputs=("INPUT0", "INPUT1"), outputs=("OUTPUT0", "OUTPUT1"), dims=(16,), **fields):
    """Return a config with FP32 tensors."""
    return ModelConfig(
        name="m",
        **{"max_batch_size": 8, **fields},
        input=[ModelInput(name=name, data_type=FP32, dims=list(dims)) for name in inputs],
        output=[ModelOutput(name=name, data_type=FP32, dims=list(dims)) for name in outputs],
    )


def refusal(given: ModelConfig, graph: Graph = ADD_SUB) -> str:
    """Return why a config is refused."""
    with pytest.raises(BackendError) as caught:
        check_config(given, graph)
    return caught.value.message


class TestInputsAndOutputs:
    """Names and counts."""

    def test_fits(self):
        """A config that says what the graph says passes."""
        check_config(config(), ADD_SUB)

    def test_fewer_outputs(self):
        """A config need not offer every output of the graph."""
        check_config(config(outputs=["OUTPUT1"]), ADD_SUB)

    @pytest.mark.parametrize(
        ("names", "count"), [(["INPUT0"], 1), (["INPUT0", "INPUT1", "INPUT2"], 3), ([], 0)]
    )
    def test_input_count(self, names, count):
        """Too few or too many inputs are told with both counts."""
        assert refusal(config(inputs=names)) == (
            f"unable to load model 'm', configuration expects {count} inputs, model provides 2"
        )

    def test_unknown_input(self):
        """A wrong input name is told with the right ones."""
        assert refusal(config(inputs=["INPUT0", "X"])) == (
            "unexpected inference input 'X', allowed inputs are: INPUT0, INPUT1"
        )

    def test_unknown_output(self):
        """A wrong output name is told with the right ones."""
        assert refusal(config(outputs=["Y"])) == (
            "unexpected inference output 'Y', allowed outputs are: OUTPUT0, OUTPUT1"
        )

    def test_input_with_a_default(self):
        """An input the graph has a default for may be named or not."""
        graph = Graph(ADD_SUB.inputs, ADD_SUB.outputs, tensors(W=(-1, 16)))

        check_config(config(), graph)
        check_config(config(inputs=["INPUT0", "INPUT1", "W"]), graph)

    def test_optional_input(self):
        """An input of an optional type may be named or not."""
        optional = GraphTensor("O", "optional(tensor(float))", FP32, (-1, 16), optional=True)
        graph = Graph({**ADD_SUB.inputs, "O": optional}, ADD_SUB.outputs, {})

        check_config(config(), graph)
        check_config(config(inputs=["INPUT0", "INPUT1", "O"]), graph)

    def test_generated_input(self):
        """Inputs the scheduler generates count as given."""
        graph = Graph({**ADD_SUB.inputs, **tensors(COUNT=(-1,))}, ADD_SUB.outputs, {})

        check_config(config(batch_input=[BatchInput(target_name=["COUNT"], data_type=FP32)]), graph)
        assert "expects 2 inputs, model provides 3" in refusal(config(), graph)


class TestDatatypes:
    """Datatypes."""

    @pytest.mark.parametrize("side", ["input", "output"])
    def test_differs(self, side):
        """A wrong datatype is told with both."""
        given = config()
        tensor = getattr(given, side)[0]
        tensor.data_type = INT32

        assert refusal(given) == (
            f"unable to load model 'm', configuration expects datatype TYPE_INT32 for {side} "
            f"'{tensor.name}', model provides TYPE_FP32"
        )

    def test_missing(self):
        """A tensor without a datatype is refused."""
        given = config()
        given.input[0].data_type = DataType.TYPE_INVALID

        assert refusal(given) == (
            "unsupported datatype TYPE_INVALID for input 'INPUT0' for model 'm'"
        )

    def test_no_tensor(self):
        """An output that is a sequence is refused with its ONNX type."""
        outputs = {"OUTPUT0": GraphTensor("OUTPUT0", "seq(tensor(float))", None, ())}

        assert refusal(config(outputs=["OUTPUT0"]), Graph(ADD_SUB.inputs, outputs, {})) == (
            "unsupported datatype seq(tensor(float)) for output 'OUTPUT0' for model 'm'"
        )


class TestShapes:
    """Dimensions."""

    def test_too_many_dimensions(self):
        """A batching model's dims are told with the batch dimension and why it is there."""
        assert refusal(config(dims=[16, 1])) == (
            "model 'm', tensor 'INPUT0': the model expects 2 dimensions (shape [-1,16]) but the "
            "model configuration specifies 3 dimensions (an initial batch dimension because "
            "max_batch_size > 0 followed by the explicit tensor shape, making complete shape "
            "[-1,16,1])"
        )

    def test_without_batching(self):
        """A model that does not batch is told the shapes as they are."""
        assert refusal(config(dims=[16], max_batch_size=0)) == (
            "model 'm', tensor 'INPUT0': the model expects 2 dimensions (shape [-1,16]) but the "
            "model configuration specifies 1 dimensions (shape [16])"
        )

    def test_graph_that_cannot_batch(self):
        """A batching config needs a graph with a variable first dimension."""
        graph = Graph(tensors(X=(1, 16)), tensors(Y=(-1, 16)), {})

        assert refusal(config(inputs=["X"], outputs=["Y"]), graph) == (
            "model 'm', tensor 'X': for the model to support batching the shape should have at "
            "least 1 dimension and the first dimension must be -1; but shape expected by the "
            "model is [1,16]"
        )

    @pytest.mark.parametrize("dims", [[16], [-1]])
    def test_variable_dimensions_fit(self, dims):
        """-1 on either side fits anything."""
        check_config(config(dims=dims), ADD_SUB)

    def test_other_size(self):
        """A fixed dimension must be the graph's."""
        assert "making complete shape [-1,17])" in refusal(config(dims=[17]))

    def test_reshape_counts(self):
        """The shape the graph gets is the reshaped one."""
        given = config(dims=[4, 4])
        for tensor in (*given.input, *given.output):
            tensor.reshape = ModelTensorReshape(shape=[16])

        check_config(given, ADD_SUB)

    def test_output_of_unknown_rank(self):
        """An output whose rank the graph does not tell has whatever dims the config says."""
        check_config(config(outputs=["Y"], dims=[16]), Graph(ADD_SUB.inputs, tensors(Y=()), {}))

    def test_ragged_input(self):
        """A ragged input is flattened, so the graph must take one variable dimension."""
        given = config(inputs=["X"], outputs=[])
        given.input[0].allow_ragged_batch = True
        start = (
            "unable to load model 'm', configuration expects model provides input with shape "
            "[-1] for ragged input 'X', "
        )

        check_config(given, Graph(tensors(X=(-1,)), {}, {}))
        assert refusal(given, Graph(tensors(X=(-1, 16)), {}, {})) == (
            f"{start}model provides [-1,16]"
        )
        given.input[0].optional = True
        assert refusal(given, Graph(tensors(X=(-1,)), {}, {})) == (
            f"{start}which is not supported for optional input"
        )

    def test_split_output(self):
        """An output that is split by an input's shape may have any rank, not any datatype."""
        given = config(
            inputs=["X"],
            outputs=["Y"],
            batch_output=[BatchOutput(target_name=["Y"], source_input=["X"])],
        )

        check_config(given, Graph(tensors(X=(-1, 16)), tensors(Y=(-1,)), {}))
        given.output[0].data_type = INT32
        assert "expects datatype TYPE_INT32 for output 'Y'" in refusal(
            given, Graph(tensors(X=(-1, 16)), tensors(Y=(-1,)), {})
        )

    @pytest.mark.parametrize(
        ("kind", "shape", "text"),
        [
            (BatchInputKind.BATCH_ELEMENT_COUNT, (-1,), ""),
            (BatchInputKind.BATCH_ITEM_SHAPE, (-1, 2), ""),
            (
                BatchInputKind.BATCH_ELEMENT_COUNT,
                (-1, 1),
                "batch input kind 'BATCH_ELEMENT_COUNT' has 1 dimensions, but input 'COUNT' of the "
                "model has shape [-1,1]",
            ),
            (BatchInputKind.BATCH_ITEM_SHAPE, (-1,), "has 2 dimensions, but input 'COUNT'"),
        ],
    )
    def test_generated_input(self, kind, shape, text):
        """Batch inputs have two dimensions when they are item shapes, else one."""
        made = BatchInput(kind=kind, target_name=["COUNT"], data_type=FP32)
        given = config(inputs=["X"], outputs=["Y"], batch_input=[made])
        graph = Graph(tensors(X=(-1, 16), COUNT=shape), tensors(Y=(-1, 16)), {})

        if text:
            assert text in refusal(given, graph)
        else:
            check_config(given, graph)
            made.data_type = INT32
            assert "expects datatype TYPE_INT32 for input 'COUNT'" in refusal(given, graph)


class TestSequences:
    """Tensors the sequence batcher feeds."""

    @staticmethod
    def given(name="START", **control) -> ModelConfig:
        """Return a sequence model with one control."""
        kinds = control or {"int32_false_true": [0, 1]}
        return config(
            inputs=["X"],
            outputs=["Y"],
            sequence_batching=ModelSequenceBatching(
                control_input=[
                    ModelSequenceBatchingControlInput(
                        name=name, control=[ModelSequenceBatchingControl(**kinds)]
                    )
                ]
            ),
        )

    @staticmethod
    def graph(datatype=INT32, shape=(-1, 1)) -> Graph:
        """Return a graph with a control input."""
        start = GraphTensor("START", KINDS.get(datatype, "tensor(other)"), datatype, shape)
        return Graph({**tensors(X=(-1, 16)), "START": start}, tensors(Y=(-1, 16)), {})

    def test_control_counts_as_input(self):
        """Controls are inputs of the graph although no client sends them."""
        check_config(self.given(), self.graph())

    @pytest.mark.parametrize(
        ("control", "datatype"),
        [
            ({"fp32_false_true": [0.0, 1.0]}, FP32),
            ({"bool_false_true": [False, True]}, DataType.TYPE_BOOL),
            ({"data_type": DataType.TYPE_UINT64}, DataType.TYPE_UINT64),
        ],
    )
    def test_control_datatypes(self, control, datatype):
        """A control's datatype is that of its values, or the one it names."""
        check_config(self.given(**control), self.graph(datatype))

    def test_missing_control(self):
        """A control the graph does not have is told by name."""
        graph = Graph(tensors(X=(-1, 16), Z=(-1, 16)), tensors(Y=(-1, 16)), {})

        assert refusal(self.given("END"), graph) == (
            "configuration specified sequence control 'END', but model does not provide that input"
        )

    def test_control_datatype_differs(self):
        """A control of another datatype is told with both."""
        assert refusal(self.given(fp32_false_true=[0.0, 1.0]), self.graph()) == (
            "unable to load model 'm', sequence control 'START', the model expects data-type "
            "TYPE_INT32 but the model configuration specifies data-type TYPE_FP32"
        )

    def test_control_of_an_odd_type(self):
        """A control whose graph type no config can name is told with the graph's word."""
        assert "expects data-type tensor(other) but" in refusal(self.given(), self.graph(None))

    def test_control_shape(self):
        """A control is one value per row."""
        assert refusal(self.given(), self.graph(shape=(-1, 2))) == (
            "unable to load model 'm', sequence control 'START' in model has dims [-1,2] but "
            "dims [-1,1] is expected"
        )

    def test_control_shape_without_batching(self):
        """Without batching a control is one value."""
        given = self.given()
        given.max_batch_size = 0
        given.input[0].dims = given.output[0].dims = [-1, 16]

        check_config(given, self.graph(shape=(1,)))

    def test_states(self):
        """States are an input and an output of the graph, checked like others."""
        graph = Graph(tensors(X=(-1, 16), IN=(-1, 2)), tensors(Y=(-1, 16), OUT=(-1, 2)), {})

        def given(**state) -> ModelConfig:
            fields = {
                "input_name": "IN",
                "output_name": "OUT",
                "data_type": FP32,
                "dims": [2],
                **state,
            }
            return config(
                inputs=["X"],
                outputs=["Y"],
                sequence_batching=ModelSequenceBatching(
                    state=[ModelSequenceBatchingState(**fields)]
                ),
            )

        check_config(given(), graph)
        unranked = Graph(graph.inputs, tensors(Y=(-1, 16), OUT=()), {})
        check_config(given(), unranked)
        assert "expects datatype TYPE_INT32 for input 'IN'" in refusal(
            given(data_type=INT32), graph
        )
        assert "unexpected inference output 'Q'" in refusal(given(output_name="Q"), graph)
        assert "making complete shape [-1,3]" in refusal(given(dims=[3]), graph)
