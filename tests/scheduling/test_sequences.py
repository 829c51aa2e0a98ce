"""Live sequences: their places, the backlog, idle times, and requests that are taken back."""

import pytest

from inferd._generated.inference import ModelSequenceBatching
from inferd.errors import InvalidRequest
from inferd.scheduling.sequences import DEFAULT_IDLE_NS, idle_ns
from tests.scheduling.sequenced import Step, add, run, table


class TestAdmission:
    """What is refused."""

    @pytest.mark.parametrize("missing", [0, ""])
    def test_a_request_needs_a_correlation_id(self, missing):
        """Zero and empty are none."""
        with pytest.raises(InvalidRequest, match="must specify a non-zero or non-empty corr"):
            table().admit(Step(missing, start=True), 0)

    def test_a_request_has_one_row(self):
        """A sequence's steps cannot share a batch dimension."""
        with pytest.raises(
            InvalidRequest,
            match="inference request to model 'm' must specify batch-size 1 due to requirements "
            "of sequence batcher",
        ):
            table().admit(Step(start=True, rows=2), 0)

    def test_the_first_request_must_start(self):
        """The text names the sequence and the model."""
        with pytest.raises(
            InvalidRequest,
            match="inference request for sequence 7 to model 'm' must specify the START flag on "
            "the first request of the sequence",
        ):
            table().admit(Step(), 0)

    def test_a_request_after_the_end_must_start_again(self):
        """While the END waits, and after it."""
        sequences = table()
        add(sequences, start=True, end=True)
        with pytest.raises(InvalidRequest, match="START"):
            add(sequences)
        run(sequences)
        with pytest.raises(InvalidRequest, match="START"):
            add(sequences)
        assert sequences.queued == len(sequences) == 0

    def test_text_and_number_ids_are_different_sequences(self):
        """A string id does not continue a numeric one."""
        sequences = table(2)
        add(sequences, 1, start=True)

        with pytest.raises(InvalidRequest, match="START"):
            add(sequences, "1")

    def test_a_second_start_continues_in_the_same_place(self):
        """What was queued executes first; the caller is told."""
        sequences = table(2)
        assert not sequences.admit(Step(start=True), 0)
        assert not sequences.admit(Step(), 0)
        assert sequences.admit(Step(start=True), 0)

        assert [run(sequences) for _ in range(4)] == [
            [(7, True, False)], [(7, False, False)], [(7, True, False)], []
        ]  # fmt: skip
        assert len(sequences) == 1


class TestPlaces:
    """Lanes, slots and the backlog."""

    def test_a_sequence_stays_on_its_lane(self):
        """From START to END."""
        sequences = table(lanes=2)
        for flags in ({"start": True}, {}, {"end": True}):
            add(sequences, **flags)
        assert [len(run(sequences, lane=1)) for _ in range(3)] == [0, 0, 0]
        assert [len(run(sequences, lane=0)) for _ in range(3)] == [1, 1, 1]
        assert len(sequences) == 0

    def test_new_sequences_go_to_the_emptiest_lane(self):
        """A lane that lost a sequence gets the next one."""
        sequences = table(2, lanes=2)
        add(sequences, 1, start=True)
        add(sequences, 2, start=True)
        assert run(sequences, lane=0) == [(1, True, False)]
        assert run(sequences, lane=1) == [(2, True, False)]
        add(sequences, 2, end=True)
        run(sequences, lane=1)
        add(sequences, 3, start=True)

        assert run(sequences, lane=1) == [(3, True, False)]

    def test_extra_sequences_wait_whole_and_in_order(self):
        """The next one starts when the END of the one before has executed."""
        sequences = table()
        add(sequences, 1, start=True)
        add(sequences, 2, start=True)
        add(sequences, 3, start=True, end=True)
        add(sequences, 2, end=True)
        add(sequences, 1, end=True)
        assert sequences.backlog == 2

        assert [run(sequences)[0][0] for _ in range(5)] == [1, 1, 2, 2, 3]
        assert len(sequences) == sequences.backlog == sequences.queued == 0

    def test_an_id_that_is_used_again_goes_to_the_end_of_the_backlog(self):
        """A client that pipelines one id does not keep others out."""
        sequences = table()
        add(sequences, 1, start=True, end=True)
        add(sequences, 1, start=True, end=True)
        add(sequences, 2, start=True, end=True)

        assert [run(sequences)[0][0] for _ in range(3)] == [1, 2, 1]
        assert len(sequences) == 0


