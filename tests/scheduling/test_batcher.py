"""The batcher's decisions, on every boundary and under random operations."""

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferd.scheduling.batcher import Batcher, Dispatch, Idle, WaitUntil
from inferd.scheduling.policy import BatchPolicy

MS = 1_000_000


@dataclass(eq=False)
class Queued:
    """A queued request."""

    rows: int = 1
    shape_key: object = None
    enqueued_ns: int = 0
    discarded: bool = False


def batcher(max_rows=4, delay_ns=0, preferred=(), combines=True):
    """Return an empty batcher."""
    return Batcher(BatchPolicy(max_rows, combines, delay_ns, frozenset(preferred)))


def filled(queue, *entries):
    """Queue entries and return them."""
    for entry in entries:
        queue.add(entry)
    return list(entries)


class TestWithoutDelay:
    """A delay of 0: what is there goes."""

    def test_an_empty_queue_is_idle(self):
        """There is nothing to execute and nothing to wait for."""
        assert isinstance(batcher().decide(0), Idle)

    def test_everything_that_fits_is_one_batch(self):
        """Requests of one turn are executed together."""
        queue = batcher()
        entries = filled(queue, Queued(), Queued(rows=2))

        assert queue.decide(0) == Dispatch(entries)
        assert isinstance(queue.decide(0), Idle)

    def test_a_batch_may_be_exactly_full(self):
        """A batch of max_batch_size rows is allowed."""
        queue = batcher(max_rows=4)
        entries = filled(queue, Queued(rows=3), Queued(rows=1))

        assert queue.decide(0) == Dispatch(entries)

    def test_one_row_more_waits_for_the_next_batch(self):
        """A batch never exceeds max_batch_size rows."""
        queue = batcher(max_rows=4)
        first, second = filled(queue, Queued(rows=3), Queued(rows=2))

        assert queue.decide(0) == Dispatch([first])
        assert queue.decide(0) == Dispatch([second])

    def test_a_request_of_no_rows_counts_as_one(self):
        """Empty requests cannot make a batch endless."""
        queue = batcher(max_rows=2)
        entries = filled(queue, Queued(rows=0), Queued(rows=0), Queued(rows=0))

        assert queue.decide(0) == Dispatch(entries[:2])

    def test_another_shape_closes_the_batch(self):
        """Requests of different shapes never mix, and keep their order."""
        queue = batcher()
        a, b, c = filled(queue, Queued(shape_key=1), Queued(shape_key=2), Queued(shape_key=1))

        assert [queue.decide(0) for _ in range(3)] == [
            Dispatch([a]),
            Dispatch([b]),
            Dispatch([c]),
        ]

    def test_a_model_without_dynamic_batching_gets_one_request_at_a_time(self):
        """Triton's default scheduler does not combine."""
        queue = batcher(combines=False)
        first, second = filled(queue, Queued(), Queued())

        assert [queue.decide(0), queue.decide(0)] == [Dispatch([first]), Dispatch([second])]


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
        assert queue.decide(6 * MS) == Dispatch(entries)

    def test_a_full_batch_does_not_wait(self):
        """Waiting could not make it larger."""
        queue = batcher(max_rows=2, delay_ns=5 * MS)
        entries = filled(queue, Queued(), Queued())

        assert queue.decide(0) == Dispatch(entries)

    def test_a_request_that_does_not_fit_ends_the_wait(self):
        """The batch in front is as large as it will get."""
        queue = batcher(max_rows=4, delay_ns=5 * MS)
        first, _ = filled(queue, Queued(rows=3), Queued(rows=2))

        assert queue.decide(0) == Dispatch([first])

    def test_a_preferred_size_does_not_wait(self):
        """Reaching a preferred size dispatches the largest one reached."""
        queue = batcher(max_rows=8, delay_ns=5 * MS, preferred=(2, 4))
        entries = filled(queue, *(Queued() for _ in range(5)))

        assert queue.decide(0) == Dispatch(entries[:4])
        assert queue.decide(0) == WaitUntil(5 * MS)

    def test_a_due_batch_takes_more_than_the_preferred_size(self):
        """Once the delay is over nothing is held back."""
        queue = batcher(max_rows=8, delay_ns=5 * MS, preferred=(2,))
        entries = filled(queue, Queued(), Queued(), Queued())

        assert queue.decide(5 * MS) == Dispatch(entries)


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

        assert queue.decide(0) == Dispatch([first, third])


class _Machine(RuleBasedStateMachine):
    """Adds, discards and decides at random."""

    @initialize(
        max_rows=st.integers(1, 8),
        delay_ns=st.sampled_from([0, 1, 5]),
        preferred=st.frozensets(st.integers(1, 8), max_size=2),
        combines=st.booleans(),
    )
    def begin(self, max_rows, delay_ns, preferred, combines):
        """Start empty."""
        self.policy = BatchPolicy(max_rows, combines, delay_ns, preferred)
        self.queue = Batcher(self.policy)
        self.now = 0
        self.waiting = []
        self.left = []

    @rule(rows=st.integers(0, 8), key=st.integers(0, 1))
    def add(self, rows, key):
        """A request arrives."""
        entry = Queued(min(rows, self.policy.max_rows), key, self.now)
        self.queue.add(entry)
        self.waiting.append(entry)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def discard(self, data):
        """A client goes away."""
        entry = data.draw(st.sampled_from(self.waiting))
        assert self.queue.discard(entry)
        self.waiting.remove(entry)
        self.left.append(entry)

    @rule(step=st.integers(0, 6))
    def decide(self, step):
        """Time passes and the shell asks."""
        self.now += step
        decision = self.queue.decide(self.now)
        if isinstance(decision, Dispatch):
            batch = decision.entries
            assert batch == self.waiting[: len(batch)]
            assert len({entry.shape_key for entry in batch}) == 1
            rows = sum(entry.rows or 1 for entry in batch)
            assert rows <= self.policy.max_rows
            assert self.policy.combines or len(batch) == 1
            self.left += batch
            del self.waiting[: len(batch)]
        elif isinstance(decision, WaitUntil):
            assert decision.at_ns > self.now
            assert decision.at_ns == self.waiting[0].enqueued_ns + self.policy.max_queue_delay_ns
        else:
            assert not self.waiting

    @invariant()
    def count(self):
        """The length is the number of requests that wait, and nobody leaves twice."""
        assert len(self.queue) == len(self.waiting)
        assert len(set(map(id, self.left))) == len(self.left)


test_every_entry_leaves_exactly_once = _Machine.TestCase
