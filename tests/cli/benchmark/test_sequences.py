"""Tests of the sequences a load keeps alive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferd.cli.benchmark.plan import SequencePlan
from inferd.cli.benchmark.sequences import Sequences


class Named:
    """A request that says what it is."""

    def __init__(self, name):
        self.name = name

    def fill(self, sequence, *, start, end):
        """Return what it would be sent as."""
        return (self.name, sequence, start, end)


def plan(*streams, **fields):
    """Return a plan with streams of named requests."""
    return SequencePlan(tuple(tuple(map(Named, stream)) for stream in streams or ["a"]), **fields)


def whole(sequences):
    """Send one sequence after the other to its end; return its requests."""
    found = []
    while True:
        sequence, request = sequences.take()
        found.append(request)
        sequences.answered(sequence)
        if request[3]:
            return found


def test_sequences_take_the_streams_in_turns():
    """Each sequence has the requests of its stream, from its start to its end."""
    sequences = Sequences(plan("ab", "c"), 1, 0, 1)
    assert whole(sequences) == [("a", 1, True, False), ("b", 1, False, True)]
    assert whole(sequences) == [("c", 2, True, True)]
    assert whole(sequences)[0] == ("a", 3, True, False)


def test_longer_sequences_go_round_their_stream():
    """A given length repeats the requests of a stream, or leaves some out."""
    assert "".join(name for name, *_ in whole(Sequences(plan("ab", length=5), 1, 0, 1))) == "ababa"
    assert "".join(name for name, *_ in whole(Sequences(plan("abc", length=2), 1, 0, 1))) == "ab"


@given(st.integers(1, 40), st.floats(0, 100))
def test_lengths_vary_within_the_percentage(length, variation):
    """No sequence is longer or shorter than the variation allows, nor empty."""
    sequences = Sequences(plan(length=length, variation=variation), 1, 0, 1)
    spread = length * variation / 100
    for _ in range(5):
        found = len(whole(sequences))
        assert max(round(length - spread), 1) <= found <= max(round(length + spread), 1)


def test_processes_share_ids_and_streams():
    """Two processes never use the same id, and together take every stream."""
    first, second = (Sequences(plan("a", "b"), 2, index, 2) for index in range(2))
    assert [first.take()[1][:2] for _ in range(2)] == [("a", 1), ("a", 3)]
    assert [second.take()[1][:2] for _ in range(2)] == [("b", 2), ("b", 4)]


def test_ids_begin_again_and_are_never_alive_twice():
    """After the last id comes the first that no live sequence has."""
    sequences = Sequences(plan(length=2, first_id=7, end_id=9), 2, 0, 1)
    (seven, _), (eight, _) = sequences.take(), sequences.take()
    for _ in range(2):
        sequences.answered(eight)
        eight, request = sequences.take()
    assert request == ("a", 8, True, False)
    assert seven.number == 7


def test_failed_sequences_are_replaced():
    """A sequence whose request failed is given up; another begins."""
    sequences = Sequences(plan(length=9), 1, 0, 1)
    sequence, _ = sequences.take()
    assert sequences.available == 0
    sequences.failed(sequence)
    assert sequences.take()[1] == ("a", 2, True, False)


@pytest.mark.parametrize("sent", [1, 2])
def test_closing_ends_what_is_alive(sent):
    """At the end every live sequence gets one more request, its last; none begins."""
    sequences = Sequences(plan(length=9), 2, 0, 1)
    for _ in range(sent):
        sequence, _ = sequences.take()
        sequences.answered(sequence)
    sequences.closing = True
    assert sequences.available == sent
    for _ in range(sent):
        sequence, request = sequences.take()
        assert request[2:] == (False, True)
        sequences.answered(sequence)
    assert sequences.available == 0
    with pytest.raises(IndexError):
        sequences.take()


class Life(RuleBasedStateMachine):
    """Any order of requests, answers and failures."""

    @initialize(live=st.integers(1, 4), length=st.integers(1, 3), spare=st.integers(0, 2))
    def start(self, live, length, spare):
        """Begin with as many ids as there must be, or some more."""
        self.live = live
        self.sequences = Sequences(
            plan(length=length, variation=50, first_id=5, end_id=5 + live + spare), live, 0, 1
        )
        self.sent = {}
        self.open = set()

    @precondition(lambda self: self.sequences.available)
    @rule()
    def take(self):
        """Send the next request: START exactly when its sequence is not open."""
        sequence, (_, number, start, end) = self.sequences.take()
        assert number not in self.sent
        assert start is (number not in self.open)
        assert not (start and self.sequences.closing)
        assert end or not self.sequences.closing
        self.sent[number] = sequence, end
        self.open.add(number)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), well=st.booleans())
    def answer(self, data, well):
        """Answer one of those that were sent."""
        number = data.draw(st.sampled_from(sorted(self.sent)))
        sequence, end = self.sent.pop(number)
        if well:
            self.sequences.answered(sequence)
        else:
            self.sequences.failed(sequence)
        if end or not well:
            self.open.remove(number)

    @rule()
    def close(self):
        """Begin no more."""
        self.sequences.closing = True

    @invariant()
    def every_place_is_in_use_or_available(self):
        """Requests in flight and those that could be sent make the number of live sequences."""
        if not hasattr(self, "sequences"):
            return
        if self.sequences.closing:
            assert self.sequences.available == len(self.open) - len(self.sent)
        else:
            assert self.sequences.available + len(self.sent) == self.live


TestLife = Life.TestCase
