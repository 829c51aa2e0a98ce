"""Answers leave in the order their requests came."""

import hypothesis.strategies as st
from hypothesis import given

from inferd.scheduling.ordering import ArrivalOrder


def arrived(*entries):
    """Return an order these entries came in."""
    order = ArrivalOrder()
    for entry in entries:
        order.add(entry)
    return order


def test_the_first_answer_goes_at_once():
    """Nothing is before it."""
    order = arrived("a", "b")

    assert order.answer("a", 1) == [("a", 1)]
    assert len(order) == 1


def test_a_later_answer_waits_for_the_earlier_ones():
    """Then they go together."""
    order = arrived("a", "b", "c")

    assert order.answer("c", 3) == []
    assert order.answer("b", 2) == []
    assert order.answer("a", 1) == [("a", 1), ("b", 2), ("c", 3)]
    assert len(order) == 0


def test_answers_held_back_by_a_request_that_was_dropped_go():
    """A client that went away holds nobody up."""
    order = arrived("a", "b", "c")
    order.answer("b", 2)

    assert order.drop("a") == [("b", 2)]
    assert order.drop("c") == []
    assert len(order) == 0


@given(st.data())
def test_every_answer_goes_once_and_in_order(data):
    """Whatever order the answers are found in, and whoever goes away."""
    count = data.draw(st.integers(1, 8))
    order = arrived(*range(count))
    released, kept = [], []
    for entry in data.draw(st.permutations(range(count))):
        if data.draw(st.booleans()):
            kept.append(entry)
            released += order.answer(entry, str(entry))
        else:
            released += order.drop(entry)

    assert released == [(entry, str(entry)) for entry in sorted(kept)]
    assert len(order) == 0
