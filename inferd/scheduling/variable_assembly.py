"""
Gathers requests of different shapes into one batch: ragged inputs, batch inputs, padding.

Models without any of these have the ordinary assembler and pay nothing.
"""

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd.backend import Batch
from inferd.errors import BackendError
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.messages import InferRequest
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.assembly import Assembler, concatenate
from inferd.scheduling.batch_inputs import BatchInputSpec, BatchOutputSpec
from inferd.scheduling.collation import CollatedInput, Collation, Cut, cut_back, elements
from inferd.scheduling.statistics import PaddingStatistics

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class VariableAssembler(Assembler):
    """
    Knows how the tensors of a model whose requests differ in shape are put together.

    A ragged input reaches the model as one dimension: the elements of all requests, row
    by row and request by request. A collated input is padded. Batch inputs tell the
    shapes the clients sent, also of what is padded.

    Args:
        signature: The version's inputs and outputs.
        version: The version number, for the responses.
        batch_inputs: The inputs made from the requests' shapes.
        batch_outputs: Output name -> how it is split by an input's shape.
        collation: What is padded and cut.
        padding: Where padded elements are counted.
    """

    __slots__ = ("_batch_inputs", "_batch_outputs", "_collation", "_keys", "_lock", "_padding")

    def __init__(
        self,
        signature: Signature,
        version: int,
        *,
        batch_inputs: Sequence[BatchInputSpec] = (),
        batch_outputs: Mapping[str, BatchOutputSpec] | None = None,
        collation: Collation | None = None,
        padding: PaddingStatistics | None = None,
    ) -> None:
        super().__init__(signature, version)
        self._batch_inputs = tuple(batch_inputs)
        self._batch_outputs = batch_outputs or {}
        self._collation = collation or Collation()
        self._padding = padding or PaddingStatistics()
        # Instances gather on their own threads.
        self._lock = threading.Lock()
        self._keys = {name: self._key(signature.inputs[name]) for name in self._keyed}

    def shape_key(self, request: InferRequest) -> Hashable:
        """Return a value that is equal for requests which fit into one batch."""
        inputs = request.inputs
        return tuple(
            key(inputs[name].shape) if name in inputs else None for name, key in self._keys.items()
        )

    def gather(self, requests: Sequence[InferRequest]) -> Batch:
        """Return the requests as one batch, with the batch inputs among its inputs."""
        inputs = {
            name: self._joined(name, [request.inputs[name] for request in requests])
            for name in requests[0].inputs
        }
        for made in self._batch_inputs:
            array = made.array([self._model_shape(made.source, request) for request in requests])
            inputs.update(dict.fromkeys(made.targets, array))
        size = sum(request.batch_size for request in requests) if self._batches else 1
        return Batch(inputs, self._output_names(requests), size, requests)

    def _key(self, spec: TensorSpec) -> Callable[[Shape], Hashable]:
        collated = self._collation.inputs.get(spec.name)
        if collated is not None:
            return collated.key
        return _any_shape if spec.ragged else _row_shape

    def _joined(self, name: str, tensors: Sequence[Tensor]) -> Array:
        spec = self._signature.inputs.get(name)
        if spec is None:
            return _concatenated(tensors)
        if spec.ragged:
            return _flattened(tensors)
        collated = self._collation.inputs.get(name)
        array = _concatenated(tensors) if collated is None else self._padded(collated, tensors)
        if spec.reshape is not None:
            array = array.reshape(self._reshaped(array.shape, spec.dims, spec.reshape))
        return array

    def _padded(self, collated: CollatedInput, tensors: Sequence[Tensor]) -> Array:
        """Return the tensors padded to one shape; nothing is copied that need not be."""
        shapes = [tensor.shape for tensor in tensors]
        target = collated.target(shapes)
        given = elements(shapes)
        total = elements([target])
        with self._lock:
            self._padding.elements += total
            self._padding.padded_elements += total - given
        if all(shape[1:] == target[1:] for shape in shapes):
            return _concatenated(tensors)
        return collated.padded([tensor.array() for tensor in tensors], target)

    def _model_shape(self, name: str, request: InferRequest) -> Shape:
        """Return the shape of a request's input with the config's ``reshape`` applied."""
        spec, shape = self._signature.inputs[name], request.inputs[name].shape
        if spec.reshape is None:
            return shape
        return self._reshaped(shape, spec.dims, spec.reshape)

    def _columns(self, batch: Batch, outputs: Sequence[Array]) -> dict[str, list[Tensor]]:
        self._check_count(batch, outputs)
        columns: dict[str, list[Tensor]] = {}
        for name, array in zip(batch.output_names, outputs, strict=True):
            spec = self._signature.outputs[name]
            columns[name] = self._slices(spec, self._checked(spec, array, batch.size), batch)
        return columns

    def _checked(self, spec: TensorSpec, array: Array, size: int) -> Array:
        if spec.name in self._batch_outputs:
            if array.dtype != BY_NAME[spec.datatype].dtype:
                raise self._wrong_datatype(spec, array)
            return array
        return super()._checked(spec, array, size)

    def _slices(self, spec: TensorSpec, array: Array, batch: Batch) -> list[Tensor]:
        scattered = self._batch_outputs.get(spec.name)
        if scattered is not None:
            return self._scattered(spec, scattered, array, batch)
        cuts = self._collation.cuts.get(spec.name)
        if cuts:
            return self._cut(spec, cuts, array, batch)
        return super()._slices(spec, array, batch)

    def _scattered(
        self, spec: TensorSpec, output: BatchOutputSpec, array: Array, batch: Batch
    ) -> list[Tensor]:
        """Split an output's elements, in order, into parts of the shapes of an input."""
        shapes = [
            output.shape(self._model_shape(output.source, request)) for request in batch.requests
        ]
        expected = elements(shapes)
        if array.size != expected:
            raise BackendError(
                f"model '{self._model_name}' returned output '{spec.name}' with {array.size} "
                f"elements, but the shapes of input '{output.source}' give {expected}"
            )
        flat = array.reshape(-1)
        tensors: list[Tensor] = []
        start = 0
        for shape in shapes:
            end = start + elements([shape])
            part = flat[start:end].reshape(shape)
            if spec.reshape is not None:
                part = part.reshape(self._reshaped(shape, spec.reshape, spec.dims))
            tensors.append(Tensor(spec.name, spec.datatype, part.shape, array=part))
            start = end
        return tensors

    def _cut(
        self, spec: TensorSpec, cuts: Sequence[Cut], array: Array, batch: Batch
    ) -> list[Tensor]:
        """Give each request its rows, as long as its own inputs are."""
        present = [cut for cut in cuts if cut.source in batch.requests[0].inputs]
        for cut in present:
            self._check_length(spec, cut, array, batch)
        tensors: list[Tensor] = []
        row = 0
        for request in batch.requests:
            lengths = {
                cut.axis: request.inputs[cut.source].shape[cut.source_axis] for cut in present
            }
            part = cut_back(array[row : row + request.batch_size], lengths)
            tensors.append(Tensor(spec.name, spec.datatype, part.shape, array=part))
            row += request.batch_size
        return tensors

    def _check_length(self, spec: TensorSpec, cut: Cut, array: Array, batch: Batch) -> None:
        shapes = [request.inputs[cut.source].shape for request in batch.requests]
        expected = self._collation.inputs[cut.source].target(shapes)[cut.source_axis]
        if array.ndim <= cut.axis or array.shape[cut.axis] != expected:
            raise BackendError(
                f"model '{self._model_name}' returned output '{spec.name}' of shape "
                f"{list(array.shape)}, but its axis {cut.axis} is declared to be as long as axis "
                f"{cut.source_axis} of input '{cut.source}', which is padded to {expected}"
            )


def _concatenated(tensors: Sequence[Tensor]) -> Array:
    return tensors[0].array() if len(tensors) == 1 else concatenate(tensors)


def _flattened(tensors: Sequence[Tensor]) -> Array:
    """Return the elements of all tensors in one dimension."""
    flat = [tensor.array().reshape(-1) for tensor in tensors]
    return flat[0] if len(flat) == 1 else np.concatenate(flat)


def _any_shape(shape: Shape) -> Hashable:
    return ()


def _row_shape(shape: Shape) -> Hashable:
    return shape[1:]
