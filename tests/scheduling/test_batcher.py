"""The batcher's decisions, on every boundary."""

from inferd.scheduling.batcher import Dispatch, Idle, WaitUntil
from inferd.scheduling.policy import PriorityPolicy, QueuePolicy
from inferd.scheduling.queue import Full
from inferd.scheduling.snapshot import QueueLevel
from tests.scheduling.queued import Queued, batcher, filled

MS = 1_000_000


class TestWithoutDelay:
    """A delay of 0: what is there goes."""

    def test_an_empty_queue_is_idle(self):
        """There is nothing to execute and nothing to wait for."""
        assert isinstance(batcher().decide(0), Idle)

    def test_everything_that_fits_is_one_batch(self):
        """Requests of one turn are executed together."""
        queue = batcher()
        entries = filled(queue, Queued(), Queued(rows=2))

        assert queue.decide(0) == Dispatch(entries, "idle")
        assert isinstance(queue.decide(0), Idle)

    def test_a_batch_may_be_exactly_full(self):
        """A batch of max_batch_size rows is allowed."""
        queue = batcher(max_rows=4)
        entries = filled(queue, Queued(rows=3), Queued(rows=1))

        assert queue.decide(0) == Dispatch(entries, "full")

    def test_one_row_more_waits_for_the_next_batch(self):
        """A batch never exceeds max_batch_size rows."""
        queue = batcher(max_rows=4)
        first, second = filled(queue, Queued(rows=3), Queued(rows=2))

        assert queue.decide(0) == Dispatch([first], "full")
        assert queue.decide(0) == Dispatch([second], "idle")

    def test_a_request_of_no_rows_counts_as_one(self):
        """Empty requests cannot make a batch endless."""
        queue = batcher(max_rows=2)
        entries = filled(queue, Queued(rows=0), Queued(rows=0), Queued(rows=0))

        assert queue.decide(0) == Dispatch(entries[:2], "full")

    def test_the_largest_preferred_size_is_taken(self):
        """The rest is the next batch; nothing waits."""
        queue = batcher(max_rows=8, preferred=(2, 4))
        entries = filled(queue, *(Queued() for _ in range(5)))

        assert queue.decide(0) == Dispatch(entries[:4], "preferred")
        assert queue.decide(0) == Dispatch(entries[4:], "idle")

    def test_another_shape_closes_the_batch(self):
        """Requests of different shapes never mix, and keep their order."""
        queue = batcher()
        a, b, c = filled(queue, Queued(shape_key=1), Queued(shape_key=2), Queued(shape_key=1))

        assert [queue.decide(0) for _ in range(3)] == [
            Dispatch([a], "shape"),
            Dispatch([b], "shape"),
            Dispatch([c], "idle"),
        ]

    def test_a_model_without_dynamic_batching_gets_one_request_at_a_time(self):
        """Triton's default scheduler does not combine."""
        queue = batcher(combines=False)
        first, second = filled(queue, Queued(), Queued())

        assert [queue.decide(0), queue.decide(0)] == [
            Dispatch([first], "full"),
            Dispatch([second], "full"),
        ]


class TestWithDelay:
    """A delay: the oldest request decides how long to wait."""

    def test_it_waits_until_the_oldest_request_is_due(self):
        """The delay counts from the arrival of the oldest."""
        queue = batcher(delay_ns=5 * MS)
        filled(queue, Queued(enqueued_ns=1 * MS), Queued(enqueued_ns=3 * MS))

        assert queue.decide(4 * MS) == WaitUntil(6 * MS)

    def test_it_dispatches_exactly_when_due(self):
        """At the delay, not after it."""
        queue = batcher(delay_ns=5 * MS)
        entries = filled(queue, Queued(enqueued_ns=1 * MS))

        assert queue.decide(6 * MS - 1) == WaitUntil(6 * MS)
        assert queue.decide(6 * MS) == Dispatch(entries, "delay")

    def test_a_full_batch_does_not_wait(self):
        """Waiting could not make it larger."""
        queue = batcher(max_rows=2, delay_ns=5 * MS)
        entries = filled(queue, Queued(), Queued())

        assert queue.decide(0) == Dispatch(entries, "full")

    def test_a_request_that_does_not_fit_ends_the_wait(self):
        """The batch in front is as large as it will get."""
        queue = batcher(max_rows=4, delay_ns=5 * MS)
        first, _ = filled(queue, Queued(rows=3), Queued(rows=2))

        assert queue.decide(0) == Dispatch([first], "full")

    def test_a_preferred_size_does_not_wait(self):
        """Reaching a preferred size dispatches the largest one reached."""
        queue = batcher(max_rows=8, delay_ns=5 * MS, preferred=(2, 4))
        entries = filled(queue, *(Queued() for _ in range(5)))

        assert queue.decide(0) == Dispatch(entries[:4], "preferred")
        assert queue.decide(0) == WaitUntil(5 * MS)

    def test_a_full_batch_is_preferred(self):
        """Whatever sizes the config names."""
        queue = batcher(max_rows=4, delay_ns=5 * MS, preferred=(2,))
        entries = filled(queue, *(Queued() for _ in range(4)))

        assert queue.decide(0) == Dispatch(entries, "full")

    def test_a_preferred_size_is_chosen_before_another_shape(self):
        """What is left over goes by itself."""
        queue = batcher(max_rows=8, delay_ns=5 * MS, preferred=(2,))
        a, b, c, _ = filled(queue, Queued(), Queued(), Queued(), Queued(shape_key=1))

        assert queue.decide(0) == Dispatch([a, b], "preferred")
        assert queue.decide(0) == Dispatch([c], "shape")

    def test_a_due_batch_takes_more_than_the_preferred_size(self):
        """Once the delay is over nothing is held back."""
        queue = batcher(max_rows=8, delay_ns=5 * MS, preferred=(2,))
        entries = filled(queue, Queued(), Queued(), Queued())

        assert queue.decide(5 * MS) == Dispatch(entries, "delay")


