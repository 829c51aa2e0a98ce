"""
Which sequences are alive, which lane each runs on, and the control tensors of a request.

A sequence is pinned to one lane (one instance) from its START to its END, so that its
requests execute in order and a stateful instance sees all of them. It executes nothing
and reads no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inferd._generated.inference import (
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlKind,
)
from inferd.errors import InvalidRequest
from inferd.protocol.datatypes import BY_CONFIG, BY_NAME
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor

DEFAULT_IDLE_NS: Final = 1_000_000_000
"""``max_sequence_idle_microseconds`` when the config states none (Triton's default)."""


@dataclass(slots=True)
class _Sequence:
    lane: int
    last_ns: int


class SequenceTable:
    """
    The live sequences of one model version.

    A sequence lives from its START until its END or until it has been idle for longer
    than ``idle_ns``; either frees its place on its lane.

    Args:
        model_name: For messages.
        lanes: How many lanes there are.
        idle_ns: Nanoseconds without a request after which a sequence is forgotten.
    """

    __slots__ = ("_idle_ns", "_lanes", "_live", "_model_name")

    def __init__(self, model_name: str, lanes: int, idle_ns: int = DEFAULT_IDLE_NS) -> None:
        self._model_name = model_name
        self._lanes = [0] * lanes
        self._idle_ns = idle_ns
        self._live: dict[int | str, _Sequence] = {}

    def __len__(self) -> int:
        return len(self._live)

    def admit(self, request: InferRequest, now_ns: int) -> int:
        """
        Return the lane a checked request runs on.

        Raises:
            InvalidRequest: It has no correlation id, is not of batch size 1, or its
                sequence has not started.
        """
        self._check(request)
        self.expire(now_ns)
        sequence = self._live.get(request.sequence_id)
        if sequence is None:
            if not request.sequence_start:
                raise InvalidRequest(
                    f"inference request for sequence {request.sequence_id} to model "
                    f"'{self._model_name}' must specify the START flag on the first request of "
                    "the sequence"
                )
            sequence = self._begin(request.sequence_id, now_ns)
        sequence.last_ns = now_ns
        if request.sequence_end:
            self._end(request.sequence_id)
        return sequence.lane

    def expire(self, now_ns: int) -> None:
        """Forget the sequences that have been idle for too long."""
        idle = [key for key, found in self._live.items() if now_ns - found.last_ns > self._idle_ns]
        for key in idle:
            self._end(key)

    def touch(self, sequence_id: int | str, now_ns: int) -> None:
        """Note that a request of the sequence was answered; idle time counts from now."""
        sequence = self._live.get(sequence_id)
        if sequence is not None:
            sequence.last_ns = now_ns

    def _check(self, request: InferRequest) -> None:
        if not request.sequence_id:
            raise InvalidRequest(
                f"inference request to model '{self._model_name}' must specify a non-zero or "
                "non-empty correlation ID"
            )
        if request.batch_size > 1:
            raise InvalidRequest(
                f"inference request to model '{self._model_name}' must specify batch-size 1 due "
                "to requirements of sequence batcher"
            )

    def _begin(self, sequence_id: int | str, now_ns: int) -> _Sequence:
        lane = min(range(len(self._lanes)), key=self._lanes.__getitem__)
        self._lanes[lane] += 1
        sequence = self._live[sequence_id] = _Sequence(lane, now_ns)
        return sequence

    def _end(self, sequence_id: int | str) -> None:
        self._lanes[self._live.pop(sequence_id).lane] -= 1


_Control = ModelSequenceBatchingControl
_Kind = ModelSequenceBatchingControlKind


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """One control input: its name, what it carries, and its two values when it is a flag."""

    name: str
    kind: ModelSequenceBatchingControlKind
    datatype: str
    values: tuple[float, float] = (0, 1)


class SequenceControls:
    """
    Makes the control tensors that a sequence model gets beside its inputs.

    Args:
        model_name: For messages.
        specs: The control inputs.
        batches: Whether tensors have a batch dimension; control tensors are ``[1, 1]``
            then and ``[1]`` otherwise.
    """

    __slots__ = ("_model_name", "_shape", "specs")

    def __init__(self, model_name: str, specs: Sequence[ControlSpec], *, batches: bool) -> None:
        self._model_name = model_name
        self.specs = tuple(specs)
        self._shape = (1, 1) if batches else (1,)

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

    def add_to(self, request: InferRequest) -> None:
        """
        Put the control tensors among the request's inputs.

        Raises:
            InvalidRequest: The correlation id is of another kind than the model takes.
        """
        for spec in self.specs:
            request.inputs[spec.name] = self._tensor(spec, request)

    def _tensor(self, spec: ControlSpec, request: InferRequest) -> Tensor:
        if spec.kind == _Kind.CONTROL_SEQUENCE_CORRID:
            return self._correlation_id(spec, request.sequence_id)
        flag = {
            _Kind.CONTROL_SEQUENCE_START: request.sequence_start,
            _Kind.CONTROL_SEQUENCE_END: request.sequence_end,
            _Kind.CONTROL_SEQUENCE_READY: True,
        }[spec.kind]
        array = np.full(self._shape, spec.values[flag], BY_NAME[spec.datatype].dtype)
        return Tensor(spec.name, spec.datatype, self._shape, array=array)

    def _correlation_id(self, spec: ControlSpec, sequence_id: int | str) -> Tensor:
        is_text = isinstance(sequence_id, str)
        if is_text != (spec.datatype == "BYTES"):
            actual = "TYPE_STRING" if is_text else "TYPE_UINT64"
            expected = "TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"
            raise InvalidRequest(
                f"sequence batching control 'CORRID' data-type is '{actual}', but model "
                f"'{self._model_name}' expects '{expected}'"
            )
        if isinstance(sequence_id, str):
            array = np.empty(self._shape, object)
            array[...] = sequence_id.encode()
        else:
            dtype = BY_NAME[spec.datatype].dtype
            # As a C cast: an id beyond the control's range keeps its low bits.
            bits = np.array(sequence_id & 0xFFFF_FFFF_FFFF_FFFF, np.uint64).astype(dtype)
            array = np.full(self._shape, bits, dtype)
        return Tensor(spec.name, spec.datatype, self._shape, array=array)


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


def idle_ns(config: ModelSequenceBatching) -> int:
    """Return how long a sequence of the config may be idle, in nanoseconds."""
    return config.max_sequence_idle_microseconds * 1000 or DEFAULT_IDLE_NS
