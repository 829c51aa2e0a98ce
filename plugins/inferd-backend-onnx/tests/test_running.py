"""Every way to run a session takes and returns plain arrays."""

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from inferd_backend_onnx.graph import Graph, GraphTensor, read_graph
from inferd_backend_onnx.running import choose_run

from inferd._generated.inference import DataType
from inferd.backend import BackendError


@pytest.fixture(name="open_graph")
def _open_graph(onnx_files, tmp_path):
    """Return a function that writes a graph and opens it."""

    def open_graph(inputs, outputs, nodes):
        path = onnx_files.graph(tmp_path / "model.onnx", inputs, outputs, nodes)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session, read_graph(session)

    return open_graph


def test_private_entry(onnx_files, tmp_path):
    """The entry without ONNX Runtime's second check of the feed is used while it is there."""
    session = onnxruntime.InferenceSession(
        onnx_files.add_sub(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"]
    )
    ones = np.ones((1, 16), np.float32)

    run = choose_run(onnxruntime, session, read_graph(session))

    assert run != session.run
    (output,) = run(["OUTPUT1"], {"INPUT0": ones, "INPUT1": ones}, None)
    assert output.tolist() == [[0] * 16]


@pytest.mark.parametrize("private", [{}, {"_sess": None}, {"_sess": object()}])
def test_public_entry(private):
    """An ONNX Runtime without the private entry runs through the public one."""
    session = SimpleNamespace(run=lambda *arguments: arguments, **private)

    assert choose_run(onnxruntime, session, Graph({}, {}, {})) is session.run


class TestBf16:
    """Graphs with BF16 tensors."""

    @pytest.fixture(name="mixed")
    def _mixed(self, open_graph, onnx_files):
        """Return a run of Y = X, F = float(X), S = string(N), and N itself."""
        types, node, tensor = onnx_files.types, onnx_files.node, onnx_files.tensor
        session, graph = open_graph(
            [tensor("X", types.BFLOAT16, ["b", 4]), tensor("N", types.FLOAT, ["b", 1])],
            [
                tensor("Y", types.BFLOAT16, ["b", 4]),
                tensor("F", types.FLOAT, ["b", 4]),
                tensor("S", types.STRING, ["b", 1]),
                tensor("N", types.FLOAT, ["b", 1]),
                tensor("X", types.BFLOAT16, ["b", 4]),
            ],
            [
                node("Identity", ["X"], ["Y"]),
                node("Cast", ["X"], ["F"], to=types.FLOAT),
                node("Cast", ["N"], ["S"], to=types.STRING),
            ],
        )
        return choose_run(onnxruntime, session, graph)

    @staticmethod
    def feed(rows=2) -> dict[str, np.ndarray]:
        """Return 1.0 in BF16, as every second column of an array nobody may write."""
        patterns = np.tile(np.array([0x3F80, 0], np.uint16), (rows, 4))[:, ::2]
        patterns.setflags(write=False)
        return {"X": patterns, "N": np.ones((rows, 1), np.float32)}

    def test_with_other_datatypes(self, mixed):
        """BF16, FP32 and BYTES outputs of one graph come in the order asked for."""
        numbers, patterns, text = mixed(("F", "Y", "S"), self.feed(), None)

        assert numbers.tolist() == [[1.0] * 4] * 2
        assert patterns.dtype == np.uint16
        assert patterns.tolist() == [[0x3F80] * 4] * 2
        assert text.tolist() == [["1"], ["1"]]

    def test_no_rows(self, mixed):
        """Tensors without elements keep their shape."""
        patterns, numbers = mixed(["Y", "F"], self.feed(0), None)

        assert patterns.shape == numbers.shape == (0, 4)

    def test_output_that_is_an_input(self, mixed):
        """An input handed through is copied: its memory is only lent."""
        feed = self.feed()

        patterns, numbers = mixed(["X", "N"], feed, None)

        assert not np.shares_memory(patterns, feed["X"])
        assert not np.shares_memory(numbers, feed["N"])
        assert patterns.tolist() == feed["X"].tolist()

    def test_outputs_keep_their_memory(self, mixed):
        """The array is all that keeps ONNX Runtime's memory, and is enough."""
        (kept,) = mixed(["Y"], self.feed(), None)
        for _ in range(50):
            mixed(["Y"], {**self.feed(), "X": np.zeros((2, 4), np.uint16)}, None)

        assert kept.tolist() == [[0x3F80] * 4] * 2

    def test_old_runtime(self):
        """An ONNX Runtime that cannot take BF16 from Python refuses the model."""
        bf16 = GraphTensor("X", "tensor(bfloat16)", DataType.TYPE_BF16, (1,))
        runtime = SimpleNamespace(__version__="1.1", OrtValue=object)

        with pytest.raises(BackendError, match=r"1\.1 cannot take BF16"):
            choose_run(runtime, SimpleNamespace(), Graph({"X": bf16}, {}, {}))

    def test_with_text_inputs(self):
        """A graph that takes BF16 and BYTES is refused: there is no way to feed both."""
        bf16 = GraphTensor("X", "tensor(bfloat16)", DataType.TYPE_BF16, (1,))
        text = GraphTensor("S", "tensor(string)", DataType.TYPE_STRING, (1,))

        with pytest.raises(BackendError, match="BF16 and BYTES"):
            choose_run(onnxruntime, SimpleNamespace(), Graph({"X": bf16, "S": text}, {}, {}))
