"""A sequence's requests, one by one, and the rows they become."""

import pytest

from inferd.protocol.messages import InferRequest
from inferd.scheduling.sequence_rows import LiveSequence, earliest_deadline_ns


class Step:
    """A queued request."""

    def __init__(self, *, start=False, end=False, discarded=False, shape_key=None):
        self.request = InferRequest("m", {}, sequence_start=start, sequence_end=end)
        self.discarded = discarded
        self.again = self.once = False
        self.shape_key = shape_key
        self.enqueued_ns = 5


def sequence(*steps, lane=None):
    """Return a sequence with these requests."""
    made = LiveSequence(7, 0)
    made.lane = lane
    made.queue.extend(steps)
    return made


def test_a_row_says_where_the_sequence_stands():
    """Its filler repeats the request and says nothing."""
    made = sequence(Step(start=True, end=True))
    assert made.head_ns == 5
    row = made.take()

    assert (row.key, row.start, row.end, row.ready) == (7, True, True, True)
    assert made.running
    filler = row.filler()
    assert (filler.entry, filler.start, filler.end, filler.ready) == (
        row.entry,
        False,
        False,
        False,
    )


def test_a_start_forgets_the_state():
    """Other requests keep it."""
    made = sequence(Step(), Step(start=True))
    made.states = {"IN": object()}
    made.take()
    assert made.states
    made.take()
    assert not made.states


def test_a_start_that_was_taken_back_is_owed():
    """It says START, and fits to other beginnings whatever the state was."""
    made = sequence(Step(start=True, discarded=True), Step(discarded=True), Step(shape_key="s"))
    made.shape_key = "old"
    assert not made.drop_discarded()

    assert made.head_key == ("s", None)
    assert made.take().start


def test_a_request_in_the_middle_fits_only_to_equal_states():
    """And equal inputs."""
    made = sequence(Step(shape_key="s"))
    made.shape_key = "state"
    assert made.head_key == ("s", "state")
    assert not made.take().start


def test_an_end_that_was_taken_back_is_reported():
    """What follows it stays."""
    made = sequence(Step(end=True, discarded=True), Step(start=True))
    assert made.drop_discarded()
    assert len(made.queue) == 1
    made.queue.clear()
    assert not made.drop_discarded()


@pytest.mark.parametrize(
    ("placed", "running", "queued", "complete", "expected"),
    [
        (False, False, True, False, False),
        (False, False, True, True, True),
        (True, False, False, False, False),
        (True, True, False, False, True),
        (True, False, True, False, True),
    ],
)
def test_a_sequence_is_idle_when_its_client_must_act(placed, running, queued, complete, expected):
    """In the backlog it must be sent whole."""
    made = sequence(*([Step()] if queued else []), lane=object() if placed else None)
    made.running = running
    made.complete = complete
    assert made.owes_nothing is expected


def test_a_request_that_is_executed_again_says_neither_start_nor_end():
    """Its flags are told the first time, and its state is kept."""
    step = Step(start=True, end=True)
    made = sequence(step)
    first = made.take()
    made.states = {"IN": object()}
    step.again = True
    made.queue.appendleft(step)
    again = made.take()

    assert (first.start, first.end, again.start, again.end) == (True, True, False, False)
    assert made.states


def test_a_request_that_is_executed_again_is_no_start_owed():
    """What follows it, once it is taken back, goes on where it was."""
    step = Step(start=True, discarded=True)
    step.again = True
    made = sequence(step, Step())
    assert not made.drop_discarded()

    assert not made.take().start


def test_a_request_without_an_id_is_a_whole_sequence():
    """Taken back, it is the end."""
    step = Step(start=True, discarded=True)
    step.once = True
    made = sequence(step)
    assert made.ends_with(step)
    assert made.drop_discarded()


def test_the_earliest_deadline_of_what_waits_counts():
    """Only that of each sequence's oldest request; those without one wait for ever."""
    late, early, none = (sequence(Step()) for _ in range(3))
    late.queue[0].request.deadline_ns = 90
    early.queue[0].request.deadline_ns = 40
    none.queue.append(Step())
    none.queue[1].request.deadline_ns = 1

    assert earliest_deadline_ns([late, none, early]) == 40
    assert earliest_deadline_ns([none]) is None
    assert earliest_deadline_ns([]) is None
