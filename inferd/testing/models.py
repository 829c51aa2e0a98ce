"""
Small models whose answers are known, for testing backends.

A :class:`SampleModel` says what a model takes and must return; writing it down in a
framework's format is the business of whoever tests that framework's backend.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import DataType, ModelInput, ModelOutput
from inferd.backend import ModelConfig
from inferd.protocol.datatypes import BY_CONFIG

Array = npt.NDArray[Any]

_VARIABLE_SIZE = 3
"""What a dimension of -1 is in generated inputs."""


@dataclass(frozen=True, slots=True)
class SampleModel:
    """
    A model and what it must answer.

    Attributes:
        config: Its complete config.
        expected: Computes the outputs by name from the inputs by name.
        completes: Whether the backend finds inputs, outputs and batching out from the
            model's files.
        refused: Inputs the model cannot run with, or ``None`` if it runs with anything.
    """

    config: ModelConfig
    expected: Callable[[Mapping[str, Array]], Mapping[str, Array]]
    completes: bool = False
    refused: Mapping[str, Array] | None = None

    def inputs(self, rows: int, seed: int = 0) -> dict[str, Array]:
        """
        Return one array per input, of small numbers and different for each seed.

        Args:
            rows: Size of the batch dimension; ignored when the model does not batch.
            seed: Chooses the numbers.
        """
        random = np.random.default_rng(seed)
        return {
            tensor.name: _random(tensor.data_type, self._shape(tensor, rows), random)
            for tensor in self.config.input
        }

    def _shape(self, tensor: ModelInput, rows: int) -> tuple[int, ...]:
        dims = tensor.dims if tensor.reshape is None else tensor.reshape.shape
        lead = (rows,) if self.config.max_batch_size > 0 else ()
        return (*lead, *(_VARIABLE_SIZE if dim == -1 else dim for dim in dims))


def add_sub(
    backend: str,
    *,
    datatype: DataType = DataType.TYPE_FP32,
    max_batch_size: int = 8,
    completes: bool = False,
) -> SampleModel:
    """
    Describe Triton's ``simple``: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1.

    All four are ``[16]`` of a numeric datatype other than BF16, with a batch dimension in
    front if ``max_batch_size`` is not 0.
    """
    names = ("INPUT0", "INPUT1"), ("OUTPUT0", "OUTPUT1")
    config = _config(backend, "add_sub", names, datatype, [16], max_batch_size)
    dtype = BY_CONFIG[datatype].dtype
    return SampleModel(
        config,
        lambda inputs: {
            "OUTPUT0": inputs["INPUT0"] + inputs["INPUT1"],
            "OUTPUT1": inputs["INPUT0"] - inputs["INPUT1"],
        },
        completes,
        refused={name: np.zeros((1, 3, 5), dtype) for name in names[0]},
    )


def identity(
    backend: str,
    *,
    datatype: DataType = DataType.TYPE_FP32,
    tensors: int = 2,
    max_batch_size: int = 8,
    completes: bool = False,
) -> SampleModel:
    """
    Describe a model whose ``OUTPUTi`` is ``INPUTi``, each ``[-1]`` of any datatype.

    It refuses nothing.
    """
    names = (
        tuple(f"INPUT{i}" for i in range(tensors)),
        tuple(f"OUTPUT{i}" for i in range(tensors)),
    )
    config = _config(backend, "identity", names, datatype, [-1], max_batch_size)
    return SampleModel(
        config,
        lambda inputs: dict(zip(names[1], (inputs[name] for name in names[0]), strict=True)),
        completes,
    )


def _config(
    backend: str,
    name: str,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    datatype: DataType,
    dims: list[int],
    max_batch_size: int,
) -> ModelConfig:
    inputs, outputs = names
    return ModelConfig(
        name=name,
        backend=backend,
        max_batch_size=max_batch_size,
        input=[ModelInput(name=n, data_type=datatype, dims=dims) for n in inputs],
        output=[ModelOutput(name=n, data_type=datatype, dims=dims) for n in outputs],
    )


def _random(datatype: DataType, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    numbers = random.integers(0, 50, shape)
    if datatype == DataType.TYPE_STRING:
        texts = np.empty(math.prod(shape), object)
        texts[:] = [b"%d" % number for number in numbers.ravel().tolist()]
        return texts.reshape(shape)
    if datatype == DataType.TYPE_BOOL:
        return (numbers % 2).astype(np.bool_)
    return numbers.astype(BY_CONFIG[datatype].dtype)
