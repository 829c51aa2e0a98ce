"""Writes small ONNX models into version folders."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from inferd.backend import ModelConfig, ModelContext

WriteGraph = Callable[..., Path]
MakeContext = Callable[..., ModelContext]


def tensor(name: str, element: int, shape: list[Any]) -> onnx.ValueInfoProto:
    """Return the description of an input or output."""
    return helper.make_tensor_value_info(name, element, shape)


def write_graph(
    path: Path,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    nodes: list[onnx.NodeProto],
    initializers: list[onnx.TensorProto] | None = None,
) -> Path:
    """Write a model file and return its path."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers or [])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="tests"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def write_add_sub(path: Path, element: int = TensorProto.FLOAT, batch: Any = "batch") -> Path:
    """Write OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1, each [batch, 16]."""
    shape = [16] if batch is None else [batch, 16]
    return write_graph(
        path,
        [tensor(f"INPUT{i}", element, shape) for i in range(2)],
        [tensor(f"OUTPUT{i}", element, shape) for i in range(2)],
        [
            helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
            helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
        ],
    )


def write_identity(path: Path, element: int, tensors: int = 1, shape: Any = ("batch", "n")) -> Path:
    """Write OUTPUTi = INPUTi."""
    return write_graph(
        path,
        [tensor(f"INPUT{i}", element, list(shape)) for i in range(tensors)],
        [tensor(f"OUTPUT{i}", element, list(shape)) for i in range(tensors)],
        [helper.make_node("Identity", [f"INPUT{i}"], [f"OUTPUT{i}"]) for i in range(tensors)],
    )


@pytest.fixture(name="onnx_files", scope="session")
def _onnx_files() -> SimpleNamespace:
    """Return the functions that write model files."""
    return SimpleNamespace(
        add_sub=write_add_sub,
        graph=write_graph,
        identity=write_identity,
        node=helper.make_node,
        tensor=tensor,
        types=TensorProto,
    )


@pytest.fixture(name="make_context")
def _make_context(tmp_path: Path) -> MakeContext:
    """Return a function that makes version 1 of a model called ``model``."""

    def make(config: ModelConfig | None = None, **fields: Any) -> ModelContext:
        own = config or ModelConfig(name="model", backend="onnxruntime", **fields)
        directory = tmp_path / "model"
        (directory / "1").mkdir(parents=True, exist_ok=True)
        return ModelContext("model", 1, own, directory, directory / "1")

    return make
