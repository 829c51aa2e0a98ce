"""What is remembered of batches: the last ones whole, all of them by reason and size."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import BackendError
from inferd.scheduling.history import RECENT, BatchHistory, count_failed
from inferd.scheduling.snapshot import Batches, ExecutingBatch, PastBatch

REASONS = ("full", "preferred", "delay", "idle", "shape", "deadline")


@dataclass
class Queued:
    """A request."""

    enqueued_ns: int


@dataclass
class Done:
    """An execution."""

    size: int = 1
    start_ns: int = 0
    gathered_ns: int = 0
    executed_ns: int = 0
    end_ns: int = 0


def test_nothing_is_known_at_first():
    """Of a version that has done nothing."""
    assert BatchHistory({}).snapshot(1, 2) == Batches([], {}, {}, [])


def test_a_batch_is_remembered_with_all_its_times():
    """In microseconds, each truncated; its start on the clock of the wall."""
    history = BatchHistory({})
    batch = [Queued(1_000_000), Queued(2_500_999)]
    done = Done(5, 4_000_000, 4_010_999, 4_110_998, 4_115_998)
    history.end(1, "shape", 5, batch, 1, done)

    assert history.snapshot(1_000_000_000, 90_000_000_000).recent == [
        PastBatch(
            started_ms=89_004,
            instance=1,
            size=5,
            requests=2,
            reason="shape",
            queue_us=[3_000, 1_499],
            compute_input_us=10,
            compute_infer_us=99,
            compute_output_us=5,
            failed=1,
        )
    ]


def test_what_a_failed_execution_took_is_the_backends_time():
    """It has no size of its own, and nothing was scattered."""
    history = BatchHistory({})
    history.end(0, "full", 2, [Queued(0), Queued(0)], 2, Done(0, 1_000, 3_000, 3_000, 9_000))
    (found,) = history.snapshot(9_000, 9_000).recent

    assert (found.size, found.failed) == (2, 2)
    assert (found.compute_input_us, found.compute_infer_us, found.compute_output_us) == (2, 6, 0)


def test_an_executing_batch_is_shown_until_it_ends():
    """By instance, with the time it has taken so far."""
    history = BatchHistory({})
    history.begin(2, "idle", 3, 1, 5_000)
    history.begin(0, "full", 4, 4, 7_000)

    assert history.snapshot(7_999, 0).executing == [
        ExecutingBatch(0, 4, 4, "full", 0),
        ExecutingBatch(2, 3, 1, "idle", 2),
    ]
    history.end(0, "full", 4, [Queued(0)] * 4, 0, Done())
    history.end(1, "full", 1, [Queued(0)], 0, Done())
    assert [batch.instance for batch in history.snapshot(9_000, 0).executing] == [2]


def test_a_snapshot_does_not_change():
    """What happens afterwards is in the next one."""
    history = BatchHistory({})
    history.end(0, "full", 1, [Queued(0)], 0, Done())
    before = history.snapshot(0, 0)
    history.end(0, "full", 1, [Queued(0)], 0, Done())

    assert (before.closes, before.sizes, len(before.recent)) == ({"full": 1}, {1: 1}, 1)


@pytest.mark.parametrize(("batches", "kept"), [(2, 2), (3, 3), (4, 3)])
def test_so_many_batches_are_remembered(batches, kept):
    """The newest first; older ones count on."""
    history = BatchHistory({}, 3)
    for number in range(batches):
        history.end(number, "idle", 1, [Queued(0)], 0, Done())
    found = history.snapshot(0, 0)

    assert [batch.instance for batch in found.recent] == list(range(batches))[::-1][:kept]
    assert found.closes == {"idle": batches}


@given(st.lists(st.tuples(st.sampled_from(REASONS), st.integers(1, 9)), max_size=2 * RECENT))
def test_every_batch_is_counted_once(batches):
    """By reason and by size, also those that are forgotten; sizes ascend."""
    closes = {}
    history = BatchHistory(closes)
    for reason, size in batches:
        history.end(0, reason, size, [Queued(0)] * size, 0, Done(size))
    found = history.snapshot(0, 0)

    assert found.closes == closes == Counter(reason for reason, _ in batches)
    assert list(found.sizes.items()) == sorted(Counter(size for _, size in batches).items())
    newest = batches[::-1][:64]
    assert [(batch.reason, batch.size) for batch in found.recent] == newest


def test_errors_are_counted_among_answers():
    """Whatever else an answer is."""
    assert count_failed([]) == 0
    assert count_failed([object(), BackendError("a"), None, BackendError("b")]) == 2
