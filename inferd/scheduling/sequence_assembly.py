"""
Gathers the rows of a sequence batch: the clients' inputs, the controls and the states.

The client's part is the ordinary assembler's; this adds what the scheduler feeds a
sequence model, and takes the states out of what it returns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from inferd.backend import Batch
from inferd.errors import BackendError, InferdError
from inferd.protocol.messages import InferRequest, InferResponse, ParameterValue
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_rows import E, LiveSequence, Row
from inferd.scheduling.sequence_state import SequenceStates

Array = npt.NDArray[Any]


class SequenceAssembler:
    """
    Knows how batches of one sequence model are put together.

    Args:
        assembler: Gathers and scatters what clients send and get.
        controls: Makes the control tensors.
        states: Makes and keeps the state tensors.
        model_name: For messages.
    """

    __slots__ = ("assembler", "controls", "model_name", "states")

    def __init__(
        self,
        assembler: Assembler,
        controls: SequenceControls,
        states: SequenceStates,
        *,
        model_name: str,
    ) -> None:
        self.assembler = assembler
        self.controls = controls
        self.states = states
        self.model_name = model_name

    def respond(
        self,
        sequence: LiveSequence[Any],
        request: InferRequest,
        outputs: Mapping[str, Array],
        parameters: dict[str, ParameterValue] | None = None,
    ) -> InferResponse:
        """
        Return one of several responses; states among the outputs are kept by the sequence.

        Raises:
            BackendError: An output is not what the config declares, or only some of the
                states are there; the states stay as they were.
        """
        kept = {spec.output_name for spec in self.states.specs}
        given = kept.intersection(outputs)
        if given and given != kept:
            raise BackendError(
                f"model '{self.model_name}' sent state {sorted(given)} without "
                f"{sorted(kept - given)}"
            )
        hidden = given.difference(self.assembler.output_names)
        shown = {name: array for name, array in outputs.items() if name not in hidden}
        part = self.states.parts(outputs, 1, shown.values())[0] if given else None
        response = self.assembler.respond(request, shown, parameters)
        if part is not None:
            self.keep(sequence, part)
        return response

    def keep(self, sequence: LiveSequence[Any], part: dict[str, Array]) -> None:
        """Have a sequence go on from these states."""
        sequence.states = part
        sequence.shape_key = self.states.shape_key(part)

    def bind(self, rows: Sequence[Row[E]]) -> "RowAssembler":
        """Return what gathers and scatters these rows, once."""
        return RowAssembler(self, rows)


class RowAssembler:
    """
    Gathers and scatters one batch of rows.

    Args:
        model: What is known of the model.
        rows: The rows of the batch.

    Attributes:
        requests: One request per row.
    """

    __slots__ = ("_model", "_names", "_rows", "requests")

    def __init__(self, model: SequenceAssembler, rows: Sequence[Row[Any]]) -> None:
        self._model = model
        self._rows = rows
        self._names: Sequence[str] = ()
        self.requests = [_request(row) for row in rows]

    def gather(self, requests: Sequence[InferRequest]) -> Batch:
        """Return the rows as one batch, with the controls and states among its inputs."""
        model = self._model
        batch = model.assembler.gather(requests)
        batch.inputs.update(model.controls.arrays(self._rows))
        batch.inputs.update(model.states.arrays(self._rows))
        self._names = batch.output_names
        kept = [spec.output_name for spec in model.states.specs]
        batch.output_names = [*self._names, *(name for name in kept if name not in self._names)]
        return batch

    def scatter(self, batch: Batch, outputs: Sequence[Array]) -> list[InferResponse | InferdError]:
        """
        Return one answer per row, and keep the states of the rows that did not fail.

        Raises:
            BackendError: The outputs are not what the config declares; the states stay.
        """
        model, names = self._model, batch.output_names
        if len(outputs) != len(names):
            raise BackendError(
                f"model '{model.model_name}' returned {len(outputs)} outputs, expected {len(names)}"
            )
        shown = outputs[: len(self._names)]
        named = dict(zip(names, outputs, strict=True))
        parts = model.states.parts(named, len(self._rows), shown)
        batch.output_names = self._names
        answers = model.assembler.scatter(batch, shown)
        for row, part, answer in zip(self._rows, parts, answers, strict=True):
            if row.ready and part and not isinstance(answer, InferdError):
                model.keep(row.sequence, part)
        return answers


def _request(row: Row[Any]) -> InferRequest:
    request: InferRequest = row.entry.request
    if row.ready:
        return request
    return InferRequest(request.model_name, request.inputs, outputs=request.outputs)
