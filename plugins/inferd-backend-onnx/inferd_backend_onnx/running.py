"""
The ways to run a session, all with one signature.

``run(output_names, feed, run_options)`` takes and returns NumPy arrays; ``BF16`` arrays
are ``uint16`` bit patterns.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import DataType
from inferd.backend import BackendError
from inferd_backend_onnx.graph import Graph, GraphTensor
from inferd_backend_onnx.runtime import Runtime
from inferd_backend_onnx.session import Session

Array = npt.NDArray[Any]
Run = Callable[[Sequence[str], Mapping[str, Array], Any], Sequence[Array]]

_ONNX_BFLOAT16: Final = 16


def choose_run(runtime: Runtime, session: Session, graph: Graph) -> Run:
    """
    Return the cheapest way to run a session that handles all of its datatypes.

    Raises:
        BackendError: The installed ONNX Runtime cannot take BF16 tensors.
    """
    if _bf16(graph.accepted) or _bf16(graph.outputs):
        return _Bf16Run(runtime, session, graph).run
    # InferenceSession.run checks the feed again before it calls this, for a quarter of the
    # call's cost with small models. The name is private: without it, use the public one.
    bare = getattr(getattr(session, "_sess", None), "run", None)
    run: Run = bare if callable(bare) else session.run
    return run


def _bf16(tensors: Mapping[str, GraphTensor]) -> frozenset[str]:
    return frozenset(
        name for name, tensor in tensors.items() if tensor.datatype == DataType.TYPE_BF16
    )


class _Bf16Run:
    """Runs through OrtValues, because NumPy has no type that ``run`` takes as bfloat16."""

    def __init__(self, runtime: Runtime, session: Session, graph: Graph) -> None:
        self._session = session
        self._value = runtime.OrtValue
        self._inputs = _bf16(graph.accepted)
        self._outputs = _bf16(graph.outputs)
        # An output that is an input is the very same memory, which is only lent to the call.
        self._passed_on = graph.accepted.keys() & graph.outputs.keys()
        if not hasattr(self._value, "ortvalue_from_numpy_with_onnx_type"):
            raise BackendError(
                f"ONNX Runtime {runtime.__version__} cannot take BF16 tensors from Python"
            )
        if any(tensor.datatype == DataType.TYPE_STRING for tensor in graph.accepted.values()):
            raise BackendError(
                "ONNX Runtime takes no model with BF16 and BYTES tensors from Python"
            )

    def run(
        self, output_names: Sequence[str], feed: Mapping[str, Array], run_options: Any
    ) -> Sequence[Array]:
        values = {name: self._wrap(name, array) for name, array in feed.items()}
        results = self._session.run_with_ort_values(list(output_names), values, run_options)
        return [
            self._unwrap(name, value) for name, value in zip(output_names, results, strict=True)
        ]

    def _wrap(self, name: str, array: Array) -> Any:
        # An OrtValue takes the buffer for granted, strides or not.
        packed = array if array.flags.c_contiguous else array.copy()
        if name in self._inputs:
            return self._value.ortvalue_from_numpy_with_onnx_type(packed, _ONNX_BFLOAT16)
        return self._value.ortvalue_from_numpy(packed)

    def _unwrap(self, name: str, value: Any) -> Array:
        array: Array = _bit_patterns(value) if name in self._outputs else value.numpy()
        return array.copy() if name in self._passed_on else array


class _Memory:
    """An OrtValue's memory as NumPy takes it; arrays made from this keep the value alive."""

    def __init__(self, value: Any, shape: tuple[int, ...]) -> None:
        self.value = value
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": "<u2",
            "data": (value.data_ptr(), False),
        }


def _bit_patterns(value: Any) -> Array:
    """Return a BF16 OrtValue's memory as an array of ``uint16``."""
    shape = tuple(value.shape())
    # Without elements there is no memory to point at.
    return np.empty(shape, np.uint16) if 0 in shape else np.asarray(_Memory(value, shape))
