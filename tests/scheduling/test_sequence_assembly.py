"""Batches of sequence rows: what the model gets, what the client gets, what is kept."""

import numpy as np
import pytest

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlInput,
    ModelSequenceBatchingControlKind,
    ModelSequenceBatchingState,
)
from inferd.errors import BackendError
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_rows import LiveSequence, Row
from inferd.scheduling.sequence_state import SequenceStates

START = ModelSequenceBatchingControlKind.CONTROL_SEQUENCE_START


class Step:
    """A queued request."""

    def __init__(self, request):
        self.request = request


def assembler(make, output="STATE", *, in_place=False):
    """Return the assembler of a model with input X, output Y, a control and a state."""
    config = ModelSequenceBatching(
        control_input=[
            ModelSequenceBatchingControlInput(
                name="START", control=[ModelSequenceBatchingControl(kind=START)]
            )
        ],
        state=[
            ModelSequenceBatchingState(
                input_name="OLD",
                output_name=output,
                data_type=DataType.TYPE_INT32,
                dims=[2],
                use_same_buffer_for_input_output=in_place,
            )
        ],
    )
    return SequenceAssembler(
        Assembler(make.signature(), 1),
        SequenceControls.from_config("m", config, batches=True),
        SequenceStates.from_config("m", config, batches=True, read=bytes),
        model_name="m",
    )


def rows(make, *values):
    """Return a row per value, the first at its start."""
    return [
        Row(LiveSequence(value, 0), Step(make.request(value)), start=value == values[0])
        for value in values
    ]


def column(*values):
    """Return an output whose rows are these values."""
    return np.array([[value, value] for value in values], np.int32)


def test_the_model_gets_controls_and_states_beside_the_inputs(make):
    """And is asked for the state outputs after the declared ones."""
    given = rows(make, 5, 6)
    given[1].sequence.states = {"OLD": column(9)}
    bound = assembler(make).bind([*given, given[1].filler()])
    batch = bound.gather(bound.requests)

    assert {name: array.tolist() for name, array in batch.inputs.items()} == {
        "X": [[5, 5], [6, 6], [6, 6]],
        "START": [[1], [0], [0]],
        "OLD": [[0, 0], [9, 9], [9, 9]],
    }
    assert list(batch.output_names) == ["Y", "STATE"]
    assert batch.requests[2].sequence_id == 0


def test_the_client_gets_no_state_and_the_sequence_keeps_it(make):
    """A filler keeps nothing."""
    given = rows(make, 5, 6)
    bound = assembler(make).bind([given[0], given[1].filler()])
    answers = bound.scatter(bound.gather(bound.requests), [column(1, 2), column(3, 4)])

    assert [[one.name for one in answer.outputs] for answer in answers] == [["Y"], ["Y"]]
    assert answers[0].outputs[0].array().tolist() == [[1, 1]]
    assert given[0].sequence.states["OLD"].tolist() == [[3, 3]]
    assert given[1].sequence.states == {}


def test_a_state_that_is_an_output_too_is_asked_for_once(make):
    """The client gets it, and the sequence keeps it."""
    (row,) = rows(make, 5)
    bound = assembler(make, output="Y").bind([row])
    batch = bound.gather(bound.requests)
    assert list(batch.output_names) == ["Y"]
    (answer,) = bound.scatter(batch, [column(3)])

    assert answer.outputs[0].array().tolist() == [[3, 3]]
    assert row.sequence.states["OLD"].tolist() == [[3, 3]]


def test_a_row_that_failed_keeps_its_old_state(make):
    """The others go on."""
    given = rows(make, 5, 6)
    given[0].sequence.states = {"OLD": column(9)}
    bound = assembler(make).bind(given)
    batch = bound.gather(bound.requests)
    batch.fail(0, BackendError("no"))
    answers = bound.scatter(batch, [column(1, 2), column(3, 4)])

    assert isinstance(answers[0], BackendError)
    assert given[0].sequence.states["OLD"].tolist() == [[9, 9]]
    assert given[1].sequence.states["OLD"].tolist() == [[4, 4]]


def test_a_backend_that_forgets_a_state_is_told(make):
    """The text counts what was asked for."""
    bound = assembler(make).bind(rows(make, 5))
    batch = bound.gather(bound.requests)

    with pytest.raises(BackendError, match="model 'm' returned 1 outputs, expected 2"):
        bound.scatter(batch, [column(1)])


@pytest.mark.parametrize("output", ["STATE", "Y"])
def test_a_state_written_in_place_leaves_the_answer_before_alone(make, output):
    """Though the backend returned the state's own memory as an output, too."""
    model = assembler(make, output, in_place=True)
    (given,) = rows(make, 5)
    tensors = []
    for _ in range(2):
        bound = model.bind([given])
        batch = bound.gather(bound.requests)
        state = batch.inputs["OLD"]
        state += 1
        (answer,) = bound.scatter(batch, [state for _ in batch.output_names])
        tensors.append(answer.outputs[0])

    assert [tensor.array().tolist() for tensor in tensors] == [[[1, 1]], [[2, 2]]]
    assert given.sequence.states["OLD"].tolist() == [[2, 2]]
