"""The response cache's memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inferd.scheduling.cache import ENTRY_BYTES, ResponseCache

CAPACITY = 3 * ENTRY_BYTES + 300
KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])


def filled(*keys, size=100):
    """Return a cache that holds exactly three entries of 100 bytes, and these keys."""
    cache = ResponseCache(CAPACITY)
    for key in keys:
        cache.put(key, key, size, 1)
    return cache


def test_what_was_put_comes_back():
    """And nothing else does."""
    cache = filled(b"a", b"b")

    assert (cache.get(b"a"), cache.get(b"b"), cache.get(b"c")) == (b"a", b"b", None)


def test_the_least_recently_used_leaves_first():
    """Reading counts as use."""
    cache = filled(b"a", b"b", b"c")
    cache.get(b"a")
    cache.put(b"d", b"d", 100, 1)

    assert [cache.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"a", None, b"c", b"d"]


def test_exactly_the_capacity_is_used():
    """Three entries fit to the byte; with one byte more the oldest leaves."""
    assert filled(b"a", b"b", b"c").size == CAPACITY
    cache = filled(b"a", b"b")
    cache.put(b"c", b"c", 101, 1)

    assert (len(cache), cache.get(b"a")) == (2, None)


def test_a_value_larger_than_the_cache_is_not_kept():
    """And drives nothing out."""
    cache = filled(b"a")
    room = CAPACITY - ENTRY_BYTES

    assert not cache.put(b"b", b"b", room + 1, 1)
    assert cache.get(b"a") == b"a"
    assert cache.put(b"b", b"b", room, 1)
    assert len(cache) == 1


def test_a_value_replaces_that_of_the_same_key():
    """Its bytes are counted once."""
    cache = filled(b"a", b"a", b"a", b"a")

    assert (len(cache), cache.size) == (1, ENTRY_BYTES + 100)


def test_the_entries_of_an_owner_leave_together():
    """Those of others stay."""
    cache = filled(b"a", b"b")
    cache.put(b"c", b"c", 100, 2)
    cache.drop(1)

    assert (len(cache), cache.size) == (1, ENTRY_BYTES + 100)
    assert cache.get(b"c") == b"c"


def test_no_two_owners_are_the_same():
    """So a reloaded model never sees what the last load left."""
    cache = ResponseCache(0)

    assert cache.register() != cache.register()


@given(st.lists(st.integers(0, 2000), min_size=1))
def test_it_never_takes_more_than_its_bytes(sizes):
    """Whatever the sizes are."""
    cache = ResponseCache(CAPACITY)
    for number, size in enumerate(sizes):
        kept = cache.put(str(number).encode(), size, size, 1)
        assert kept == (size + ENTRY_BYTES <= CAPACITY)
        assert cache.size <= CAPACITY


def test_an_entry_costs_no_more_than_it_is_counted_for():
    """The key, the table and the bookkeeping are in ``ENTRY_BYTES``."""
    cache = ResponseCache(5_000 * ENTRY_BYTES)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5_000):
            cache.put(number.to_bytes(64, "big"), None, 0, 1)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(cache) == 5_000
    assert after - before < cache.size


class CacheMachine(RuleBasedStateMachine):
    """The cache beside a list of ``(key, value, size, owner)``, oldest first."""

    def __init__(self):
        super().__init__()
        self.cache = ResponseCache(CAPACITY)
        self.model = []
        self.puts = 0

    @rule(key=KEYS, size=st.integers(0, CAPACITY), owner=st.integers(1, 2))
    def put(self, key, size, owner):
        """Keep a new value, and let the oldest go until it fits."""
        self.puts += 1
        if not self.cache.put(key, self.puts, size, owner):
            assert size + ENTRY_BYTES > CAPACITY
            return
        self.model = [entry for entry in self.model if entry[0] != key]
        self.model.append((key, self.puts, size + ENTRY_BYTES, owner))
        while sum(entry[2] for entry in self.model) > CAPACITY:
            self.model.pop(0)

    @rule(key=KEYS)
    def get(self, key):
        """A value that is there comes back and is the newest."""
        found = next((entry for entry in self.model if entry[0] == key), None)
        assert self.cache.get(key) == (found and found[1])
        if found:
            self.model.remove(found)
            self.model.append(found)

    @rule(owner=st.integers(1, 2))
    def drop(self, owner):
        """Everything of one owner goes."""
        self.cache.drop(owner)
        self.model = [entry for entry in self.model if entry[3] != owner]

    @invariant()
    def same(self):
        """As many entries and bytes as in the list, and never too many bytes."""
        assert len(self.cache) == len(self.model)
        assert self.cache.size == sum(entry[2] for entry in self.model) <= CAPACITY


test_a_cache_is_a_bounded_dictionary = CacheMachine.TestCase
