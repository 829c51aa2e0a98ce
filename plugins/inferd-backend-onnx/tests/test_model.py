"""Instances share a session where they can, and run only with every input they need."""

import numpy as np
import onnxruntime
import pytest
from inferd_backend_onnx.graph import read_graph
from inferd_backend_onnx.model import OnnxModel
from inferd_backend_onnx.plan import plan_session
from inferd_backend_onnx.session import open_session
from inferd_backend_onnx.threads import ThreadBudget

from inferd._generated.inference import ModelParameter
from inferd.backend import BackendError, Batch, ModelInstanceGroupKind, Placement
from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferRequest

CPU = ModelInstanceGroupKind.CPU


class CountingRuntime:
    """ONNX Runtime that notes the sessions it made."""

    def __init__(self) -> None:
        self.sessions: list[object] = []

    def __getattr__(self, name):
        return getattr(onnxruntime, name)

    def InferenceSession(self, *arguments, **options):
        """Create a session and note it."""
        self.sessions.append(onnxruntime.InferenceSession(*arguments, **options))
        return self.sessions[-1]


@pytest.fixture(name="runtime")
def _runtime() -> CountingRuntime:
    """Return a counting ONNX Runtime."""
    return CountingRuntime()


@pytest.fixture(name="load")
def _load(make_context, runtime):
    """Return a function that loads the file ``write`` makes."""

    def load(write, **parameters: str) -> OnnxModel:
        given = {
            k.replace("__", "."): ModelParameter(string_value=v) for k, v in parameters.items()
        }
        context = make_context(parameters=given)
        write(context.version_directory / "model.onnx")

        def planner(kind, device_id):
            return plan_session(context, {}, kind, device_id, ThreadBudget(1))

        plan = planner(CPU, 0)
        session = open_session(runtime, plan, "m")
        return OnnxModel("m", runtime, planner, read_graph(session), plan, session)

    return load


def place(index: int = 0) -> Placement:
    """Return a place on the CPU."""
    return Placement(f"m_{index}", CPU)


def batch(inputs, outputs=("OUTPUT0", "OUTPUT1")) -> Batch:
    """Return a batch of one request."""
    return Batch(inputs, list(outputs), 1, [InferRequest("m", {})])


def ones(*names: str) -> dict[str, np.ndarray]:
    """Return inputs of ones."""
    return {name: np.ones((1, 16), np.float32) for name in names}


class TestSessions:
    """How many sessions there are."""

    def test_shared(self, load, runtime, onnx_files):
        """Instances on one device use the session the version was validated with."""
        model = load(onnx_files.add_sub)
        for index in range(3):
            model.create_instance(place(index))

        assert len(runtime.sessions) == 1

    def test_separate(self, load, runtime, onnx_files):
        """Told not to share, each instance has its own, the first the one that is there."""
        model = load(onnx_files.add_sub, share_session_between_instances="false")
        model.create_instance(place(0))
        assert len(runtime.sessions) == 1
        model.create_instance(place(1))
        model.create_instance(place(2))

        assert len(runtime.sessions) == 3

    def test_other_device(self, load, onnx_files):
        """An instance on a device that cannot be used is refused; the others stay."""
        model = load(onnx_files.add_sub)
        instance = model.create_instance(place())

        with pytest.raises(BackendError, match="needs CUDAExecutionProvider"):
            model.create_instance(Placement("m_1", ModelInstanceGroupKind.GPU, 0))
        assert len(instance.execute(batch(ones("INPUT0", "INPUT1")))) == 2

    def test_closed(self, load, onnx_files):
        """A closed instance lets go of the session and says so."""
        model = load(onnx_files.add_sub)
        instance = model.create_instance(place())
        instance.close()
        model.close()

        with pytest.raises(BackendError, match="the instance is closed"):
            instance.execute(batch(ones("INPUT0", "INPUT1")))


