"""When time limits are over, on the boundary and after entries were taken out."""

import gc
import weakref

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inferd.scheduling.timeouts import Timeouts


class Entry:
    """Anything that can be told apart."""


def test_without_entries_there_is_nothing_to_wait_for():
    """No timer is needed."""
    timeouts = Timeouts()

    assert timeouts.next_ns() is None
    assert list(timeouts.take_due(10**18)) == []


def test_a_time_limit_is_over_at_its_time():
    """Not before, and not one nanosecond later."""
    timeouts = Timeouts()
    timeouts.add("a", 5)

    assert timeouts.next_ns() == 5
    assert list(timeouts.take_due(4)) == []
    assert list(timeouts.take_due(5)) == ["a"]
    assert len(timeouts) == 0


def test_entries_come_out_by_time_and_then_by_arrival():
    """Whatever order they were added in."""
    timeouts = Timeouts()
    for name, at_ns in (("late", 9), ("first", 3), ("second", 3), ("never", 20)):
        timeouts.add(name, at_ns)

    assert list(timeouts.take_due(10)) == ["first", "second", "late"]
    assert timeouts.next_ns() == 20


def test_entries_of_the_same_time_come_out_by_arrival():
    """However many there are."""
    timeouts = Timeouts()
    for number in range(50):
        timeouts.add(number, 7)

    assert list(timeouts.take_due(7)) == list(range(50))


def test_a_removed_entry_is_not_waited_for():
    """The next one is."""
    timeouts = Timeouts()
    timeouts.add("a", 1)
    timeouts.add("b", 2)
    timeouts.remove("a")

    assert timeouts.next_ns() == 2
    assert list(timeouts.take_due(5)) == ["b"]


def test_removing_what_has_no_time_limit_changes_nothing():
    """Not every request has one."""
    timeouts = Timeouts()
    timeouts.add("a", 1)
    timeouts.remove("b")

    assert timeouts.next_ns() == 1


def test_a_removed_entry_is_let_go_at_once():
    """Its tensors may be large and its time far away."""
    timeouts = Timeouts()
    entry = Entry()
    seen = weakref.ref(entry)
    timeouts.add(entry, 10**15)
    timeouts.remove(entry)
    del entry
    gc.collect()

    assert seen() is None


def test_places_of_removed_entries_do_not_pile_up():
    """A long timeout and many short requests take no memory."""
    timeouts = Timeouts()
    timeouts.add("last", 10**9)
    for number in range(10_000):
        timeouts.add(number, number)
    for number in range(9_999, -1, -1):
        timeouts.remove(number)

    assert len(timeouts._heap) <= 64
    assert list(timeouts.take_due(10**9)) == ["last"]


class _Machine(RuleBasedStateMachine):
    """Adds, removes and lets time pass at random, beside a list that is sorted."""

    def __init__(self):
        super().__init__()
        self.timeouts = Timeouts()
        self.expected = {}
        self.added = 0
        self.now = 0

    @rule(after=st.integers(0, 5))
    def add(self, after):
        """An entry gets a time limit."""
        entry = Entry()
        self.added += 1
        self.expected[entry] = (self.now + after, self.added)
        self.timeouts.add(entry, self.now + after)

    @rule(data=st.data())
    def remove(self, data):
        """Any number of entries go, and one that never had a limit."""
        gone = [entry for entry in self.expected if data.draw(st.booleans())]
        self.timeouts.remove_all([*gone, Entry()])
        for entry in gone:
            del self.expected[entry]

    @rule()
    def clear(self):
        """All of them go."""
        self.timeouts.clear()
        self.expected.clear()

    @rule(step=st.integers(0, 3))
    def take_due(self, step):
        """Time passes."""
        self.now += step
        in_order = sorted(self.expected, key=self.expected.__getitem__)
        due = [entry for entry in in_order if self.expected[entry][0] <= self.now]
        assert self.timeouts.take_due(self.now) == due
        for entry in due:
            del self.expected[entry]

    @invariant()
    def count(self):
        """The number of entries and the next time are those of the list."""
        assert len(self.timeouts) == len(self.expected)
        next_ns = min((at_ns for at_ns, _ in self.expected.values()), default=None)
        assert self.timeouts.next_ns() == next_ns


test_it_is_a_sorted_list = _Machine.TestCase