class TestDiscard:
    """A client takes its request back."""

    def test_a_discarded_request_is_not_executed(self):
        """Cancelled in the queue means the work is not done."""
        queue = batcher()
        first, second, third = filled(queue, Queued(), Queued(), Queued())

        assert queue.discard(second)
        assert len(queue) == 2
        assert queue.decide(0) == Dispatch([first, third])

    def test_discarding_the_oldest_moves_the_due_time(self):
        """Nobody waits for a request that is gone."""
        queue = batcher(delay_ns=5 * MS)
        first, _ = filled(queue, Queued(enqueued_ns=0), Queued(enqueued_ns=2 * MS))
        queue.discard(first)

        assert queue.decide(5 * MS) == WaitUntil(7 * MS)

    def test_discarding_everything_leaves_it_idle(self):
        """No timer is left for an empty queue."""
        queue = batcher(delay_ns=5 * MS)
        (entry,) = filled(queue, Queued())
        queue.discard(entry)

        assert isinstance(queue.decide(0), Idle)

    def test_discarding_twice_counts_once(self):
        """The second call says that there was nothing to take back."""
        queue = batcher()
        (entry,) = filled(queue, Queued())

        assert [queue.discard(entry), queue.discard(entry)] == [True, False]
        assert len(queue) == 0

    def test_discarded_requests_in_the_middle_do_not_shorten_a_batch(self):
        """The scan looks past them."""
        queue = batcher(max_rows=2, delay_ns=5 * MS)
        first, second, third = filled(queue, Queued(), Queued(), Queued())
        queue.discard(second)

        assert queue.decide(0) == Dispatch([first, third], "full")


class TestPriorities:
    """Levels, limits and timeouts."""

    def test_a_batch_is_filled_by_priority(self):
        """And goes on with the next level when there is room."""
        queue = batcher(max_rows=3, priorities=PriorityPolicy(2, 2))
        low, low2, high, high2 = filled(queue, *(Queued(priority=p) for p in (2, 2, 1, 1)))

        assert queue.decide(0) == Dispatch([high, high2, low], "full")
        assert queue.decide(0) == Dispatch([low2])

    def test_the_delay_counts_from_the_oldest_of_any_level(self):
        """A low priority does not wait longer than the config says."""
        queue = batcher(delay_ns=5 * MS, priorities=PriorityPolicy(2, 2))
        filled(
            queue, Queued(enqueued_ns=1 * MS, priority=2), Queued(enqueued_ns=3 * MS, priority=1)
        )

        assert queue.decide(4 * MS) == WaitUntil(6 * MS)

    def test_it_waits_no_longer_than_the_next_timeout(self):
        """Also when the delay is longer."""
        priorities = PriorityPolicy(default=QueuePolicy(timeout_ns=2 * MS))
        queue = batcher(delay_ns=5 * MS, priorities=priorities)
        (entry,) = filled(queue, Queued(enqueued_ns=1 * MS))

        assert queue.decide(1 * MS) == WaitUntil(3 * MS)
        assert queue.next_timeout_ns() == 3 * MS
        assert queue.expire(3 * MS) == [entry]
        assert isinstance(queue.decide(3 * MS), Idle)

    def test_it_waits_no_longer_than_the_delay(self):
        """Also when the timeout is longer."""
        priorities = PriorityPolicy(default=QueuePolicy(timeout_ns=9 * MS))
        queue = batcher(delay_ns=5 * MS, priorities=priorities)
        filled(queue, Queued())

        assert queue.decide(0) == WaitUntil(5 * MS)

    def test_a_full_queue_says_so(self):
        """Until a batch has left."""
        queue = batcher(priorities=PriorityPolicy(default=QueuePolicy(max_size=1)))
        first, second = Queued(), Queued()

        assert [queue.add(first), queue.add(second)] == [None, Full(1)]
        assert queue.decide(0) == Dispatch([first])
        assert queue.add(second) is None


