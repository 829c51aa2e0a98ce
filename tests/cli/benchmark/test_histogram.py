"""Tests of the latency histogram."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.cli.benchmark.histogram import Histogram

DURATIONS = st.lists(st.integers(0, 2**62), min_size=1, max_size=200)


def filled(durations):
    """Return a histogram of durations."""
    histogram = Histogram()
    for duration in durations:
        histogram.record(duration)
    return histogram


@given(DURATIONS, st.floats(0.001, 100))
def test_percentile_is_exact_within_a_bucket(durations, percent):
    """A percentile is never below the exact one and at most 1/128 above it."""
    rank = max(1, math.ceil(len(durations) * percent / 100))
    exact = sorted(durations)[rank - 1]
    found = filled(durations).percentile(percent)
    assert exact <= found <= exact + exact / 128


@given(DURATIONS)
def test_mean_maximum_and_count_are_exact(durations):
    """Mean, maximum and count do not depend on buckets."""
    histogram = filled(durations)
    assert histogram.count == len(durations)
    assert histogram.maximum == max(durations)
    assert histogram.mean == sum(durations) / len(durations)


@given(DURATIONS, DURATIONS)
def test_added_histograms_are_one(left, right):
    """What several processes counted adds up to what one would have counted."""
    total = filled(left)
    total.add(filled(right))
    whole = filled(left + right)
    assert total.buckets == whole.buckets
    assert (total.count, total.total, total.maximum) == (whole.count, whole.total, whole.maximum)


@pytest.mark.parametrize("duration", [0, 1, 127, 128, 255])
def test_small_durations_are_exact(duration):
    """Durations below 256 ns have a bucket of their own."""
    histogram = filled([duration, 1000])
    assert histogram.percentile(50) == duration


@pytest.mark.parametrize(("duration", "upper"), [(256, 257), (257, 257), (258, 259), (511, 511)])
def test_bucket_boundaries(duration, upper):
    """From 256 ns on a bucket covers two nanoseconds, then four, and so on."""
    assert filled([duration, 10**6]).percentile(50) == upper


@pytest.mark.parametrize(("percent", "expected"), [(50, 1), (50.1, 2), (100, 2)])
def test_rank_at_the_boundary(percent, expected):
    """The half that is not longer ends exactly at the first of two."""
    assert filled([1, 2]).percentile(percent) == expected


def test_empty():
    """Nothing recorded is 0 everywhere."""
    histogram = Histogram()
    assert (histogram.mean, histogram.percentile(99), list(histogram.counts())) == (0.0, 0, [])


def test_negative_duration_counts_as_zero():
    """A clock that goes back does not break the counts."""
    assert filled([-5]).percentile(100) == 0


def test_memory_is_bounded():
    """A million nanoseconds to years fit into few thousand buckets."""
    histogram = filled(2**power + step for power in range(63) for step in range(500))
    assert len(histogram.buckets) < 8000


@pytest.mark.parametrize(
    ("durations", "expected"), [([], 0.0), ([5, 5], 0.0), ([1_000_000, 3_000_000], 1_000_000.0)]
)
def test_deviation(durations, expected):
    """The standard deviation is that of the durations, as exact as the buckets."""
    histogram = Histogram()
    for duration in durations:
        histogram.record(duration)
    assert histogram.deviation == pytest.approx(expected, rel=1 / 64)
