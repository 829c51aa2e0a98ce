"""
What an ONNX graph takes and returns, read from a session.

ONNX Runtime describes a tensor as ``tensor(float)`` with dimensions that are numbers,
names or unknown; here it is a config datatype with -1 for every dimension that is not a
number.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from inferd._generated.inference import DataType

_TENSOR = re.compile(r"(?P<optional>optional\()?tensor\((?P<element>\w+)\)\)?")

_DATATYPES: Final = {
    "bool": DataType.TYPE_BOOL,
    "uint8": DataType.TYPE_UINT8,
    "uint16": DataType.TYPE_UINT16,
    "uint32": DataType.TYPE_UINT32,
    "uint64": DataType.TYPE_UINT64,
    "int8": DataType.TYPE_INT8,
    "int16": DataType.TYPE_INT16,
    "int32": DataType.TYPE_INT32,
    "int64": DataType.TYPE_INT64,
    "float16": DataType.TYPE_FP16,
    "float": DataType.TYPE_FP32,
    "double": DataType.TYPE_FP64,
    "string": DataType.TYPE_STRING,
    "bfloat16": DataType.TYPE_BF16,
}


class Described(Protocol):
    """An input or output as ONNX Runtime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """
    One input or output of the graph.

    Attributes:
        name: Its name.
        kind: ONNX Runtime's word for its type, such as ``tensor(float)``.
        datatype: The config datatype; ``None`` for element types a config cannot name
            and for what is no tensor.
        shape: Its dimensions, the batch included; -1 is variable. Empty for a scalar and
            for an output whose rank is unknown: ONNX Runtime tells them not apart.
        optional: Whether it has the ONNX type ``optional``.
    """

    name: str
    kind: str
    datatype: DataType | None
    shape: tuple[int, ...]
    optional: bool = False

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor, not a sequence or map."""
        return _TENSOR.fullmatch(self.kind) is not None


@dataclass(frozen=True, slots=True)
class Graph:
    """
    A graph's signature.

    Attributes:
        inputs: Input name -> tensor, in graph order; without those that have a default.
        outputs: Output name -> tensor, in graph order.
        defaults: Inputs that an initializer of the graph gives a value when left out.
    """

    inputs: dict[str, GraphTensor]
    outputs: dict[str, GraphTensor]
    defaults: dict[str, GraphTensor]

    @property
    def required(self) -> frozenset[str]:
        """The inputs without which the graph cannot run."""
        return frozenset(name for name, tensor in self.inputs.items() if not tensor.optional)

    @property
    def accepted(self) -> dict[str, GraphTensor]:
        """Every input that may be fed."""
        return {**self.inputs, **self.defaults}


def read_graph(session: Any) -> Graph:
    """Return the signature of a session's graph."""
    return Graph(
        inputs=_tensors(session.get_inputs()),
        outputs=_tensors(session.get_outputs()),
        defaults=_tensors(session.get_overridable_initializers()),
    )


def _tensors(described: Iterable[Described]) -> dict[str, GraphTensor]:
    return {item.name: _tensor(item) for item in described}


def _tensor(described: Described) -> GraphTensor:
    found = _TENSOR.fullmatch(described.type)
    return GraphTensor(
        name=described.name,
        kind=described.type,
        datatype=None if found is None else _DATATYPES.get(found["element"]),
        shape=tuple(size if isinstance(size, int) else -1 for size in described.shape),
        optional=found is not None and found["optional"] is not None,
    )
