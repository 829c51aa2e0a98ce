"""Implicit state: initial values, gathering, and what is kept."""

from types import SimpleNamespace

import numpy as np
import pytest

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingInitialState,
    ModelSequenceBatchingState,
)
from inferd.errors import BackendError, LoadFailed
from inferd.scheduling.sequence_state import SequenceStates

FILES = {
    "two": np.array([3, 4], "<i4").tobytes(),
    "text": b"\x01\x00\x00\x00a\x00\x00\x00\x00",
    "cut": b"\x05\x00\x00\x00a",
}


def states(dims=(2,), data_type=DataType.TYPE_INT32, initial=None, batches=True, in_place=False):
    """Return the states of a model with one state tensor, IN to OUT."""
    given = []
    if initial is not None:
        fixed = [2 if dim == -1 else dim for dim in dims]
        given = [
            ModelSequenceBatchingInitialState(name="i", data_type=data_type, dims=fixed, **initial)
        ]
    state = ModelSequenceBatchingState(
        input_name="IN", output_name="OUT", data_type=data_type, dims=list(dims),
        initial_state=given, use_same_buffer_for_input_output=in_place,
    )  # fmt: skip
    return SequenceStates.from_config(
        "m", ModelSequenceBatching(state=[state]), batches=batches, read=_read
    )


def _read(filename):
    try:
        return FILES[filename]
    except KeyError:
        raise FileNotFoundError(filename) from None


def row(value=None):
    """Return a row of a sequence in a state."""
    kept = {} if value is None else {"IN": np.array([value])}
    return SimpleNamespace(sequence=SimpleNamespace(states=kept))


