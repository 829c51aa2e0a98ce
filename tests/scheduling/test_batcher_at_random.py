"""The batcher under random operations, beside a list that is sorted."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferd.scheduling.batcher import Batcher, Dispatch, WaitUntil
from inferd.scheduling.policy import PLAIN, BatchPolicy, PriorityPolicy, QueuePolicy
from inferd.scheduling.queue import Full
from tests.scheduling.queued import Queued

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
