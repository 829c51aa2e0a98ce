"""The direct strategy: rows, fillers, and when a batch is executed."""

import pytest

from inferd.protocol.messages import InferRequest
from inferd.scheduling.batcher import IDLE, WaitUntil
from inferd.scheduling.sequence_rows import LiveSequence
from inferd.scheduling.sequence_slots import DirectLane


class Step:
    """A queued request."""

    discarded = again = once = False

    def __init__(self, at=0, shape_key=None, **fields):
        self.request = InferRequest("m", {}, **fields)
        self.enqueued_ns = at
        self.shape_key = shape_key


def enter(lane, key, *, at=0, shape_key=None, **fields):
    """Give a sequence with one request its slot."""
    sequence = LiveSequence(key, 0)
    lane.enter(sequence)
    send(lane, sequence, at=at, shape_key=shape_key, **fields)
    return sequence


def send(lane, sequence, *, at=0, shape_key=None, **fields):
    """Queue a request of a sequence."""
    sequence.queue.append(Step(at, shape_key, **fields))
    lane.wake(sequence)


def rows(decision):
    """Return the key of each row, ``None`` for fillers."""
    return [row.key if row.ready else None for row in decision.rows]


def test_every_sequence_has_its_row():
    """Also when those before it have nothing to execute; rows behind the last are cut off."""
    lane = DirectLane(4)
    sequences = [enter(lane, key) for key in "abc"]
    assert lane.room == 1
    assert rows(lane.decide(0)) == ["a", "b", "c"]
    assert lane.decide(0) is IDLE

    send(lane, sequences[1])
    decision = lane.decide(0)
    assert rows(decision) == [None, "b"]
    filler = decision.rows[0]
    assert (filler.start, filler.end) == (False, False)
    assert filler.entry is decision.rows[1].entry


def test_a_free_slot_is_given_away_lowest_first():
    """Which keeps batches short."""
    lane = DirectLane(3)
    sequences = [enter(lane, key) for key in "abc"]
    for sequence in sequences[1::-1]:
        lane.sleep(sequence)
        lane.leave(sequence)
    enter(lane, "d")

    assert rows(lane.decide(0)) == ["d", None, "c"]
    assert lane.room == 1


def test_a_request_taken_back_is_not_executed():
    """Its sequence sleeps until the next."""
    lane = DirectLane(2)
    lane.sleep(enter(lane, "a"))
    assert lane.decide(0) is IDLE


def test_another_shape_waits_for_the_next_batch():
    """The oldest request decides whose shape is first."""
    lane = DirectLane(3)
    enter(lane, "a", at=2, shape_key="wide")
    enter(lane, "b", at=1, shape_key="narrow")
    enter(lane, "c", at=3, shape_key="wide")

    assert rows(lane.decide(3)) == [None, "b"]
    assert rows(lane.decide(3)) == ["a", None, "c"]


@pytest.mark.parametrize(
    ("slots", "utilization", "ready", "waits"),
    [(4, 0.0, 1, False), (4, 0.5, 1, True), (4, 0.5, 2, False), (10, 0.10000000149, 1, False)],
)
def test_a_batch_waits_for_the_part_of_the_slots_the_config_wants(slots, utilization, ready, waits):
    """At most for the delay after the oldest request; without a part it never waits."""
    lane = DirectLane(slots, 100, utilization)
    for key in range(ready):
        enter(lane, key, at=5)

    decision = lane.decide(104)
    if not waits:
        assert len(decision.rows) == ready
        return
    assert decision == WaitUntil(105)
    assert len(lane.decide(105).rows) == ready


def test_a_batch_does_not_wait_until_a_deadline_cannot_be_met():
    """It starts ample time before the earliest one, not earlier."""
    lane = DirectLane(4, 100, 1.0)
    for key, deadline_ns in (("a", 0), ("b", 50), ("c", 60)):
        enter(lane, key, deadline_ns=deadline_ns)

    assert lane.decide(2, 20) == WaitUntil(30)
    assert lane.decide(29, 20) == WaitUntil(30)
    assert rows(lane.decide(30, 20)) == ["a", "b", "c"]


def test_a_far_deadline_does_not_lengthen_the_delay():
    """The delay ends first."""
    lane = DirectLane(4, 100, 1.0)
    enter(lane, "a", deadline_ns=500)

    assert lane.decide(2, 20) == WaitUntil(100)
    assert rows(lane.decide(100, 20)) == ["a"]


@pytest.mark.parametrize(
    ("slots", "delay", "utilization", "keys", "reason"),
    [
        (3, 0, 0.0, [None, None], "idle"),
        (2, 0, 0.0, [None, None], "full"),
        (3, 0, 0.0, [None, 1], "shape"),
        (2, 0, 0.0, [None, 1], "shape"),
        (4, 9, 0.5, [None, None], "preferred"),
        (4, 9, 0.25, [None], "idle"),
        (2, 9, 1.0, [None, None], "full"),
    ],
)
def test_why_a_batch_closed(slots, delay, utilization, keys, reason):
    """No other slot is ready, enough are, all are, or the next one has another shape."""
    lane = DirectLane(slots, delay, utilization)
    for number, key in enumerate(keys):
        enter(lane, number, at=number, shape_key=key)

    assert lane.decide(0).reason == reason


def test_a_batch_that_waited_closes_for_the_delay():
    """At that time and not before."""
    lane = DirectLane(2, 10, 1.0)
    enter(lane, "a")

    assert lane.decide(9) == WaitUntil(10)
    assert lane.decide(10).reason == "delay"


def test_slots_in_use_are_counted():
    """Until their sequence leaves."""
    lane = DirectLane(3)
    sequences = [enter(lane, key) for key in "ab"]
    assert lane.used == 2
    lane.sleep(sequences[0])
    lane.leave(sequences[0])

    assert lane.used == 1


def test_a_lane_has_work_while_a_request_waits():
    """Not before one came, and not when it was taken."""
    lane = DirectLane(2)
    before = lane.has_work
    enter(lane, "a")
    waiting = lane.has_work
    lane.decide(0)

    assert (before, waiting, lane.has_work) == (False, True, False)
