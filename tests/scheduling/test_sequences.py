"""Live sequences: their places, the backlog, idle times, and requests that are taken back."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferd._generated.inference import ModelSequenceBatching
from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferRequest
from inferd.scheduling.batcher import IDLE
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_rows import Execute
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequences import DEFAULT_IDLE_NS, SequenceTable, idle_ns


class Step:
    """A queued request."""

    def __init__(self, key=7, *, start=False, end=False, rows=1, at=0, shape_key=None, once=False):
        self.request = InferRequest(
            "m", {}, sequence_id=key, sequence_start=start, sequence_end=end
        )
        self.request.batch_size = rows
        self.shape_key = shape_key
        self.enqueued_ns = at
        self.discarded = self.again = False
        self.once = once


def table(slots=1, lanes=1, idle=100):
    """Return a table of the direct strategy."""
    return SequenceTable("m", [DirectLane(slots) for _ in range(lanes)], idle)


def add(sequences, key=7, *, at=0, **flags):
    """Queue a request and return it."""
    step = Step(key, at=at, **flags)
    sequences.admit(step, at)
    return step


def run(sequences, now=0, lane=0):
    """Execute what the lane has; return (key, START, END) of each row."""
    decision = sequences.decide(lane, now)
    if decision is IDLE:
        return []
    sequences.finish(decision.rows, now)
    return [(row.key, row.start, row.end) for row in decision.rows if row.ready]


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


class TestIterations:
    """Requests that are executed again."""

    def iterate(self, sequences, now, *again):
        """Execute what the lane has, some keys again; return (key, START, END) of each row."""
        rows = sequences.decide(0, now).rows
        sequences.finish(rows, now, {n for n, row in enumerate(rows) if row.key in again})
        return [(row.key, row.start, row.end) for row in rows if row.ready]

    def test_a_request_is_executed_until_it_is_not_rescheduled(self):
        """START is told once, END never, and then its place is free."""
        sequences = table()
        add(sequences, 1, start=True, once=True)

        assert [self.iterate(sequences, now, *key) for now, key in enumerate([[1], [1], []])] == [
            [(1, True, False)], [(1, False, False)], [(1, False, False)]
        ]  # fmt: skip
        assert len(sequences) == sequences.queued == 0
        assert sequences.lanes_used == [0]

    def test_it_counts_as_queued_in_between(self):
        """Since the time it was executed."""
        sequences = table()
        add(sequences, 1, start=True, once=True, at=3)
        self.iterate(sequences, 8, 1)

        assert (sequences.queued, sequences.oldest_ns()) == (1, 8)

    def test_an_end_that_is_rescheduled_ends_the_sequence_later(self):
        """With its last execution; other requests of the sequence come after it."""
        sequences = table()
        add(sequences, start=True)
        add(sequences, end=True)

        found = [self.iterate(sequences, 0, *key) for key in ([7], [], [7], [])]
        assert found == [
            [(7, True, False)], [(7, False, False)], [(7, False, True)], [(7, False, False)]
        ]  # fmt: skip
        assert len(sequences) == 0

    def test_it_goes_behind_other_sequences(self):
        """Those that wait since before the end of its execution."""
        sequences = SequenceTable("m", [OldestLane(OldestPolicy(3))], 100)
        for key in (1, 2, 3):
            add(sequences, key, start=True, once=True, at=key)

        assert [self.iterate(sequences, now, 1, 2, 3)[0][0] for now in range(3, 9)] == [
            1, 2, 3, 1, 2, 3
        ]  # fmt: skip

    def test_one_that_is_taken_back_between_executions_is_over(self):
        """Its place is free for the next."""
        sequences = table()
        step = add(sequences, 1, start=True, once=True)
        add(sequences, 2, start=True, once=True)
        self.iterate(sequences, 0, 1)
        assert sequences.discard(step)
        assert not sequences.discard(step)

        assert self.iterate(sequences, 0) == [(2, True, False)]
        assert len(sequences) == sequences.backlog == 0

    def test_one_of_a_client_id_that_is_taken_back_leaves_its_sequence(self):
        """The next request of it is no START."""
        sequences = table()
        step = add(sequences, start=True)
        add(sequences, end=True)
        self.iterate(sequences, 0, 7)
        sequences.discard(step)

        assert self.iterate(sequences, 0) == [(7, False, True)]

    def test_it_is_not_idle_between_executions(self):
        """However long the instance is busy with others."""
        sequences = table()
        add(sequences, 1, start=True, once=True)
        self.iterate(sequences, 0, 1)

        assert sequences.expire(1000) == []
        assert self.iterate(sequences, 1000) == [(1, False, False)]

    def test_a_client_that_uses_the_id_of_one_has_a_sequence_of_its_own(self):
        """Which waits for a place like any other."""
        sequences = table()
        add(sequences, 1, start=True, once=True)
        rows = sequences.decide(0, 0).rows
        add(sequences, 2, start=True, end=True)
        add(sequences, 1, start=True)
        add(sequences, 1, end=True)
        sequences.finish(rows, 0)

        assert [run(sequences) for _ in range(3)] == [
            [(2, True, True)], [(1, True, False)], [(1, False, True)]
        ]  # fmt: skip
        assert len(sequences) == 0

    @pytest.mark.parametrize("text", [False, True])
    def test_new_ids_are_nobodys(self, text):
        """Whether ids are numbers or text."""
        sequences = table(9)
        for key in (1, 2, 4):
            add(sequences, str(key) if text else key, start=True)

        assert [sequences.new_id() for _ in range(3)] == [3, 5, 6]


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
