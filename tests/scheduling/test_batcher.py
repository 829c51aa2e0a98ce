"""The batcher's decisions, on every boundary and under random operations."""

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferd.scheduling.batcher import Batcher, Dispatch, Idle, WaitUntil
from inferd.scheduling.policy import PLAIN, BatchPolicy, PriorityPolicy, QueuePolicy
from inferd.scheduling.queue import Full
from inferd.scheduling.snapshot import QueueLevel

MS = 1_000_000


@dataclass(eq=False)
class Queued:
    """A queued request."""

    rows: int = 1
    shape_key: object = None
    enqueued_ns: int = 0
    priority: int = 0
    timeout_us: int = 0
    deadline_ns: int = 0


def batcher(max_rows=4, delay_ns=0, preferred=(), combines=True, priorities=PLAIN):
    """Return an empty batcher."""
    return Batcher(BatchPolicy(max_rows, combines, delay_ns, frozenset(preferred), priorities))


def filled(queue, *entries):
    """Queue entries and return them."""
    for entry in entries:
        assert queue.add(entry) is None
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


_POLICIES = st.builds(
    QueuePolicy,
    max_size=st.integers(0, 3),
    timeout_ns=st.sampled_from([0, 2000, 5000]),
    allow_override=st.booleans(),
    delays=st.booleans(),
)
_PRIORITIES = st.integers(1, 3).flatmap(
    lambda levels: st.builds(
        PriorityPolicy,
        levels=st.just(levels),
        default_level=st.integers(1, levels),
        default=_POLICIES,
        by_level=st.dictionaries(st.integers(1, levels), _POLICIES, max_size=2),
    )
)


