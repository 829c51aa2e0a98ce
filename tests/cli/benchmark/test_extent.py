"""Tests of the levels that a run measures."""

import contextlib

import pytest

from inferd.cli.benchmark.extent import extent
from inferd.cli.benchmark.options import Range
from inferd.cli.benchmark.plan import Level
from inferd.cli.clients.client import UsageError


def test_levels():
    """One request in flight is the default; a rate excludes a concurrency."""
    assert extent(None, None, ()).levels() == [Level(concurrency=1)]
    assert extent(Range(1, 2, 1), None, ()).levels() == [Level(1), Level(2)]
    assert extent(None, Range(5.0, 5.0, 1), (), poisson=True).levels() == [
        Level(rate=5.0, poisson=True)
    ]


def test_intervals_are_a_rate():
    """Given intervals are one level, whose rate is their mean."""
    found = extent(None, None, (1_000_000, 3_000_000))
    level = Level(rate=500.0, intervals=(1_000_000, 3_000_000))
    assert found.levels() == [level] == list(found.search())


@pytest.mark.parametrize(
    ("concurrency", "is_binary", "answers", "expected"),
    [
        (Range(1, 3, 1), False, [True, True], [1, 2, 3]),
        (Range(1, 0, 2), False, [True, True, False], [1, 3, 5]),
        (Range(1, 9, 4), True, [True, False, True], [1, 9, 5]),
    ],
)
def test_searches(concurrency, is_binary, answers, expected):
    """A range is walked through, goes on without an end, or is halved."""
    search = extent(concurrency, None, (), is_binary=is_binary).search()
    found = [next(search).concurrency]
    for answer in answers:
        with contextlib.suppress(StopIteration):
            found.append(search.send(answer).concurrency)
    assert found == expected


@pytest.mark.parametrize("concurrency", [None, Range(4, 4, 1, has_end=False), Range(1, 0, 1)])
def test_binary_search_needs_an_end(concurrency):
    """Without both ends there is nothing to halve."""
    with pytest.raises(UsageError, match="--binary-search"):
        extent(concurrency, None, (), is_binary=True)