class TestIdle:
    """``max_sequence_idle_microseconds``."""

    def test_an_idle_sequence_is_forgotten_after_its_time(self):
        """Exactly at the limit it is still alive; its place is free after it."""
        sequences = table()
        add(sequences, start=True)
        run(sequences)
        assert sequences.expires_ns == 101
        assert sequences.expire(100) == []
        assert len(sequences) == 1
        assert sequences.expire(101) == []
        assert len(sequences) == 0
        assert sequences.expires_ns is None
        with pytest.raises(InvalidRequest, match="START"):
            add(sequences, at=101)

    def test_the_answer_counts_as_life(self):
        """A long execution is not idle time, and idle time begins at its end."""
        sequences = table()
        add(sequences, start=True)
        rows = sequences.decide(0, 0).rows
        sequences.expire(500)
        sequences.finish(rows, 700)

        sequences.expire(800)
        assert len(sequences) == 1
        sequences.expire(801)
        assert len(sequences) == 0

    def test_a_request_that_waits_for_the_server_is_not_idle(self):
        """The instance may be busy with others for long."""
        sequences = table(2)
        add(sequences, start=True)
        assert sequences.expire(1000) == []
        assert run(sequences, 1000) == [(7, True, False)]

    def test_an_idle_sequence_makes_room_for_the_next(self):
        """A client that vanished keeps nobody out for longer than its time."""
        sequences = table()
        add(sequences, 1, start=True)
        run(sequences)
        add(sequences, 2, start=True, at=90)
        assert run(sequences, 90) == []

        assert sequences.expire(101) == []
        assert run(sequences, 101) == [(2, True, False)]

    def test_an_unfinished_sequence_in_the_backlog_gives_up_after_its_time(self):
        """Its requests are returned, once; one that was taken back is not among them."""
        sequences = table()
        add(sequences, 1, start=True)
        rows = sequences.decide(0, 0).rows
        first, second = add(sequences, 2, start=True), add(sequences, 2)
        assert sequences.discard(second)

        assert sequences.expire(101) == [first]
        assert not sequences.discard(first)
        assert sequences.backlog == sequences.queued == 0
        sequences.finish(rows, 101)
        assert len(sequences) == 1

    def test_a_finished_sequence_in_the_backlog_waits_for_its_turn(self):
        """Its client owes nothing."""
        sequences = table()
        add(sequences, 1, start=True)
        rows = sequences.decide(0, 0).rows
        add(sequences, 2, start=True, end=True)

        assert sequences.expire(1000) == []
        sequences.finish(rows, 1000)
        sequences.expire(1101)
        assert run(sequences, 1101) == [(2, True, True)]


