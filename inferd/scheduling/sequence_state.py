"""
Implicit state: an output of one step of a sequence is an input of its next.

The values are kept with the sequence; the client sees none of them, unless the config
declares the output too.
"""

import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import (
    ModelSequenceBatching,
    ModelSequenceBatchingState,
)
from inferd.errors import BackendError, LoadFailed
from inferd.protocol import bytes_tensor
from inferd.protocol.datatypes import BY_CONFIG, BY_NAME
from inferd.scheduling.sequence_rows import E, Row

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class StateSpec:
    """
    One state tensor.

    Attributes:
        input_name: The input that takes the state.
        output_name: The output that returns the next one.
        datatype: The wire name of the datatype.
        dims: The dimensions without the batch dimension; -1 is variable.
        initial: The value at START, read-only, of shape ``[1, *dims]`` for a model that
            batches and ``dims`` otherwise.
        in_place: Whether a backend may write the next state over the one it is given
            (``use_same_buffer_for_input_output``). What it has written stays, whether or not
            it fails afterwards.
    """

    input_name: str
    output_name: str
    datatype: str
    dims: tuple[int, ...]
    initial: Array
    in_place: bool = False


class SequenceStates:
    """
    The state tensors of one model version.

    Args:
        model_name: For messages.
        specs: The state tensors.
        batches: Whether tensors have a batch dimension.
    """

    __slots__ = ("_batches", "_model_name", "_variable", "specs")

    def __init__(self, model_name: str, specs: Sequence[StateSpec], *, batches: bool) -> None:
        self._model_name = model_name
        self.specs = tuple(specs)
        self._batches = batches
        self._variable = [spec.input_name for spec in specs if -1 in spec.dims]

    @classmethod
    def from_config(
        cls,
        model_name: str,
        config: ModelSequenceBatching,
        *,
        batches: bool,
        read: Callable[[str], bytes],
    ) -> "SequenceStates":
        """
        Read the states of a validated config.

        Args:
            model_name: For messages.
            config: The model's sequence batching.
            batches: Whether tensors have a batch dimension.
            read: Returns the content of a file of initial values.

        Raises:
            LoadFailed: A file cannot be read or does not have the state's size, or the state
                does not fit into memory.
        """
        specs = [
            StateSpec(
                state.input_name,
                state.output_name,
                BY_CONFIG[state.data_type].name,
                tuple(state.dims),
                _initial(state, batches, read, f"state '{state.input_name}' of {model_name}"),
                state.use_same_buffer_for_input_output,
            )
            for state in config.state
        ]
        return cls(model_name, specs, batches=batches)

    def arrays(self, rows: Sequence[Row[E]]) -> dict[str, Array]:
        """
        Return state input name -> what the rows' sequences are at.

        The array of a single row is the sequence's own: read-only, unless it may be written
        in place. That of several rows is a copy.
        """
        gathered: dict[str, Array] = {}
        for spec in self.specs:
            parts = [row.sequence.states.get(spec.input_name, spec.initial) for row in rows]
            array = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if spec.in_place and not array.flags.writeable:
                array = array.copy()
            gathered[spec.input_name] = array
        return gathered

    def parts(
        self, outputs: Mapping[str, Array], rows: int, shown: Collection[Array]
    ) -> list[dict[str, Array]]:
        """
        Return for each row what its sequence keeps: state input name -> value.

        Args:
            outputs: State output name -> the tensor the backend returned.
            rows: How many rows were executed.
            shown: The tensors that are on their way to clients, and must stay as they are.

        Raises:
            BackendError: A tensor is not what the config declares.
        """
        parts: list[dict[str, Array]] = [{} for _ in range(rows)]
        for spec in self.specs:
            array = self._checked(spec, outputs[spec.output_name], rows)
            for index, part in enumerate(parts):
                # A view on a whole batch would keep the other rows alive with it.
                row = array.view() if rows == 1 else array[index : index + 1].copy()
                if not spec.in_place:
                    row.flags.writeable = False
                elif any(np.may_share_memory(row, other) for other in shown):
                    row = row.copy()
                part[spec.input_name] = row
        return parts

    def shape_key(self, part: Mapping[str, Array]) -> Hashable:
        """Return a value that is equal for states which fit into one batch."""
        return tuple(part[name].shape for name in self._variable) if self._variable else None

    def _checked(self, spec: StateSpec, array: Array, rows: int) -> Array:
        datatype = BY_NAME[spec.datatype]
        if not datatype.itemsize and array.dtype.kind in "OUS":
            array = bytes_tensor.to_array(_encoded(array), array.shape)
        start = f"model '{self._model_name}' returned state '{spec.output_name}'"
        if array.dtype != datatype.dtype:
            raise BackendError(
                f"{start} as {array.dtype}, but the model configuration specifies {spec.datatype}"
            )
        expected = (rows, *spec.dims) if self._batches else spec.dims
        if len(array.shape) != len(expected) or any(
            want not in (-1, have) for have, want in zip(array.shape, expected, strict=True)
        ):
            raise BackendError(f"{start} of shape {list(array.shape)}, expected {list(expected)}")
        return array


def _encoded(array: Array) -> list[bytes]:
    return [one.encode() if isinstance(one, str) else bytes(one) for one in array.ravel().tolist()]


def _initial(
    state: ModelSequenceBatchingState, batches: bool, read: Callable[[str], bytes], what: str
) -> Array:
    given = next(iter(state.initial_state), None)
    dims = state.dims if given is None else given.dims
    # Without an initial value Triton passes undefined memory of this shape.
    shape = tuple(1 if dim == -1 else dim for dim in dims)
    if given is None or given.data_file is None:
        array = _zeros(state, shape, what)
    else:
        array = _from_file(state, shape, given.data_file, read, what)
    array = array.reshape((1, *shape) if batches else shape)
    array.flags.writeable = False
    return array


def _zeros(state: ModelSequenceBatchingState, shape: tuple[int, ...], what: str) -> Array:
    datatype = BY_CONFIG[state.data_type]
    try:
        if datatype.itemsize:
            return np.zeros(shape, datatype.dtype)
        return np.full(shape, b"", object)
    except (MemoryError, ValueError) as error:
        raise LoadFailed(f"cannot make the initial value of {what}: {error}") from error


def _from_file(
    state: ModelSequenceBatchingState,
    shape: tuple[int, ...],
    filename: str,
    read: Callable[[str], bytes],
    what: str,
) -> Array:
    datatype, count = BY_CONFIG[state.data_type], math.prod(shape)
    try:
        raw = read(filename)
    except (OSError, ValueError) as error:
        raise LoadFailed(f"cannot read the initial value of {what}: {error}") from error
    if not datatype.itemsize:
        try:
            elements = bytes_tensor.split(raw)
        except bytes_tensor.BytesFormatError as error:
            raise LoadFailed(f"'{filename}' of {what} is cut short: {error}") from error
        _check_count(len(elements), count, "elements", f"'{filename}' of {what}")
        return bytes_tensor.to_array(elements, shape)
    _check_count(len(raw), count * datatype.itemsize, "bytes", f"'{filename}' of {what}")
    return np.frombuffer(raw, datatype.dtype)


def _check_count(actual: int, expected: int, unit: str, what: str) -> None:
    if actual != expected:
        raise LoadFailed(f"{what} has {actual} {unit}, expected {expected}")
