"""
Gathers requests into one batch and scatters the outputs back to them.

One :class:`Assembler` is compiled per model version; it holds no state between calls,
so several instances may use it at once from their threads.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd.backend import Batch
from inferd.errors import BackendError, InferdError
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.messages import InferRequest, InferResponse, ParameterValue
from inferd.protocol.signature import Signature, TensorSpec, exchange_dims
from inferd.protocol.tensors import Tensor

Array = npt.NDArray[Any]


class Assembler:
    """
    Knows how the tensors of one model version are put together and taken apart.

    Args:
        signature: The version's inputs and outputs.
        version: The version number, for the responses.
    """

    __slots__ = (
        "_all_outputs",
        "_batches",
        "_exchanged",
        "_keyed",
        "_model_name",
        "_outputs",
        "_signature",
        "_version",
    )

    def __init__(self, signature: Signature, version: int) -> None:
        self._signature = signature
        self._model_name = signature.model_name
        self._version = str(version)
        self._batches = signature.batches
        self._all_outputs = list(signature.outputs)
        self._outputs = {
            name: (spec, BY_NAME[spec.datatype].dtype) for name, spec in signature.outputs.items()
        }
        self._exchanged = [one for one in signature.inputs.values() if one.reshape is not None]
        self._keyed = [spec.name for spec in signature.inputs.values() if spec.is_variable]
        if any(spec.optional for spec in signature.inputs.values()):
            self._keyed = list(signature.inputs)

    @property
    def output_names(self) -> Sequence[str]:
        """The outputs clients can ask for, in the config's order."""
        return self._all_outputs

    @property
    def is_uniform(self) -> bool:
        """Whether any requests fit into one batch; :meth:`shape_key` need not be asked."""
        return not self._keyed

    def shape_key(self, request: InferRequest) -> Hashable:
        """Return a value that is equal for requests which fit into one batch."""
        if not self._keyed:
            return None
        inputs = request.inputs
        return tuple(inputs[name].shape[1:] if name in inputs else None for name in self._keyed)

    def gather(self, requests: Sequence[InferRequest]) -> Batch:
        """Return the requests as one batch; a single request is not copied."""
        first = requests[0]
        if len(requests) == 1:
            inputs = {name: tensor.array() for name, tensor in first.inputs.items()}
            size = first.batch_size
        else:
            inputs = {
                name: concatenate([request.inputs[name] for request in requests])
                for name in first.inputs
            }
            size = sum([request.batch_size for request in requests]) if self._batches else 1
        for spec in self._exchanged:
            if spec.name in inputs:
                array = inputs[spec.name]
                shape = self._reshaped(array.shape, spec.dims, spec.reshape or ())
                inputs[spec.name] = array.reshape(shape)
        return Batch(inputs, self._output_names(requests), size, requests)

    def scatter(self, batch: Batch, outputs: Sequence[Array]) -> list[InferResponse | InferdError]:
        """
        Return one answer per request, in order.

        Raises:
            BackendError: The outputs are not what the config declares.
        """
        columns = self._columns(batch, outputs)
        failures, parameters = batch.failures, batch.parameters
        is_plain = failures is None and parameters is None
        if is_plain and columns and batch.output_names is self._all_outputs:
            return self._plain_answers(batch.requests, columns)
        answers: list[InferResponse | InferdError] = []
        for index, request in enumerate(batch.requests):
            if failures is not None and index in failures:
                answers.append(failures[index])
                continue
            if request.outputs:
                tensors = [columns[output.name][index] for output in request.outputs]
            else:
                tensors = [columns[name][index] for name in self._all_outputs]
            answers.append(
                InferResponse(
                    self._model_name,
                    self._version,
                    tensors,
                    id=request.id,
                    parameters=parameters.get(index) if parameters is not None else None,
                )
            )
        return answers

    def _plain_answers(
        self, requests: Sequence[InferRequest], columns: Mapping[str, Sequence[Tensor]]
    ) -> list[InferResponse | InferdError]:
        """Return an answer with every output for each request; some may ask for fewer."""
        name, version = self._model_name, self._version
        return [
            InferResponse(
                name,
                version,
                [columns[one.name][index] for one in request.outputs] if request.outputs else all_,
                id=request.id,
            )
            for index, (request, all_) in enumerate(
                zip(requests, zip(*columns.values(), strict=True), strict=True)
            )
        ]

    def respond(
        self,
        request: InferRequest,
        outputs: Mapping[str, Array],
        parameters: dict[str, ParameterValue] | None = None,
    ) -> InferResponse:
        """
        Return one of several responses to a request; any of its outputs may be missing.

        Raises:
            BackendError: An output is not what the config declares.
        """
        unknown = next((name for name in outputs if name not in self._signature.outputs), None)
        if unknown is not None:
            raise BackendError(
                f"model '{self._model_name}' sent output '{unknown}', which its configuration "
                "does not have"
            )
        names = [output.name for output in request.outputs] or self._all_outputs
        tensors: list[Tensor] = []
        for name in names:
            if name in outputs:
                spec = self._signature.outputs[name]
                array = self._typed(spec, outputs[name])
                tensors.append(Tensor(name, spec.datatype, array.shape, array=array))
        return InferResponse(
            self._model_name, self._version, tensors, id=request.id, parameters=parameters
        )

    def _output_names(self, requests: Sequence[InferRequest]) -> list[str]:
        wanted: set[str] = set()
        for request in requests:
            if not request.outputs:
                return self._all_outputs
            wanted.update(output.name for output in request.outputs)
        return [name for name in self._all_outputs if name in wanted]

    def _columns(self, batch: Batch, outputs: Sequence[Array]) -> dict[str, list[Tensor]]:
        """Return output name -> one tensor per request."""
        self._check_count(batch, outputs)
        columns: dict[str, list[Tensor]] = {}
        single, size = len(batch.requests) == 1, batch.size if self._batches else 0
        for name, array in zip(batch.output_names, outputs, strict=True):
            spec, dtype = self._outputs[name]
            shape = array.shape
            if array.dtype != dtype or spec.reshape is not None or (size and shape[:1] != (size,)):
                array = self._checked(spec, array, batch.size)
                shape = array.shape
            if single:
                columns[name] = [Tensor(name, spec.datatype, shape, array=array)]
            else:
                columns[name] = self._slices(spec, array, batch)
        return columns

    def _check_count(self, batch: Batch, outputs: Sequence[Array]) -> None:
        if len(outputs) != len(batch.output_names):
            raise BackendError(
                f"model '{self._model_name}' returned {len(outputs)} outputs, "
                f"expected {len(batch.output_names)}"
            )

    def _checked(self, spec: TensorSpec, array: Array, size: int) -> Array:
        array = self._typed(spec, array)
        if self._batches and (not array.ndim or array.shape[0] != size):
            raise BackendError(
                f"model '{self._model_name}' returned output '{spec.name}' of shape "
                f"{list(array.shape)} for a batch of {size}"
            )
        return array

    def _typed(self, spec: TensorSpec, array: Array) -> Array:
        """Return an output as clients see it, if it has the datatype of the config."""
        if array.dtype != BY_NAME[spec.datatype].dtype:
            raise self._wrong_datatype(spec, array)
        if spec.reshape is not None:
            array = array.reshape(self._reshaped(array.shape, spec.reshape, spec.dims))
        return array

    def _wrong_datatype(self, spec: TensorSpec, array: Array) -> BackendError:
        return BackendError(
            f"model '{self._model_name}' returned output '{spec.name}' as {array.dtype}, "
            f"but the model configuration specifies {spec.datatype}"
        )

    def _slices(self, spec: TensorSpec, array: Array, batch: Batch) -> list[Tensor]:
        name, datatype = spec.name, spec.datatype
        if len(batch.requests) == 1:
            return [Tensor(name, datatype, array.shape, array=array)]
        if not spec.itemsize or not array.size:
            return [
                Tensor(name, datatype, part.shape, array=part)
                for part in np.split(array, _boundaries(batch.requests))
            ]
        # Slices of a memoryview cost a third of slices of an array.
        rest = array.shape[1:]
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        row_bytes = array.nbytes // batch.size
        slices: list[Tensor] = []
        offset = rows = 0
        for request in batch.requests:
            if request.batch_size != rows:
                rows = request.batch_size
                shape = (rows, *rest)
            end = offset + rows * row_bytes
            slices.append(Tensor(name, datatype, shape, raw=raw[offset:end]))
            offset = end
        return slices

    def _reshaped(
        self, actual: tuple[int, ...], source: Sequence[int], target: Sequence[int]
    ) -> tuple[int, ...]:
        return exchange_dims(actual, source, target, batches=self._batches)


def concatenate(tensors: Sequence[Tensor]) -> Array:
    """Return the tensors joined along dimension 0."""
    first = tensors[0]
    itemsize = BY_NAME[first.datatype].itemsize
    buffers = [tensor.buffer for tensor in tensors if tensor.buffer is not None]
    if itemsize and len(buffers) == len(tensors):
        # For many small tensors one join is ten times faster than concatenating arrays.
        rows = sum([tensor.shape[0] for tensor in tensors])
        joined = np.frombuffer(b"".join(buffers), BY_NAME[first.datatype].dtype)
        return joined.reshape((rows, *first.shape[1:]))
    return np.concatenate([tensor.array() for tensor in tensors])


def _boundaries(requests: Sequence[InferRequest]) -> list[int]:
    ends: list[int] = []
    total = 0
    for request in requests[:-1]:
        total += request.batch_size
        ends.append(total)
    return ends
