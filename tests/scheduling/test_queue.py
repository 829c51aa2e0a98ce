"""Two queues: the plain one, and the one with levels, limits and timeouts."""

import gc
import weakref
from dataclasses import dataclass

import pytest

from inferd.scheduling.policy import PriorityPolicy, QueuePolicy
from inferd.scheduling.queue import FifoQueue, Full, PriorityQueue
from inferd.scheduling.snapshot import QueueLevel

US = 1000


@dataclass(eq=False)
class Queued:
    """A queued request."""

    priority: int = 0
    timeout_us: int = 0
    enqueued_ns: int = 0


def levels(count=1, default_level=1, default=None, **by_level):
    """Return an empty queue; ``p2=QueuePolicy()`` is level 2's policy."""
    policies = {int(name[1:]): policy for name, policy in by_level.items()}
    return PriorityQueue(PriorityPolicy(count, default_level, default or QueuePolicy(), policies))


def filled(queue, *entries):
    """Queue entries and return them."""
    for entry in entries:
        assert queue.add(entry) is None
    return list(entries)


@pytest.fixture(params=[FifoQueue, levels], ids=["fifo", "priority"])
def queue(request):
    """Both queues, empty and without limits."""
    return request.param()


class TestBoth:
    """What holds for either queue."""

    def test_entries_leave_in_the_order_they_came(self, queue):
        """Some first, the others later."""
        a, b, c = filled(queue, Queued(), Queued(), Queued())

        assert list(queue) == [a, b, c]
        assert queue.take(2) == [a, b]
        assert (len(queue), list(queue)) == (1, [c])
        assert queue.take(1) == [c]
        assert len(queue) == 0

    def test_a_discarded_entry_is_gone(self, queue):
        """Once; the second time there is nothing to take back."""
        a, b, c = filled(queue, Queued(), Queued(), Queued())

        assert [queue.discard(b), queue.discard(b)] == [True, False]
        assert list(queue) == [a, c]
        assert queue.take(2) == [a, c]
        assert not queue.discard(a)

    def test_the_oldest_is_the_one_that_came_first(self, queue):
        """Also after it was taken back."""
        a, _ = filled(queue, Queued(enqueued_ns=3), Queued(enqueued_ns=5))

        assert queue.oldest_ns() == 3
        queue.discard(a)
        assert queue.oldest_ns() == 5

    def test_without_timeouts_nothing_expires(self, queue):
        """However long it takes."""
        filled(queue, Queued(timeout_us=1))

        assert queue.next_timeout_ns() is None
        assert list(queue.expire(10**18)) == []
        assert len(queue) == 1

    def test_an_entry_that_left_is_let_go(self, queue):
        """Its tensors do not stay in memory."""
        seen = []
        for leave in (queue.discard, lambda _: queue.take(1)):
            (entry,) = filled(queue, Queued())
            seen.append(weakref.ref(entry))
            leave(entry)
            del entry
        gc.collect()

        assert [ref() for ref in seen] == [None, None]

    def test_a_long_queue_is_emptied_in_order(self, queue):
        """With many taken, many discarded, and some that stay."""
        entries = filled(queue, *(Queued() for _ in range(1000)))
        for entry in entries[1::2]:
            queue.discard(entry)
        taken = [entry for _ in range(100) for entry in queue.take(4)]

        assert taken == entries[0:800:2]
        assert list(queue) == entries[800::2]


class TestLevels:
    """Level 1 is served first."""

    def test_lower_numbers_are_served_first(self):
        """Inside a level the order of arrival holds."""
        queue = levels(3)
        low, high, middle, high2 = filled(queue, *(Queued(p) for p in (3, 1, 2, 1)))

        assert queue.take(4) == [high, high2, middle, low]

    @pytest.mark.parametrize("priority", [0, 4, 2**64 - 1])
    def test_a_priority_that_does_not_exist_is_the_default_level(self, priority):
        """0 and everything beyond the last level."""
        queue = levels(3, default_level=2)
        last, entry, middle = filled(queue, Queued(3), Queued(priority), Queued(2))

        assert queue.take(3) == [entry, middle, last]

    def test_the_oldest_may_be_in_any_level(self):
        """A low priority request has waited longest."""
        queue = levels(2)
        filled(queue, Queued(2, enqueued_ns=3), Queued(1, enqueued_ns=5))

        assert queue.oldest_ns() == 3

    def test_the_oldest_may_be_delayed(self):
        """By a shorter timeout of its own than one that was delayed before it."""
        limits = QueuePolicy(timeout_ns=9 * US, allow_override=True, delays=True)
        queue = levels(default=limits)
        slow, fast, _ = filled(
            queue, Queued(0, 5, 1 * US), Queued(0, 2, 2 * US), Queued(0, 0, 3 * US)
        )
        queue.expire(6 * US)

        assert [entry is fast for entry in queue] == [False, True, False]
        assert queue.oldest_ns() == 1 * US
        queue.discard(slow)
        assert queue.oldest_ns() == 2 * US

    def test_a_config_may_have_any_number_of_levels(self):
        """Level 1 comes first, however many there are."""
        queue = levels(2**64 - 1)
        low, high = filled(queue, Queued(2**63), Queued(7))

        assert queue.take(2) == [high, low]

    @pytest.mark.parametrize(("count", "kept"), [(64, 64), (65, 0)])
    def test_empty_levels_are_kept_while_they_are_few(self, count, kept):
        """They are used again; many of them would take memory and time."""
        queue = levels(2**64 - 1)
        filled(queue, *(Queued(priority) for priority in range(1, count + 1)))
        queue.take(count)

        assert len(queue._levels) == kept
        assert len(queue._lines) == 2 * kept

    def test_many_levels_in_use_keep_their_order(self):
        """While others are forgotten."""
        queue = levels(1000)
        entries = filled(queue, *(Queued(priority) for priority in range(1000, 0, -1)))
        expected = entries[::-1]
        assert queue.take(300) == expected[:300]
        (first,) = filled(queue, Queued(1))

        assert len(queue._levels) == 701
        assert list(queue) == [first, *expected[300:]]
        assert queue.take(701) == [first, *expected[300:]]