class TestExecute:
    """Running."""

    def test_a_graph_that_fails(self, load, onnx_files):
        """What fails while running is ONNX Runtime's reason, on one line."""

        def write(path):
            types, node, tensor = onnx_files.types, onnx_files.node, onnx_files.tensor
            onnx_files.graph(
                path,
                [tensor("X", types.STRING, ["b", 1])],
                [tensor("NUMBER", types.INT32, ["b", 1])],
                [node("Cast", ["X"], ["NUMBER"], to=types.INT32)],
            )

        instance = load(write).create_instance(place())

        with pytest.raises(BackendError) as caught:
            instance.execute(batch({"X": np.array([[b"no number"]], object)}, ["NUMBER"]))
        assert caught.value.message.startswith("onnx runtime error 6: ")
        assert "\n" not in caught.value.message
        (output,) = instance.execute(batch({"X": np.array([[b"7"]], object)}, ["NUMBER"]))
        assert output.tolist() == [[7]]

    def test_missing_inputs(self, load, onnx_files):
        """Inputs the graph cannot do without are named before ONNX Runtime is called."""
        instance = load(onnx_files.add_sub).create_instance(place())

        with pytest.raises(BackendError) as one:
            instance.execute(batch(ones("INPUT1")))
        with pytest.raises(BackendError) as two:
            instance.execute(batch({}))

        assert one.value.message == "model 'm' cannot run without 'INPUT0'"
        assert two.value.message == "model 'm' cannot run without 'INPUT0', 'INPUT1'"

    def test_input_with_a_default(self, load, onnx_files):
        """An input with an initializer may be left out or given."""

        def write(path):
            types, node, tensor = onnx_files.types, onnx_files.node, onnx_files.tensor
            import onnx

            onnx_files.graph(
                path,
                [tensor("X", types.FLOAT, ["b", 16]), tensor("W", types.FLOAT, [1])],
                [tensor("Y", types.FLOAT, ["b", 16])],
                [node("Mul", ["X", "W"], ["Y"])],
                [onnx.numpy_helper.from_array(np.array([2], np.float32), "W")],
            )

        instance = load(write).create_instance(place())
        five = {"W": np.array([5], np.float32)}

        assert instance.execute(batch(ones("X"), ["Y"]))[0][0, 0] == 2
        assert instance.execute(batch({**ones("X"), **five}, ["Y"]))[0][0, 0] == 5

    def test_optional_input(self, load, onnx_files):
        """An input of an optional ONNX type may be left out or given."""

        def write(path):
            from onnx import helper

            types, node, tensor = onnx_files.types, onnx_files.node, onnx_files.tensor
            kind = helper.make_optional_type_proto(
                helper.make_tensor_type_proto(types.FLOAT, ["b", 16])
            )
            onnx_files.graph(
                path,
                [tensor("X", types.FLOAT, ["b", 16]), helper.make_value_info("O", kind)],
                [tensor("GIVEN", types.BOOL, [])],
                [node("OptionalHasElement", ["O"], ["GIVEN"])],
            )

        instance = load(write).create_instance(place())

        assert not instance.execute(batch(ones("X"), ["GIVEN"]))[0]
        assert instance.execute(batch(ones("X", "O"), ["GIVEN"]))[0]

    def test_wrong_shape(self, load, onnx_files):
        """ONNX Runtime's refusal is Triton's text, on one line."""
        instance = load(onnx_files.add_sub).create_instance(place())
        given = {"INPUT0": np.ones((1, 3), np.float32), **ones("INPUT1")}

        with pytest.raises(BackendError) as caught:
            instance.execute(batch(given))

        assert caught.value.message.startswith(
            "onnx runtime error 2: Got invalid dimensions for input: INPUT0"
        )

    def test_zero_copy_of_scalars(self, load, onnx_files):
        """A scalar goes in and out as an array without dimensions."""

        def write(path):
            onnx_files.identity(path, onnx_files.types.INT64, shape=())

        instance = load(write).create_instance(place())

        (output,) = instance.execute(batch({"INPUT0": np.array(7)}, ["OUTPUT0"]))

        assert output.shape == ()
        assert output == 7

    def test_bytes_that_are_no_text(self, load, onnx_files):
        """Bytes ONNX strings cannot hold are the client's error."""

        def write(path):
            onnx_files.identity(path, onnx_files.types.STRING)

        instance = load(write).create_instance(place())

        with pytest.raises(InvalidRequest, match="not UTF-8"):
            instance.execute(batch({"INPUT0": np.array([[b"\xff"]], object)}, ["OUTPUT0"]))

    def test_text_model_without_its_input(self, load, onnx_files):
        """A missing BYTES input is named like any other."""

        def write(path):
            onnx_files.identity(path, onnx_files.types.STRING)

        instance = load(write).create_instance(place())

        with pytest.raises(BackendError, match="cannot run without 'INPUT0'"):
            instance.execute(batch({}, ["OUTPUT0"]))

    def test_arena_shrinkage(self, load, onnx_files):
        """A model that shrinks its arena after each run still answers; a bad arena is told."""
        good = load(onnx_files.add_sub, memory__enable_memory_arena_shrinkage="cpu:0")
        assert len(good.create_instance(place()).execute(batch(ones("INPUT0", "INPUT1")))) == 2

        bad = load(onnx_files.add_sub, memory__enable_memory_arena_shrinkage="tpu:0")
        with pytest.raises(BackendError, match="tpu"):
            bad.create_instance(place()).execute(batch(ones("INPUT0", "INPUT1")))