class _Machine(RuleBasedStateMachine):
    """Adds, discards, lets time pass and decides at random, beside a list that is sorted."""

    @initialize(
        max_rows=st.integers(1, 8),
        delay_ns=st.sampled_from([0, 1, 3000]),
        preferred=st.frozensets(st.integers(1, 8), max_size=2),
        combines=st.booleans(),
        priorities=st.just(PLAIN) | _PRIORITIES,
        heeds=st.booleans(),
    )
    def begin(self, max_rows, delay_ns, preferred, combines, priorities, heeds):
        """Start empty."""
        self.policy = BatchPolicy(max_rows, combines, delay_ns, preferred, priorities)
        self.queue = Batcher(self.policy)
        self.heeds = heeds
        if heeds:
            self.queue.heed_deadlines()
        self.now = 0
        self.moves = 0
        self.waiting = {}
        self.left = []

    def place(self, entry):
        """Return an entry's place in line: its level, whether it is delayed, since when."""
        delayed, since, _ = self.waiting[entry]
        return self.policy.priorities.level_of(entry.priority), delayed, since

    def line(self):
        """Return the entries in the order they must be executed."""
        return sorted(self.waiting, key=self.place)

    def limits(self, entry):
        """Return the queue policy that holds for an entry."""
        priorities = self.policy.priorities
        return priorities.of(priorities.level_of(entry.priority))

    def leave(self, *entries):
        """Note that entries left the queue."""
        self.left += entries
        for entry in entries:
            del self.waiting[entry]

    @rule(
        rows=st.integers(0, 8),
        key=st.integers(0, 1),
        priority=st.integers(0, 4),
        timeout_us=st.integers(0, 4),
        left_ns=st.sampled_from([0, 0, 1, 1000, 4000]),
    )
    def add(self, rows, key, priority, timeout_us, left_ns):
        """A request arrives; a full level refuses it."""
        deadline_ns = self.now + left_ns if left_ns and self.heeds else 0
        entry = Queued(
            min(rows, self.policy.max_rows), key, self.now, priority, timeout_us, deadline_ns
        )
        limits, level = self.limits(entry), self.policy.priorities.level_of(priority)
        same = [one for one in self.waiting if self.place(one)[0] == level]
        full = bool(limits.max_size) and len(same) >= limits.max_size
        assert self.queue.add(entry) == (Full(limits.max_size) if full else None)
        if not full:
            self.moves += 1
            timeout_ns = limits.timeout_for(timeout_us)
            over_ns = self.now + timeout_ns if timeout_ns else None
            self.waiting[entry] = (False, self.moves, over_ns)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def discard(self, data):
        """A client goes away, once."""
        entry = data.draw(st.sampled_from(list(self.waiting)))
        assert self.queue.discard(entry)
        assert not self.queue.discard(entry)
        self.leave(entry)

    def due(self):
        """Return the entries whose timeout is over, in the order it was."""
        over = [(found[2], found[1], entry) for entry, found in self.waiting.items() if found[2]]
        return [
            entry for at_ns, _, entry in sorted(over, key=lambda one: one[:2]) if at_ns <= self.now
        ]

    def expire(self):
        """Compare what the queue rejects and delays with what is due."""
        rejected = []
        for entry in self.due():
            if self.limits(entry).delays:
                self.moves += 1
                self.waiting[entry] = (True, self.moves, None)
            else:
                rejected.append(entry)
        assert list(self.queue.expire(self.now)) == rejected
        self.leave(*rejected)

    def drop_overdue(self, least_ns):
        """Compare what the queue gives up with the deadlines it cannot meet."""
        by_ns = self.now + least_ns
        due = [entry for entry in self.waiting if 0 < entry.deadline_ns <= by_ns]
        overdue = list(self.queue.overdue(by_ns))
        assert set(overdue) == set(due)
        assert overdue == sorted(overdue, key=lambda entry: entry.deadline_ns)
        self.leave(*overdue)

    @rule(
        step=st.sampled_from([0, 1, 500, 1000, 2999]),
        least_ns=st.sampled_from([0, 1, 700]),
        more_ns=st.sampled_from([0, 300]),
    )
    def decide(self, step, least_ns, more_ns):
        """Time passes and the shell asks."""
        self.now += step
        self.expire()
        self.drop_overdue(least_ns)
        line = self.line()
        ample_ns = least_ns + more_ns
        decision = self.queue.decide(self.now, ample_ns)
        if isinstance(decision, Dispatch):
            self.check_batch(decision.entries, line)
            if decision.reason == "deadline":
                assert min(self.deadlines()) - ample_ns <= self.now
            self.leave(*decision.entries)
        elif isinstance(decision, WaitUntil):
            self.check_wait(decision.at_ns, line, ample_ns)
        else:
            assert not line

    def check_batch(self, batch, line):
        """A batch is the front of the line, of one shape, and not too large."""
        assert batch
        assert batch == line[: len(batch)]
        assert len({entry.shape_key for entry in batch}) == 1
        assert sum(entry.rows or 1 for entry in batch) <= self.policy.max_rows
        assert self.policy.combines or len(batch) == 1

    def deadlines(self):
        """Return the deadlines of the entries that wait."""
        return [entry.deadline_ns for entry in self.waiting if entry.deadline_ns]

    def check_wait(self, at_ns, line, ample_ns):
        """It waits only for a batch that can grow, and not longer than anybody may wait."""
        due_ns = min(entry.enqueued_ns for entry in line) + self.policy.max_queue_delay_ns
        timeouts = [found[2] for found in self.waiting.values() if found[2]]
        starts = [deadline_ns - ample_ns for deadline_ns in self.deadlines()]
        assert at_ns == min([due_ns, *timeouts, *starts])
        assert at_ns > self.now
        assert len({entry.shape_key for entry in line}) == 1
        assert sum(entry.rows or 1 for entry in line) < self.policy.max_rows

    @invariant()
    def count(self):
        """The length is the number of requests that wait, and nobody leaves twice."""
        assert len(self.queue) == len(self.waiting)
        assert len(set(map(id, self.left))) == len(self.left)
        timeouts = [found[2] for found in self.waiting.values() if found[2]]
        assert self.queue.next_timeout_ns() == min(timeouts, default=None)
        assert self.queue.next_deadline_ns() == min(self.deadlines(), default=None)


test_every_entry_leaves_exactly_once = _Machine.TestCase


def test_levels_are_the_queues():
    """What was dispatched waits no more."""
    queue = batcher(1)
    filled(queue, Queued(), Queued(enqueued_ns=1_000))
    queue.decide(0)

    assert queue.levels(3_000) == [QueueLevel(1, 1, 0, 2)]