def timed(**more):
    """Return an empty batcher that heeds deadlines."""
    queue = batcher(**more)
    queue.heed_deadlines()
    return queue


class TestDeadlines:
    """What comes too late is not executed, and nothing waits beyond what is in time."""

    def test_a_request_is_overdue_at_its_deadline(self):
        """An answer at that very time is too late; one nanosecond before is not."""
        queue = timed()
        first, second, _ = filled(
            queue, Queued(deadline_ns=7), Queued(deadline_ns=5), Queued(deadline_ns=0)
        )

        assert queue.next_deadline_ns() == 5
        assert list(queue.overdue(4)) == []
        assert list(queue.overdue(5)) == [second]
        assert len(queue) == 2
        assert list(queue.overdue(10**18)) == [first]
        assert (len(queue), queue.next_deadline_ns()) == (1, None)

    def test_without_deadlines_nothing_is_overdue(self):
        """Whatever the time."""
        queue = batcher()
        filled(queue, Queued())

        assert list(queue.overdue(10**18)) == []
        assert queue.next_deadline_ns() is None

    def test_requests_that_left_are_not_overdue(self):
        """Executed, taken back or timed out."""
        priorities = PriorityPolicy(default=QueuePolicy(timeout_ns=2))
        queue = timed(max_rows=1, priorities=priorities)
        _, second, _ = filled(queue, *(Queued(deadline_ns=5, enqueued_ns=one) for one in (0, 0, 1)))
        queue.decide(0)
        queue.discard(second)
        assert len(queue.expire(3)) == 1

        assert queue.next_deadline_ns() is None
        assert list(queue.overdue(5)) == []

    def test_a_request_that_was_refused_is_not_overdue(self):
        """It was never queued."""
        queue = timed(priorities=PriorityPolicy(default=QueuePolicy(max_size=1)))
        filled(queue, Queued())

        assert queue.add(Queued(deadline_ns=5)) == Full(1)
        assert queue.next_deadline_ns() is None

    def test_a_delayed_request_still_has_its_deadline(self):
        """Its timeout is over, and it waits behind the others."""
        priorities = PriorityPolicy(default=QueuePolicy(timeout_ns=2, delays=True))
        queue = timed(priorities=priorities)
        (entry,) = filled(queue, Queued(deadline_ns=5))
        assert queue.expire(2) == []

        assert list(queue.overdue(5)) == [entry]
        assert isinstance(queue.decide(5), Idle)

    def test_a_batch_closes_when_a_deadline_leaves_no_time(self):
        """Ample time before it, not earlier; the other requests go along."""
        queue = timed(delay_ns=9 * MS)
        entries = filled(queue, Queued(), Queued(deadline_ns=5 * MS), Queued(deadline_ns=6 * MS))

        assert queue.decide(0, 2 * MS) == WaitUntil(3 * MS)
        assert queue.decide(3 * MS - 1, 2 * MS) == WaitUntil(3 * MS)
        assert queue.decide(3 * MS, 2 * MS) == Dispatch(entries, "deadline")

    def test_a_far_deadline_does_not_lengthen_the_delay(self):
        """The delay ends first."""
        queue = timed(delay_ns=9 * MS)
        entries = filled(queue, Queued(deadline_ns=12 * MS))

        assert queue.decide(0, 2 * MS) == WaitUntil(9 * MS)
        assert queue.decide(9 * MS, 2 * MS) == Dispatch(entries, "delay")

    def test_a_timeout_before_the_deadline_ends_the_wait(self):
        """It is rejected then."""
        priorities = PriorityPolicy(default=QueuePolicy(timeout_ns=2 * MS))
        queue = timed(delay_ns=9 * MS, priorities=priorities)
        filled(queue, Queued(deadline_ns=5 * MS))

        assert queue.decide(0, 1 * MS) == WaitUntil(2 * MS)

    def test_deadlines_may_be_heeded_from_any_time_on(self):
        """What is queued already has none; asking twice changes nothing."""
        queue = batcher()
        before, after = filled(queue, Queued())[0], Queued(deadline_ns=5)
        queue.heed_deadlines()
        assert queue.add(after) is None
        queue.heed_deadlines()

        assert list(queue.overdue(5)) == [after]
        assert queue.decide(5) == Dispatch([before])


def test_levels_are_the_queues():
    """What was dispatched waits no more."""
    queue = batcher(1)
    filled(queue, Queued(), Queued(enqueued_ns=1_000))
    queue.decide(0)

    assert queue.levels(3_000) == [QueueLevel(1, 1, 0, 2)]
