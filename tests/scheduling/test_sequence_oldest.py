"""The oldest strategy: whose requests make a batch, and when."""

from inferd.protocol.messages import InferRequest
from inferd.scheduling.batcher import IDLE, WaitUntil
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_rows import LiveSequence


class Step:
    """A queued request."""

    discarded = again = once = False

    def __init__(self, at, shape_key, deadline_ns):
        self.request = InferRequest("m", {}, deadline_ns=deadline_ns)
        self.enqueued_ns = at
        self.shape_key = shape_key


def enter(lane, key, *times, shape_key=None, deadline_ns=0):
    """Let a sequence with requests of these times in."""
    sequence = LiveSequence(key, 0)
    lane.enter(sequence)
    sequence.queue.extend(Step(at, shape_key, deadline_ns) for at in times)
    lane.wake(sequence)
    return sequence


def rows(decision):
    """Return the key of each row."""
    return [row.key for row in decision.rows]


def test_the_oldest_requests_go_first_one_per_sequence():
    """Up to the largest batch."""
    lane = OldestLane(OldestPolicy(10, 2))
    enter(lane, "a", 3)
    enter(lane, "b", 1, 2)
    enter(lane, "c", 4)
    enter(lane, "d", 3)

    assert rows(lane.decide(4)) == ["b", "a"]
    assert rows(lane.decide(4)) == ["d", "c"]
    assert lane.decide(4) is IDLE
    assert lane.room == 6


def test_candidates_are_limited():
    """A sequence that leaves makes room."""
    lane = OldestLane(OldestPolicy(2))
    first = enter(lane, "a", 0)
    enter(lane, "b", 0)
    assert lane.room == 0
    lane.sleep(first)
    lane.sleep(first)
    lane.leave(first)

    assert lane.room == 1
    assert rows(lane.decide(0)) == ["b"]


def test_a_batch_waits_for_others_until_the_delay_is_over():
    """Counted from the oldest request; a full batch does not wait."""
    lane = OldestLane(OldestPolicy(10, 3, 100))
    enter(lane, "a", 5)
    enter(lane, "b", 50)
    assert lane.decide(104) == WaitUntil(105)
    enter(lane, "c", 60)
    assert rows(lane.decide(60)) == ["a", "b", "c"]

    enter(lane, "d", 70)
    assert lane.decide(169) == WaitUntil(170)
    assert rows(lane.decide(170)) == ["d"]


def test_a_preferred_size_does_not_wait():
    """The largest that is reached; when the delay is over all go."""
    lane = OldestLane(OldestPolicy(10, 8, 100, frozenset({2, 4})))
    for key in "abc":
        enter(lane, key, 0)
    assert rows(lane.decide(99)) == ["a", "b"]
    assert lane.decide(99) == WaitUntil(100)

    for key in "de":
        enter(lane, key, 99)
    assert rows(lane.decide(100)) == ["c", "d", "e"]


def test_another_shape_closes_a_batch():
    """It does not wait for the delay."""
    lane = OldestLane(OldestPolicy(10, 8, 100))
    enter(lane, "a", 0, shape_key="wide")
    enter(lane, "b", 1, shape_key="narrow")

    assert rows(lane.decide(1)) == ["a"]
    assert lane.decide(1) == WaitUntil(101)


def test_order_is_preserved_across_sequences_when_asked_for():
    """A request never overtakes an older one that waits for its own predecessor."""
    for preserve, expected in ((False, ["a", "b", "c"]), (True, ["a", "b"])):
        lane = OldestLane(OldestPolicy(10, 8, preserve_ordering=preserve))
        enter(lane, "a", 0, 3)
        enter(lane, "b", 1, 5)
        enter(lane, "c", 4)
        assert rows(lane.decide(9)) == expected


def test_a_batch_does_not_wait_until_a_deadline_cannot_be_met():
    """It starts ample time before it, not earlier."""
    lane = OldestLane(OldestPolicy(10, 4, max_queue_delay_ns=100))
    enter(lane, "a", 0)
    enter(lane, "b", 1, deadline_ns=60)
    enter(lane, "c", 2, deadline_ns=50)

    assert lane.decide(2, 20) == WaitUntil(30)
    assert lane.decide(29, 20) == WaitUntil(30)
    assert rows(lane.decide(30, 20)) == ["a", "b", "c"]


def test_a_far_deadline_does_not_lengthen_the_delay():
    """The delay ends first."""
    lane = OldestLane(OldestPolicy(10, 4, max_queue_delay_ns=100))
    enter(lane, "a", 0, deadline_ns=500)

    assert lane.decide(2, 20) == WaitUntil(100)
    assert rows(lane.decide(100, 20)) == ["a"]


def test_why_a_batch_closed():
    """Nobody else waits, a preferred size, the largest size, the delay, another shape."""
    for policy, keys, now, reason in [
        (OldestPolicy(9, 4), [None, None], 0, "idle"),
        (OldestPolicy(9, 2), [None, None, None], 0, "full"),
        (OldestPolicy(9, 2), [None, None], 0, "full"),
        (OldestPolicy(9, 4, 10, frozenset([2])), [None, None, None], 0, "preferred"),
        (OldestPolicy(9, 4, 10, frozenset([2])), [None, None, None], 10, "delay"),
        (OldestPolicy(9, 4, 10), [None, 1], 0, "shape"),
    ]:
        lane = OldestLane(policy)
        for number, key in enumerate(keys):
            enter(lane, number, 0, shape_key=key)
        assert lane.decide(now).reason == reason, policy


def test_a_batch_closes_where_the_next_request_may_not_overtake():
    """An older request of a sequence that is in the batch already."""
    lane = OldestLane(OldestPolicy(9, 4, preserve_ordering=True))
    enter(lane, "a", 1, 2)
    enter(lane, "b", 3)
    decision = lane.decide(5)

    assert (rows(decision), decision.reason) == (["a"], "order")


def test_sequences_are_counted():
    """Those that have entered and not left."""
    lane = OldestLane(OldestPolicy(9))
    sequence = enter(lane, "a", 0)
    enter(lane, "b", 0)
    assert lane.used == 2
    lane.sleep(sequence)
    lane.leave(sequence)

    assert lane.used == 1


def test_a_lane_has_work_while_a_request_waits():
    """Not before one came, and not when it was taken."""
    lane = OldestLane(OldestPolicy(2, 2))
    before = lane.has_work
    enter(lane, "a", 0)
    waiting = lane.has_work
    lane.decide(0)

    assert (before, waiting, lane.has_work) == (False, True, False)
