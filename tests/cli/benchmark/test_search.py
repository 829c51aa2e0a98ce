"""Tests of the order in which levels are measured."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.cli.benchmark.search import binary, counted, linear


def visited(search, limit):
    """Return the values a search asks for when those above a limit miss the threshold."""
    found = []
    try:
        value = next(search)
        while True:
            found.append(value)
            value = search.send(value <= limit)
    except StopIteration:
        return found


def test_linear_search_ends_at_the_first_above_the_threshold():
    """The level that misses the threshold is the last."""
    assert visited(linear([1, 2, 3, 4]), 2) == [1, 2, 3]
    assert visited(linear([1, 2]), 9) == [1, 2]


def test_search_without_an_end():
    """Levels go on until one misses the threshold."""
    assert visited(counted(1, 2, float), 6) == [1, 3, 5, 7]
    assert list(islice(counted(5, 1, int), 1)) == [5]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (0, [1]),
        (16, [1, 16]),
        (10, [1, 16, 8, 12, 10, 11]),
        (15, [1, 16, 8, 12, 14, 15]),
    ],
)
def test_binary_search(limit, expected):
    """Both ends first, then the middle of what is left."""
    assert visited(binary(1, 16, 1, lambda value: value), limit) == expected


def test_binary_search_of_one_level():
    """A range of one value is measured once."""
    assert visited(binary(3, 3, 1, lambda value: value), 9) == [3]


@pytest.mark.parametrize(("step", "count"), [(1, 4), (2, 3), (4, 2)])
def test_step_is_how_exact_a_binary_search_is(step, count):
    """Values exactly a step apart are not searched any further."""
    assert len(visited(binary(0.0, 4.0, step, lambda value: value), 3.5)) == count


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 3000))
def test_binary_search_finds_the_largest(start, width, limit):
    """With a step of one the largest value within the threshold is among those measured."""
    found = visited(binary(start, start + width, 1, lambda value: value), limit)
    within = [value for value in found if value <= limit]
    assert len(found) == len(set(found)) <= 13
    assert max(within, default=None) == (min(limit, start + width) if limit >= start else None)
