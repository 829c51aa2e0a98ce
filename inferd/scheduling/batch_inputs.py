"""
The inputs a model gets about a batch as a whole, and the outputs split by an input's shape.

Both come from the shapes of the requests alone; clients neither send nor see the former.

Source of the shapes: Triton's ``model_config.proto`` (``BatchInput``, ``BatchOutput``) and
its backends' ``BackendInputCollector`` and ``BackendOutputResponder``. Element counts are
per *request*, its rows taken together; item shapes are per *row*.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import BatchInput, BatchInputKind, ModelConfig
from inferd.protocol.datatypes import BY_CONFIG

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BatchInputSpec:
    """
    One entry of ``batch_input``.

    Attributes:
        kind: What its values say.
        targets: The inputs of the model that get them.
        source: The input they are about.
        dtype: int32 or float32.
        batches: Whether the source's shapes have a batch dimension.
    """

    kind: BatchInputKind
    targets: tuple[str, ...]
    source: str
    dtype: "np.dtype[Any]"
    batches: bool = True

    @classmethod
    def from_config(cls, config: BatchInput, *, batches: bool) -> "BatchInputSpec":
        """Read an entry of a validated config."""
        return cls(
            config.kind,
            tuple(config.target_name),
            config.source_input[0],
            BY_CONFIG[config.data_type].dtype,
            batches,
        )

    def array(self, shapes: Sequence[Shape]) -> Array:
        """
        Return the input for a batch.

        Args:
            shapes: The source's shape in each of the ``n`` requests, with the batch
                dimension if the model has one; together they have ``rows`` rows.

        Returns:
            ``[n]`` for the counts, ``[n + 1]`` with a zero in front, ``[rows, rank]`` or
            ``[rows * rank]`` for the item shapes without the batch dimension, and
            ``[largest count]`` for the kind whose shape is its value.
        """
        kind = self.kind
        if kind == BatchInputKind.BATCH_ITEM_SHAPE:
            return self._item_shapes(shapes)
        if kind == BatchInputKind.BATCH_ITEM_SHAPE_FLATTEN:
            return self._item_shapes(shapes).reshape(-1)
        counts = [math.prod(shape) for shape in shapes]
        if kind == BatchInputKind.BATCH_MAX_ELEMENT_COUNT_AS_SHAPE:
            return np.zeros(max(counts), self.dtype)
        if kind == BatchInputKind.BATCH_ELEMENT_COUNT:
            return np.array(counts, self.dtype)
        # Summed as integers: float32 loses track beyond 2^24.
        ends = np.cumsum(counts, dtype=np.int64)
        if kind == BatchInputKind.BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO:
            ends = np.concatenate([[0], ends])
        return ends.astype(self.dtype)

    def _item_shapes(self, shapes: Sequence[Shape]) -> Array:
        if not self.batches:
            return np.array(shapes, self.dtype)
        items = np.array([shape[1:] for shape in shapes], self.dtype)
        return items.repeat([shape[0] for shape in shapes], axis=0)


@dataclass(frozen=True, slots=True)
class BatchOutputSpec:
    """
    One target of ``batch_output``.

    Attributes:
        source: The input whose shape a request's part of the output has.
        dims: The output's dimensions as the model returns them, with the batch dimension
            if there is one; -1 is the source's dimension of the same number.
    """

    source: str
    dims: Shape

    def shape(self, source: Shape) -> Shape:
        """Return the shape of the part of a request whose source input has this shape."""
        return tuple(source[axis] if dim == -1 else dim for axis, dim in enumerate(self.dims))


def batch_inputs(config: ModelConfig) -> list[BatchInputSpec]:
    """Read ``batch_input`` of a validated config."""
    batches = config.max_batch_size > 0
    return [BatchInputSpec.from_config(one, batches=batches) for one in config.batch_input]


def batch_outputs(config: ModelConfig) -> dict[str, BatchOutputSpec]:
    """Return output name -> how it is split, from ``batch_output`` of a validated config."""
    dims = {
        output.name: tuple(output.dims if output.reshape is None else output.reshape.shape)
        for output in config.output
    }
    lead = (-1,) if config.max_batch_size > 0 else ()
    return {
        target: BatchOutputSpec(one.source_input[0], (*lead, *dims[target]))
        for one in config.batch_output
        for target in one.target_name
    }