class TestLimits:
    """A level holds a limited number of requests."""

    def test_a_level_takes_exactly_its_limit(self):
        """The one after that is told so, and may come again."""
        queue = levels(default=QueuePolicy(max_size=2))
        first, _ = filled(queue, Queued(), Queued())
        late = Queued()

        assert queue.add(late) == Full(2)
        assert len(queue) == 2
        queue.discard(first)
        assert queue.add(late) is None

    def test_limits_are_per_level(self):
        """A full level refuses nobody of another one."""
        queue = levels(2, p1=QueuePolicy(max_size=1))
        filled(queue, Queued(1), Queued(2), Queued(2))

        assert queue.add(Queued(1)) == Full(1)

    def test_delayed_requests_count(self):
        """They still wait."""
        queue = levels(default=QueuePolicy(max_size=1, timeout_ns=5, delays=True))
        filled(queue, Queued())
        queue.expire(5)

        assert queue.add(Queued(enqueued_ns=5)) == Full(1)


class TestTimeouts:
    """A request waits for so long and no longer."""

    def test_a_request_is_rejected_at_its_timeout(self):
        """Counted from its arrival."""
        queue = levels(default=QueuePolicy(timeout_ns=5))
        first, second = filled(queue, Queued(enqueued_ns=10), Queued(enqueued_ns=12))

        assert queue.next_timeout_ns() == 15
        assert queue.expire(14) == []
        assert queue.expire(15) == [first]
        assert list(queue) == [second]
        assert queue.next_timeout_ns() == 17

    def test_a_delayed_request_goes_behind_those_in_time(self):
        """Of its level; lower levels still come after it."""
        queue = levels(2, p1=QueuePolicy(timeout_ns=5, delays=True))
        low, late, timely = filled(queue, Queued(2), Queued(1), Queued(1, enqueued_ns=3))

        assert queue.expire(5) == []
        assert list(queue) == [timely, late, low]
        assert queue.expire(8) == []
        (new,) = filled(queue, Queued(1, enqueued_ns=8))
        assert list(queue) == [new, late, timely, low]
        assert queue.next_timeout_ns() == 13

    def test_a_delayed_request_can_be_taken_back_or_executed(self):
        """It is as good as any other."""
        queue = levels(default=QueuePolicy(timeout_ns=5, delays=True))
        a, b = filled(queue, Queued(), Queued())
        queue.expire(5)

        assert queue.discard(a)
        assert not queue.discard(a)
        assert queue.take(1) == [b]
        assert len(queue) == 0

    def test_a_request_that_left_does_not_expire(self):
        """Neither one that executes nor one that was taken back."""
        queue = levels(default=QueuePolicy(timeout_ns=5))
        taken, discarded = filled(queue, Queued(), Queued())
        assert queue.take(1) == [taken]
        queue.discard(discarded)

        assert queue.expire(5) == []
        assert queue.next_timeout_ns() is None

    def test_a_request_that_brings_none_waits_for_ever(self):
        """Where only its own timeout would count."""
        queue = levels(default=QueuePolicy(allow_override=True))
        filled(queue, Queued())

        assert queue.next_timeout_ns() is None
        assert list(queue.expire(10**18)) == []

    def test_a_request_may_bring_a_shorter_timeout_where_allowed(self):
        """Levels may differ in that."""
        queue = levels(
            2,
            p1=QueuePolicy(timeout_ns=50 * US, allow_override=True),
            p2=QueuePolicy(timeout_ns=50 * US),
        )
        own, _ = filled(queue, Queued(1, 10), Queued(2, 10))

        assert queue.expire(10 * US - 1) == []
        assert queue.expire(10 * US) == [own]
        assert queue.next_timeout_ns() == 50 * US


def test_levels_say_what_waits(queue):
    """How many, and for how long the oldest has; nothing of an empty queue."""
    assert queue.levels(0) == []
    filled(queue, Queued(enqueued_ns=1_000), Queued(enqueued_ns=2_000))

    assert queue.levels(5_999) == [QueueLevel(1, 2, 0, 4)]


def test_levels_are_told_apart_and_delayed_entries_counted():
    """The first served first; only those that hold entries; a delayed one may be the oldest."""
    queue = levels(3, 3, p2=QueuePolicy(timeout_ns=10, delays=True))
    filled(
        queue, Queued(3, 0, 3_000), Queued(2, 0, 1_000), Queued(2, 0, 9_000), Queued(1, 0, 9_000)
    )
    queue.expire(1_010)
    queue.take(1)

    assert queue.levels(10_000) == [QueueLevel(2, 2, 1, 9), QueueLevel(3, 1, 0, 7)]
