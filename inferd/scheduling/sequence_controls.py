"""
The control tensors of a sequence model: START, END, READY and the correlation id.

They say for every row of a batch where its sequence stands; the clients do not send them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import (
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlKind,
)
from inferd.errors import InvalidRequest
from inferd.protocol.datatypes import BY_CONFIG, BY_NAME
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor
from inferd.scheduling.sequence_rows import Key

Array = npt.NDArray[Any]

_Control = ModelSequenceBatchingControl
_Kind = ModelSequenceBatchingControlKind


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """One control input: its name, what it carries, and its two values when it is a flag."""

    name: str
    kind: ModelSequenceBatchingControlKind
    datatype: str
    values: tuple[float, float] = (0, 1)


class Mark(Protocol):
    """Where the sequence of one row stands."""

    @property
    def key(self) -> Key:
        """The correlation id."""

    @property
    def start(self) -> bool:
        """Whether the sequence begins."""

    @property
    def end(self) -> bool:
        """Whether the sequence ends."""

    @property
    def ready(self) -> bool:
        """``False`` for a row that only fills an empty slot."""


@dataclass(frozen=True, slots=True)
class _RequestMark:
    key: Key
    start: bool
    end: bool
    ready: bool = True


class SequenceControls:
    """
    Makes the control tensors of a batch.

    Args:
        model_name: For messages.
        specs: The control inputs.
        batches: Whether tensors have a batch dimension; control tensors are ``[n, 1]``
            then and ``[1]`` otherwise.
    """

    __slots__ = ("_batches", "_correlation", "_model_name", "specs")

    def __init__(self, model_name: str, specs: Sequence[ControlSpec], *, batches: bool) -> None:
        self._model_name = model_name
        self.specs = tuple(specs)
        self._batches = batches
        self._correlation = next(
            (spec for spec in specs if spec.kind == _Kind.CONTROL_SEQUENCE_CORRID), None
        )

    @classmethod
    def from_config(
        cls, model_name: str, config: ModelSequenceBatching, *, batches: bool
    ) -> "SequenceControls":
        """Read the controls of a validated config."""
        specs = [
            _control_spec(control_input.name, control)
            for control_input in config.control_input
            for control in control_input.control
        ]
        return cls(model_name, specs, batches=batches)

    def check(self, request: InferRequest) -> None:
        """
        Check that the model takes the request's correlation id.

        Raises:
            InvalidRequest: It is text and the model takes a number, or the reverse.
        """
        if self._correlation is None:
            return
        datatype = self._correlation.datatype
        is_text = isinstance(request.sequence_id, str)
        if is_text != (datatype == "BYTES"):
            actual = "TYPE_STRING" if is_text else "TYPE_UINT64"
            expected = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
            raise InvalidRequest(
                f"sequence batching control 'CORRID' data-type is '{actual}', but model "
                f"'{self._model_name}' expects '{expected}'"
            )

    @property
    def takes_text(self) -> bool:
        """Whether the model takes correlation ids as text."""
        return self._correlation is not None and self._correlation.datatype == "BYTES"

    def typed_id(self, number: int) -> Key:
        """Return a correlation id as the model takes it."""
        return str(number) if self.takes_text else number

    def add_to(self, request: InferRequest) -> None:
        """
        Put the control tensors of a request that is executed by itself among its inputs.

        Raises:
            InvalidRequest: The correlation id is of another kind than the model takes.
        """
        self.check(request)
        mark = _RequestMark(request.sequence_id, request.sequence_start, request.sequence_end)
        arrays = self.arrays([mark])
        for spec in self.specs:
            array = arrays[spec.name]
            request.inputs[spec.name] = Tensor(spec.name, spec.datatype, array.shape, array=array)

    def arrays(self, rows: Sequence[Mark]) -> dict[str, Array]:
        """Return control name -> its tensor for the rows, ``[n, 1]`` or ``[1]``."""
        shape = (len(rows), 1) if self._batches else (1,)
        return {spec.name: _values(spec, rows).reshape(shape) for spec in self.specs}


def _values(spec: ControlSpec, rows: Sequence[Mark]) -> Array:
    if spec.kind == _Kind.CONTROL_SEQUENCE_CORRID:
        return _correlation_ids(spec.datatype, rows)
    if spec.kind == _Kind.CONTROL_SEQUENCE_START:
        flags = [row.start for row in rows]
    elif spec.kind == _Kind.CONTROL_SEQUENCE_END:
        flags = [row.end for row in rows]
    else:
        flags = [row.ready for row in rows]
    return np.array([spec.values[flag] for flag in flags], BY_NAME[spec.datatype].dtype)


def _correlation_ids(datatype: str, rows: Sequence[Mark]) -> Array:
    if datatype == "BYTES":
        texts = np.empty(len(rows), object)
        texts[:] = [str(row.key).encode() if row.ready else b"" for row in rows]
        return texts
    # As a C cast: an id beyond the control's range keeps its low bits.
    bits = [int(row.key) & 0xFFFF_FFFF_FFFF_FFFF if row.ready else 0 for row in rows]
    return np.array(bits, np.uint64).astype(BY_NAME[datatype].dtype)


def _control_spec(name: str, control: _Control) -> ControlSpec:
    if control.kind == _Kind.CONTROL_SEQUENCE_CORRID:
        return ControlSpec(name, control.kind, BY_CONFIG[control.data_type].name)
    for datatype, values in (
        ("INT32", control.int32_false_true),
        ("FP32", control.fp32_false_true),
        ("BOOL", control.bool_false_true),
    ):
        if values:
            return ControlSpec(name, control.kind, datatype, (values[0], values[1]))
    return ControlSpec(name, control.kind, "INT32")
