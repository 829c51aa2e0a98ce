"""Sequences of clients and instances that do as they like."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferd.errors import InvalidRequest
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_rows import Execute
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequences import SequenceTable
from tests.scheduling.sequenced import Step

KEYS = st.integers(1, 6)
IDLE_NS = 50


class SequencesMachine(RuleBasedStateMachine):
    """
    Clients that start, continue, end and take back at will, and instances that take their time.

    The model knows for each sequence which requests were admitted; the table must
    execute them in that order, on one instance, one at a time, each at most once.
    """

    lanes = ()
    rows = 1

    def __init__(self):
        super().__init__()
        self.made = [make() for make in self.lanes]
        self.rooms = [lane.room for lane in self.made]
        self.table = SequenceTable("m", self.made, IDLE_NS)
        self.now = 0
        self.waiting = []
        self.running = {}
        self.last = {}
        self.busy = {}

    @rule(key=KEYS, start=st.booleans(), end=st.booleans(), shape=st.sampled_from("aab"))
    def send(self, key, start, end, shape):
        """A request is queued or refused."""
        self.forget()
        step = Step(key, start=start, end=end, at=self.now, shape_key=shape)
        try:
            self.table.admit(step, self.now)
        except InvalidRequest:
            assert not start
        else:
            self.waiting.append(step)

    @rule(shape=st.sampled_from("aab"))
    def send_once(self, shape):
        """A request comes without an id."""
        self.forget()
        key = self.table.new_id()
        assert not any(step.request.sequence_id == key for step in self.waiting)
        step = Step(key, start=True, at=self.now, shape_key=shape, once=True)
        self.table.admit(step, self.now)
        self.waiting.append(step)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def take_back(self, data):
        """A client cancels."""
        step = data.draw(st.sampled_from(self.waiting))
        assert self.table.discard(step)
        self.waiting.remove(step)

    @rule(lane=st.integers(0, 1))
    def execute(self, lane):
        """A free instance asks for work."""
        if lane in self.running:
            return
        decision = self.table.decide(lane, self.now)
        if not isinstance(decision, Execute):
            return
        self.running[lane] = decision.rows
        assert len(decision.rows) <= self.rows
        assert len({row.entry.shape_key for row in decision.rows}) == 1
        ready = [row for row in decision.rows if row.ready]
        assert ready
        for row in ready:
            assert row.key not in self.busy
            self.busy[row.key] = lane
            first = next(one for one in self.waiting if one.request.sequence_id == row.key)
            assert row.entry is first
            self.waiting.remove(first)
            previous = self.last.pop(row.key, None)
            assert row.start or previous == (lane, row.sequence.slot)
            assert not (first.again and (row.start or row.end))
            if not (row.end or first.once):
                self.last[row.key] = (lane, row.sequence.slot)
        assert len({row.key for row in ready}) == len(ready)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data):
        """An instance is done."""
        lane = data.draw(st.sampled_from(sorted(self.running)))
        rows = self.running.pop(lane)
        again = data.draw(st.sets(st.sampled_from(range(len(rows)))))
        again = {index for index in again if rows[index].ready}
        self.table.finish(rows, self.now, again)
        for index, row in enumerate(rows):
            if row.ready:
                del self.busy[row.key]
            if index in again:
                self.waiting.insert(0, row.entry)
                self.last[row.key] = (lane, row.sequence.slot)

    @rule(elapsed=st.sampled_from([1, IDLE_NS, IDLE_NS + 1]))
    def wait(self, elapsed):
        """Time passes."""
        self.now += elapsed

    @rule()
    def forget(self):
        """Idle sequences expire; what they lose was still waiting."""
        for step in self.table.expire(self.now):
            self.waiting.remove(step)

    @invariant()
    def nothing_is_lost(self):
        """What was admitted and has not left is queued."""
        assert self.table.queued == len(self.waiting)
        assert self.table.backlog <= len(self.table)

    def teardown(self):
        """In the end every request is executed or expires, and no place is taken."""
        for lane in list(self.running):
            self.table.finish(self.running.pop(lane), self.now)
        for _ in range(200):
            self.now += IDLE_NS + 1
            self.forget()
            for lane in (0, 1):
                decision = self.table.decide(lane, self.now)
                if isinstance(decision, Execute):
                    for row in decision.rows:
                        if row.ready:
                            self.waiting.remove(row.entry)
                    self.table.finish(decision.rows, self.now)
        assert self.waiting == []
        assert len(self.table) == self.table.queued == self.table.backlog == 0
        assert [lane.room for lane in self.made] == self.rooms


class DirectMachine(SequencesMachine):
    """The direct strategy."""

    lanes = (lambda: DirectLane(2), lambda: DirectLane(2, 20, 1.0))
    rows = 2


class OldestMachine(SequencesMachine):
    """The oldest strategy."""

    lanes = (
        lambda: OldestLane(OldestPolicy(2, 2, 20, frozenset({2}))),
        lambda: OldestLane(OldestPolicy(1)),
    )
    rows = 2


MACHINE = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDirectMachine = DirectMachine.TestCase
TestDirectMachine.settings = MACHINE
TestOldestMachine = OldestMachine.TestCase
TestOldestMachine.settings = MACHINE