class TestInitialValues:
    """What a sequence starts with."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, [[0, 0]]),
            ({"initial": {"zero_data": True}}, [[0, 0]]),
            ({"initial": {"data_file": "two"}}, [[3, 4]]),
            ({"initial": {"data_file": "two"}, "batches": False}, [3, 4]),
            ({"dims": (-1,)}, [[0]]),
            ({"dims": (-1,), "initial": {"data_file": "two"}}, [[3, 4]]),
            ({"data_type": DataType.TYPE_STRING}, [[b"", b""]]),
            (
                {"data_type": DataType.TYPE_STRING, "initial": {"data_file": "text"}},
                [[b"a", b""]],
            ),
        ],
    )
    def test_are_zero_or_those_of_the_file(self, options, expected):
        """A variable dimension is 1 when nothing says more; text is empty."""
        array = states(**options).arrays([row()])["IN"]

        assert array.tolist() == expected
        assert not array.flags.writeable

    @pytest.mark.parametrize("data_type", [DataType.TYPE_INT32, DataType.TYPE_STRING])
    @pytest.mark.parametrize("dims", [(2**63 - 1,), (2**40, 2**40), (2**58,)])
    def test_one_beyond_any_memory_is_refused(self, dims, data_type):
        """The state is named."""
        with pytest.raises(LoadFailed, match="cannot make the initial value of state 'IN' of m"):
            states(dims, data_type)

    @pytest.mark.parametrize(
        ("filename", "dims", "data_type", "text"),
        [
            ("none", (2,), DataType.TYPE_INT32, "cannot read the initial value of state 'IN' of m"),
            ("two", (3,), DataType.TYPE_INT32, "'two' of state 'IN' of m has 8 bytes, expected 12"),
            ("two", (1,), DataType.TYPE_INT32, "has 8 bytes, expected 4"),
            ("text", (1,), DataType.TYPE_STRING, "has 2 elements, expected 1"),
            ("cut", (1,), DataType.TYPE_STRING, "is cut short"),
        ],
    )
    def test_a_file_must_fit(self, filename, dims, data_type, text):
        """The load fails with the file, the state and the model."""
        with pytest.raises(LoadFailed, match=text):
            states(dims, data_type, {"data_file": filename})


class TestSteps:
    """From one step to the next."""

    def test_rows_are_gathered_in_order(self):
        """A sequence without a state has the initial one."""
        gathered = states().arrays([row([5, 6]), row(), row([7, 8])])

        assert gathered["IN"].tolist() == [[5, 6], [0, 0], [7, 8]]

    def test_every_row_keeps_its_own(self):
        """Apart from the batch it was in, and never written to."""
        output = np.array([[1, 2], [3, 4]], np.int32)
        parts = states().parts({"OUT": output}, 2, ())

        assert [part["IN"].tolist() for part in parts] == [[[1, 2]], [[3, 4]]]
        assert not any(np.shares_memory(part["IN"], output) for part in parts)
        assert not any(part["IN"].flags.writeable for part in parts)

    def test_a_batch_of_one_is_not_copied(self):
        """The output becomes the next input as it is."""
        output = np.array([[1, 2]], np.int32)
        (part,) = states().parts({"OUT": output}, 1, ())

        assert np.shares_memory(part["IN"], output)
        assert output.flags.writeable

    def test_text_is_kept_as_bytes(self):
        """Whichever of the two the framework returns."""
        output = np.array([["a", b"b"]], object)
        (part,) = states(data_type=DataType.TYPE_STRING).parts({"OUT": output}, 1, ())

        assert part["IN"].tolist() == [[b"a", b"b"]]

    @pytest.mark.parametrize(
        ("output", "text"),
        [
            (np.zeros((1, 2), np.int64), "as int64, but the model configuration specifies INT32"),
            (np.zeros((2, 2), np.int32), r"of shape \[2, 2\], expected \[1, 2\]"),
            (np.zeros((1, 3), np.int32), r"of shape \[1, 3\], expected \[1, 2\]"),
            (np.zeros((1,), np.int32), r"of shape \[1\], expected \[1, 2\]"),
        ],
    )
    def test_an_output_must_be_what_the_config_says(self, output, text):
        """The error names the model and the output."""
        with pytest.raises(BackendError, match=f"model 'm' returned state 'OUT' {text}"):
            states().parts({"OUT": output}, 1, ())

    def test_states_of_different_shapes_do_not_fit_into_one_batch(self):
        """Where the config leaves the shape open; elsewhere they always do."""
        growing = states((-1,))
        short, long = (growing.parts({"OUT": np.zeros((1, n), "<i4")}, 1, ())[0] for n in (2, 3))
        assert growing.shape_key(short) != growing.shape_key(long)
        assert growing.shape_key(short) == growing.shape_key(short)

        fixed = states()
        assert fixed.shape_key(fixed.parts({"OUT": np.zeros((1, 2), "<i4")}, 1, ())[0]) is None

    def test_a_model_without_a_batch_dimension_keeps_the_whole_output(self):
        """Its shape is the declared one."""
        (part,) = states(batches=False).parts({"OUT": np.array([1, 2], np.int32)}, 1, ())

        assert part["IN"].tolist() == [1, 2]


class TestInPlace:
    """A model whose config has ``use_same_buffer_for_input_output``."""

    def test_a_sequence_starts_with_a_buffer_of_its_own(self):
        """What is written there is not the next sequence's start."""
        kept = states(initial={"data_file": "two"}, in_place=True)
        first = kept.arrays([row()])["IN"]
        first += 1

        assert kept.arrays([row()])["IN"].tolist() == [[3, 4]]

    def test_what_was_written_over_the_state_is_the_next_one(self):
        """The same memory goes from step to step."""
        kept = states(in_place=True)
        buffer = kept.arrays([row()])["IN"]
        (part,) = kept.parts({"OUT": np.add(buffer, 1, out=buffer)}, 1, ())
        again = kept.arrays([SimpleNamespace(sequence=SimpleNamespace(states=part))])["IN"]

        assert np.shares_memory(again, buffer)
        again += 1
        assert again.tolist() == [[2, 2]]

    def test_rows_of_a_batch_are_apart(self):
        """Each can be written alone in the next step."""
        kept = states(in_place=True)
        both = kept.arrays([row(np.array([5, 6], "<i4")), row()])["IN"]
        parts = kept.parts({"OUT": both}, 2, ())

        assert not any(np.shares_memory(part["IN"], both) for part in parts)
        assert all(part["IN"].flags.writeable for part in parts)

    def test_one_that_cannot_be_written_is_copied(self):
        """A backend may return what it was lent for reading."""
        kept = states(in_place=True)
        output = np.frombuffer(b"\x01\0\0\0\x02\0\0\0", "<i4").reshape(1, 2)
        (part,) = kept.parts({"OUT": output}, 1, ())
        given = kept.arrays([SimpleNamespace(sequence=SimpleNamespace(states=part))])["IN"]

        assert given.flags.writeable
        assert given.tolist() == [[1, 2]]
