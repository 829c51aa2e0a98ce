"""Control tensors: START, END, READY and the correlation id."""

from types import SimpleNamespace

import numpy as np
import pytest

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlInput,
    ModelSequenceBatchingControlKind,
)
from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferRequest
from inferd.scheduling.sequence_controls import SequenceControls

KIND = ModelSequenceBatchingControlKind
FLAG = {"int32_false_true": [0, 1]}


def controls(*inputs, batches=True):
    """Return controls from (name, kind, fields)."""
    config = ModelSequenceBatching(
        control_input=[
            ModelSequenceBatchingControlInput(
                name=name, control=[ModelSequenceBatchingControl(kind=kind, **fields)]
            )
            for name, kind, fields in inputs
        ]
    )
    return SequenceControls.from_config("m", config, batches=batches)


def mark(key=7, *, start=False, end=False, ready=True):
    """Return a row."""
    return SimpleNamespace(key=key, start=start, end=end, ready=ready)


@pytest.mark.parametrize(
    ("fields", "dtype", "expected"),
    [
        ({"int32_false_true": [0, 1]}, np.int32, [[0], [1]]),
        ({"fp32_false_true": [-1.0, 2.0]}, np.float32, [[-1.0], [2.0]]),
        ({"bool_false_true": [False, True]}, np.bool_, [[False], [True]]),
        ({}, np.int32, [[0], [1]]),
    ],
)
def test_flags_have_the_values_and_type_of_the_config(fields, dtype, expected):
    """One value for false, one for true; the default is 0 and 1."""
    made = controls(("START", KIND.CONTROL_SEQUENCE_START, fields))
    array = made.arrays([mark(), mark(start=True)])["START"]

    assert array.tolist() == expected
    assert array.dtype == dtype


def test_each_row_has_its_own_flags():
    """A row that fills an empty slot is not ready and has no correlation id."""
    made = controls(
        ("END", KIND.CONTROL_SEQUENCE_END, FLAG),
        ("READY", KIND.CONTROL_SEQUENCE_READY, FLAG),
        ("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": DataType.TYPE_UINT32}),
    )
    arrays = made.arrays([mark(5, end=True), mark(6), mark(5, ready=False)])

    assert arrays["END"].tolist() == [[1], [0], [0]]
    assert arrays["READY"].tolist() == [[1], [1], [0]]
    assert arrays["ID"].tolist() == [[5], [6], [0]]


@pytest.mark.parametrize(
    ("data_type", "sequence_id", "expected"),
    [
        (DataType.TYPE_UINT64, 2**64 - 1, 2**64 - 1),
        (DataType.TYPE_INT32, 2**32 + 5, 5),
        (DataType.TYPE_STRING, "abc", b"abc"),
    ],
)
def test_the_correlation_id_has_the_type_of_the_config(data_type, sequence_id, expected):
    """Integers are cast as in C, text is UTF-8; without batching the shape is [1]."""
    made = controls(("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": data_type}), batches=False)

    assert made.arrays([mark(sequence_id)])["ID"].tolist() == [expected]


def test_a_filler_of_a_model_with_text_ids_has_an_empty_one():
    """As an integer's is 0."""
    made = controls(("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": DataType.TYPE_STRING}))

    assert made.arrays([mark("a", ready=False)])["ID"].tolist() == [[b""]]


@pytest.mark.parametrize(
    ("data_type", "sequence_id", "text"),
    [
        (DataType.TYPE_UINT64, "abc", "is 'TYPE_STRING', but model 'm' expects 'TYPE_UINT64'"),
        (DataType.TYPE_STRING, 5, "is 'TYPE_UINT64', but model 'm' expects 'TYPE_STRING'"),
    ],
)
def test_an_id_of_the_other_kind_is_refused(data_type, sequence_id, text):
    """The text says what the model takes; a model without the control takes both."""
    made = controls(("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": data_type}))
    request = InferRequest("m", {}, sequence_id=sequence_id)

    with pytest.raises(
        InvalidRequest, match=f"sequence batching control 'CORRID' data-type {text}"
    ):
        made.check(request)
    controls().check(request)


def test_an_id_of_the_right_kind_is_accepted():
    """A number for an integer control, text for a string."""
    for data_type, sequence_id in ((DataType.TYPE_INT64, 5), (DataType.TYPE_STRING, "abc")):
        made = controls(("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": data_type}))
        made.check(InferRequest("m", {}, sequence_id=sequence_id))


def test_a_request_that_executes_by_itself_gets_its_controls():
    """As a warm-up sample does."""
    made = controls(
        ("START", KIND.CONTROL_SEQUENCE_START, FLAG), ("READY", KIND.CONTROL_SEQUENCE_READY, FLAG)
    )
    request = InferRequest("m", {}, sequence_id=7, sequence_start=True)
    made.add_to(request)

    assert {name: one.array().tolist() for name, one in request.inputs.items()} == {
        "START": [[1]],
        "READY": [[1]],
    }


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([], 5),
        ([("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": DataType.TYPE_INT32})], 5),
        ([("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": DataType.TYPE_STRING})], "5"),
    ],
)
def test_an_id_the_server_makes_is_of_the_kind_the_model_takes(inputs, expected):
    """Text for a string control, a number for everything else."""
    made = controls(*inputs)

    assert made.typed_id(5) == expected
    made.check(InferRequest("m", {}, sequence_id=made.typed_id(5)))
