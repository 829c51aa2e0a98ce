"""Requests of iterative sequences in the table: executed again until that is over."""

import pytest

from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequences import SequenceTable
from tests.scheduling.sequenced import add, run, table


def iterate(sequences, now, *again):
    """Execute what the lane has, some keys again; return (key, START, END) of each row."""
    rows = sequences.decide(0, now).rows
    sequences.finish(rows, now, {n for n, row in enumerate(rows) if row.key in again})
    return [(row.key, row.start, row.end) for row in rows if row.ready]


def test_a_request_is_executed_until_it_is_not_rescheduled():
    """START is told once, END never, and then its place is free."""
    sequences = table()
    add(sequences, 1, start=True, once=True)

    assert [iterate(sequences, now, *key) for now, key in enumerate([[1], [1], []])] == [
        [(1, True, False)], [(1, False, False)], [(1, False, False)]
    ]  # fmt: skip
    assert len(sequences) == sequences.queued == 0
    assert sequences.lanes_used == [0]


def test_it_counts_as_queued_in_between():
    """Since the time it was executed."""
    sequences = table()
    add(sequences, 1, start=True, once=True, at=3)
    iterate(sequences, 8, 1)

    assert (sequences.queued, sequences.oldest_ns()) == (1, 8)


def test_an_end_that_is_rescheduled_ends_the_sequence_later():
    """With its last execution; other requests of the sequence come after it."""
    sequences = table()
    add(sequences, start=True)
    add(sequences, end=True)

    found = [iterate(sequences, 0, *key) for key in ([7], [], [7], [])]
    assert found == [
        [(7, True, False)], [(7, False, False)], [(7, False, True)], [(7, False, False)]
    ]  # fmt: skip
    assert len(sequences) == 0


def test_it_goes_behind_other_sequences():
    """Those that wait since before the end of its execution."""
    sequences = SequenceTable("m", [OldestLane(OldestPolicy(3))], 100)
    for key in (1, 2, 3):
        add(sequences, key, start=True, once=True, at=key)

    assert [iterate(sequences, now, 1, 2, 3)[0][0] for now in range(3, 9)] == [
        1, 2, 3, 1, 2, 3
    ]  # fmt: skip


def test_one_that_is_taken_back_between_executions_is_over():
    """Its place is free for the next."""
    sequences = table()
    step = add(sequences, 1, start=True, once=True)
    add(sequences, 2, start=True, once=True)
    iterate(sequences, 0, 1)
    assert sequences.discard(step)
    assert not sequences.discard(step)

    assert iterate(sequences, 0) == [(2, True, False)]
    assert len(sequences) == sequences.backlog == 0


def test_one_of_a_client_id_that_is_taken_back_leaves_its_sequence():
    """The next request of it is no START."""
    sequences = table()
    step = add(sequences, start=True)
    add(sequences, end=True)
    iterate(sequences, 0, 7)
    sequences.discard(step)

    assert iterate(sequences, 0) == [(7, False, True)]


def test_it_is_not_idle_between_executions():
    """However long the instance is busy with others."""
    sequences = table()
    add(sequences, 1, start=True, once=True)
    iterate(sequences, 0, 1)

    assert sequences.expire(1000) == []
    assert iterate(sequences, 1000) == [(1, False, False)]


def test_a_client_that_uses_the_id_of_one_has_a_sequence_of_its_own():
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
def test_new_ids_are_nobodys(text):
    """Whether ids are numbers or text."""
    sequences = table(9)
    for key in (1, 2, 4):
        add(sequences, str(key) if text else key, start=True)

    assert [sequences.new_id() for _ in range(3)] == [3, 5, 6]
