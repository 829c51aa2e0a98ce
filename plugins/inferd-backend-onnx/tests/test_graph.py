"""ONNX Runtime's descriptions of tensors become datatypes and shapes of a config."""

from types import SimpleNamespace

import pytest
from inferd_backend_onnx.graph import GraphTensor, read_graph

from inferd._generated.inference import DataType


def described(name, kind, shape):
    """Return a tensor as ONNX Runtime describes it."""
    return SimpleNamespace(name=name, type=kind, shape=shape)


def session(inputs=(), outputs=(), defaults=()):
    """Return what is read of a session."""
    return SimpleNamespace(
        get_inputs=lambda: inputs,
        get_outputs=lambda: outputs,
        get_overridable_initializers=lambda: defaults,
    )


def read_one(kind, shape=(1,)) -> GraphTensor:
    """Read a graph with one input."""
    return read_graph(session([described("X", kind, shape)])).inputs["X"]


@pytest.mark.parametrize(
    ("kind", "datatype"),
    [
        ("tensor(bool)", DataType.TYPE_BOOL),
        ("tensor(float)", DataType.TYPE_FP32),
        ("tensor(double)", DataType.TYPE_FP64),
        ("tensor(float16)", DataType.TYPE_FP16),
        ("tensor(bfloat16)", DataType.TYPE_BF16),
        ("tensor(string)", DataType.TYPE_STRING),
        ("tensor(uint64)", DataType.TYPE_UINT64),
        ("optional(tensor(int8))", DataType.TYPE_INT8),
        ("tensor(float8e4m3fn)", None),
        ("seq(tensor(float))", None),
    ],
)
def test_datatype(kind, datatype):
    """Every ONNX element type a config can name is recognised, no other."""
    assert read_one(kind).datatype == datatype


def test_symbolic_and_unknown_dimensions_are_variable():
    """Only numbers are fixed dimensions."""
    assert read_one("tensor(float)", ["batch", None, 224, 0]).shape == (-1, -1, 224, 0)


def test_sequence_is_no_tensor():
    """Sequences and maps are told apart from tensors of odd element types."""
    assert not read_one("seq(map(int64,tensor(float)))").is_tensor
    assert read_one("tensor(float8e4m3fn)").is_tensor


def test_required_inputs():
    """Inputs with a default or of an optional type may be left out."""
    graph = read_graph(
        session(
            [
                described("X", "tensor(float)", [1]),
                described("O", "optional(tensor(float))", [1]),
            ],
            defaults=[described("W", "tensor(float)", [1])],
        )
    )

    assert graph.required == {"X"}
    assert list(graph.accepted) == ["X", "O", "W"]
    assert graph.inputs["O"].optional
