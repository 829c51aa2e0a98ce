"""Live sequences, their lanes, and the control tensors."""

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
from inferd.scheduling.sequences import DEFAULT_IDLE_NS, SequenceControls, SequenceTable, idle_ns

KIND = ModelSequenceBatchingControlKind


def step(sequence_id=7, *, start=False, end=False, rows=1):
    """Return a checked request of a sequence."""
    request = InferRequest("m", {}, sequence_id=sequence_id, sequence_start=start, sequence_end=end)
    request.batch_size = rows
    return request


class TestTable:
    """Admission."""

    def test_a_sequence_stays_on_its_lane(self):
        """From START to END."""
        table = SequenceTable("m", 2)
        lanes = [table.admit(step(start=True), 0), table.admit(step(), 1)]
        lanes.append(table.admit(step(end=True), 2))

        assert len(set(lanes)) == 1
        assert len(table) == 0

    def test_new_sequences_go_to_the_emptiest_lane(self):
        """A lane that lost a sequence gets the next one."""
        table = SequenceTable("m", 2)
        first = table.admit(step(1, start=True), 0)
        second = table.admit(step(2, start=True), 0)
        table.admit(step(1, end=True), 0)

        assert {first, second} == {0, 1}
        assert table.admit(step(3, start=True), 0) == first

    def test_text_and_number_ids_are_different_sequences(self):
        """A string id does not continue a numeric one."""
        table = SequenceTable("m", 1)
        table.admit(step(1, start=True), 0)

        with pytest.raises(InvalidRequest, match="must specify the START flag"):
            table.admit(step("1"), 0)

    @pytest.mark.parametrize("missing", [0, ""])
    def test_a_request_needs_a_correlation_id(self, missing):
        """Zero and empty are none."""
        with pytest.raises(InvalidRequest, match="non-zero or non-empty correlation ID"):
            SequenceTable("m", 1).admit(step(missing, start=True), 0)

    def test_a_request_has_one_row(self):
        """A sequence's steps cannot share a batch dimension."""
        with pytest.raises(InvalidRequest, match="must specify batch-size 1"):
            SequenceTable("m", 1).admit(step(start=True, rows=2), 0)

    def test_the_first_request_must_start(self):
        """The text names the sequence and the model."""
        with pytest.raises(
            InvalidRequest,
            match="inference request for sequence 7 to model 'm' must specify the START flag on "
            "the first request of the sequence",
        ):
            SequenceTable("m", 1).admit(step(), 0)

    def test_a_second_start_continues_on_the_same_lane(self):
        """A client that starts over is not refused."""
        table = SequenceTable("m", 4)
        lane = table.admit(step(start=True), 0)

        assert table.admit(step(start=True), 1) == lane
        assert len(table) == 1

    def test_an_idle_sequence_is_forgotten_after_its_time(self):
        """Exactly at the limit it is still alive."""
        table = SequenceTable("m", 1, idle_ns=100)
        table.admit(step(start=True), 0)
        table.admit(step(), 100)

        with pytest.raises(InvalidRequest, match="START"):
            table.admit(step(), 201)

    def test_an_answer_counts_as_life(self):
        """A long execution is not idle time."""
        table = SequenceTable("m", 1, idle_ns=100)
        table.admit(step(start=True), 0)
        table.touch(7, 150)
        table.touch(8, 150)

        assert table.admit(step(), 250) == 0

    def test_forgotten_sequences_free_their_lane(self):
        """No slot leaks."""
        table = SequenceTable("m", 2, idle_ns=100)
        first = table.admit(step(1, start=True), 0)
        table.admit(step(2, start=True), 90)
        table.expire(150)

        assert table.admit(step(3, start=True), 150) == first


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


class TestControls:
    """Control tensors."""

    @pytest.mark.parametrize(
        ("fields", "dtype", "expected"),
        [
            ({"int32_false_true": [0, 1]}, np.int32, [0, 1]),
            ({"fp32_false_true": [-1.0, 2.0]}, np.float32, [-1.0, 2.0]),
            ({"bool_false_true": [False, True]}, np.bool_, [False, True]),
        ],
    )
    def test_flags_have_the_values_and_type_of_the_config(self, fields, dtype, expected):
        """One value for false, one for true."""
        made = controls(("START", KIND.CONTROL_SEQUENCE_START, fields))
        values = []
        for start in (False, True):
            request = step(start=start)
            made.add_to(request)
            values.append(request.inputs["START"].array())

        assert [value.item() for value in values] == expected
        assert values[0].dtype == dtype
        assert values[0].shape == (1, 1)

    def test_end_and_ready(self):
        """READY is always true: there is a request."""
        flag = {"int32_false_true": [0, 1]}
        made = controls(
            ("END", KIND.CONTROL_SEQUENCE_END, flag), ("READY", KIND.CONTROL_SEQUENCE_READY, flag)
        )
        request = step(end=True)
        made.add_to(request)

        assert request.inputs["END"].array().item() == 1
        assert request.inputs["READY"].array().item() == 1

    @pytest.mark.parametrize(
        ("data_type", "sequence_id", "expected"),
        [
            (DataType.TYPE_UINT64, 2**64 - 1, 2**64 - 1),
            (DataType.TYPE_INT32, 2**32 + 5, 5),
            (DataType.TYPE_STRING, "abc", b"abc"),
        ],
    )
    def test_the_correlation_id_has_the_type_of_the_config(self, data_type, sequence_id, expected):
        """Integers are cast as in C, text is UTF-8."""
        made = controls(
            ("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": data_type}), batches=False
        )
        request = step(sequence_id)
        made.add_to(request)

        assert request.inputs["ID"].array().tolist() == [expected]

    @pytest.mark.parametrize(
        ("data_type", "sequence_id", "text"),
        [
            (DataType.TYPE_UINT64, "abc", "is 'TYPE_STRING', but model 'm' expects 'TYPE_UINT64'"),
            (DataType.TYPE_STRING, 5, "is 'TYPE_UINT64', but model 'm' expects 'TYPE_STRING'"),
        ],
    )
    def test_an_id_of_the_other_kind_is_refused(self, data_type, sequence_id, text):
        """The text says what the model takes."""
        made = controls(("ID", KIND.CONTROL_SEQUENCE_CORRID, {"data_type": data_type}))

        with pytest.raises(InvalidRequest, match=text):
            made.add_to(step(sequence_id))

    def test_a_control_without_values_is_an_integer_flag(self):
        """The default is 0 and 1."""
        made = controls(("START", KIND.CONTROL_SEQUENCE_START, {}))
        request = step(start=True)
        made.add_to(request)

        assert request.inputs["START"].array().item() == 1


def test_idle_time_is_read_in_microseconds_with_a_default():
    """None stated means one second."""
    assert idle_ns(ModelSequenceBatching()) == DEFAULT_IDLE_NS
    assert idle_ns(ModelSequenceBatching(max_sequence_idle_microseconds=5)) == 5000