class TestDiscard:
    """Requests that are taken back."""

    def test_a_step_in_the_middle_is_left_out(self):
        """A second time it is not queued any more."""
        sequences = table()
        add(sequences, start=True)
        middle = add(sequences)
        add(sequences, end=True)

        assert sequences.discard(middle)
        assert not sequences.discard(middle)
        assert sequences.queued == 2
        assert [run(sequences) for _ in range(2)] == [[(7, True, False)], [(7, False, True)]]
        assert len(sequences) == 0

    def test_the_first_request_that_executes_is_the_start(self):
        """When START itself was taken back."""
        sequences = table()
        start = add(sequences, start=True)
        add(sequences)
        sequences.discard(start)
        add(sequences, end=True)

        assert [run(sequences) for _ in range(2)] == [[(7, True, False)], [(7, False, True)]]

    @pytest.mark.parametrize("executing", [False, True])
    def test_an_end_that_is_taken_back_ends_the_sequence(self, executing):
        """Whether the step before it executes or has executed."""
        sequences = table()
        add(sequences, 1, start=True)
        rows = sequences.decide(0, 0).rows
        if not executing:
            sequences.finish(rows, 0)
        sequences.discard(add(sequences, 1, end=True))
        if executing:
            sequences.finish(rows, 0)

        assert len(sequences) == 0
        with pytest.raises(InvalidRequest, match="START"):
            add(sequences, 1)

    def test_a_sequence_that_is_taken_back_while_it_waits_is_gone(self):
        """The backlog keeps nothing of it, in whatever order its requests go."""
        sequences = table()
        add(sequences, 1, start=True)
        start, end = add(sequences, 2, start=True), add(sequences, 2, end=True)
        sequences.discard(end)
        assert sequences.backlog == 1
        sequences.discard(start)

        assert sequences.backlog == 0
        assert len(sequences) == 1

    def test_a_start_behind_an_end_that_was_taken_back_is_a_new_sequence(self):
        """And so is what is left of one whose START was taken back too."""
        sequences = table()
        add(sequences, start=True)
        rows = sequences.decide(0, 0).rows
        taken = [
            add(sequences, end=True),
            add(sequences, start=True),
            add(sequences, end=True),
            add(sequences, start=True),
        ]
        add(sequences)
        for step in taken:
            sequences.discard(step)
        sequences.finish(rows, 0)

        assert [run(sequences) for _ in range(2)] == [[(7, True, False)], []]
        assert len(sequences) == 1

    def test_a_new_start_that_was_taken_back_is_owed_after_the_end(self):
        """Although the END of the old sequence executed in between."""
        sequences = table()
        add(sequences, start=True, end=True)
        rows = sequences.decide(0, 0).rows
        sequences.discard(add(sequences, start=True))
        sequences.finish(rows, 0)
        add(sequences)

        assert run(sequences) == [(7, True, False)]


class TestStop:
    """Unloading."""

    def test_idle_sequences_make_room_for_what_is_queued(self):
        """At once, and when their last request has executed."""
        sequences = table(2)
        add(sequences, 1, start=True)
        run(sequences)
        add(sequences, 2, start=True)
        for key in (3, 4):
            add(sequences, key, start=True)
        assert sequences.backlog == 2
        sequences.stop()
        assert len(sequences) == 3

        assert [key for key, _, _ in run(sequences)] == [3, 2]
        assert [key for key, _, _ in run(sequences)] == [4]
        assert len(sequences) == sequences.queued == 0


def test_idle_time_is_read_in_microseconds_with_a_default():
    """None stated means one second."""
    assert idle_ns(ModelSequenceBatching()) == DEFAULT_IDLE_NS
    assert idle_ns(ModelSequenceBatching(max_sequence_idle_microseconds=5)) == 5000


def test_places_and_the_oldest_request_are_known():
    """A request that was taken back does not wait."""
    sequences = table(slots=1, lanes=2)
    assert (sequences.lanes_used, sequences.oldest_ns()) == ([0, 0], None)
    first = add(sequences, 1, start=True, at=3)
    add(sequences, 2, start=True, at=5)
    add(sequences, 3, start=True, at=6)

    assert sequences.lanes_used == [1, 1]
    assert (sequences.backlog, sequences.oldest_ns()) == (1, 3)
    sequences.discard(first)
    assert sequences.oldest_ns() == 5


def test_a_lane_has_work_while_one_of_its_sequences_does():
    """Whoever asks takes no instance for nothing."""
    sequences = table()
    assert not sequences.has_work(0)
    add(sequences, start=True)
    assert sequences.has_work(0)
    run(sequences)

    assert not sequences.has_work(0)
