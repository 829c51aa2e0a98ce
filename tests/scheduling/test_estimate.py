"""What is expected of the next execution, judging by the latest ones."""

import hypothesis.strategies as st
from hypothesis import given

from inferd.scheduling.estimate import SPARE_NS, WINDOW, ExecutionEstimate


def after(*elapsed_ns):
    """Return an estimate that has seen these executions."""
    estimate = ExecutionEstimate()
    for one in elapsed_ns:
        estimate.observe(one)
    return estimate


def test_nothing_is_hopeless_before_enough_was_seen():
    """The first executions of a model are often slow; one less than a window says nothing."""
    assert after(*[50] * (WINDOW - 1)).least_ns == 0
    assert after(*[50] * WINDOW).least_ns == 50


def test_some_time_is_kept_free_from_the_start():
    """And more from the first execution on."""
    assert after().ample_ns == SPARE_NS
    assert after(50).ample_ns == SPARE_NS + 50


def test_the_fastest_of_the_latest_executions_is_the_least():
    """A faster one counts at once."""
    estimate = after(*[90] * (WINDOW - 1), 60)
    assert estimate.least_ns == 60
    estimate.observe(40)
    assert estimate.least_ns == 40


def test_the_slowest_of_the_latest_executions_is_ample():
    """A slower one counts at once."""
    estimate = after(*[50] * (WINDOW - 1), 90)
    assert estimate.ample_ns == SPARE_NS + 90
    estimate.observe(200)
    assert estimate.ample_ns == SPARE_NS + 200


def test_old_executions_are_forgotten():
    """Two windows later they count no more."""
    estimate = after(10, 900, *[50] * (2 * WINDOW - 2))

    assert (estimate.least_ns, estimate.ample_ns) == (50, SPARE_NS + 50)


def test_doubts_end_with_the_next_execution():
    """It says how long it takes."""
    estimate = after(*[80] * WINDOW)
    estimate.doubt()
    assert estimate.least_ns == 70
    estimate.observe(85)

    assert estimate.least_ns == 80


def test_doubts_end_in_trying():
    """However slow the model once was, its requests are not refused for ever."""
    estimate = after(*[10**12] * WINDOW)
    for _ in range(210):
        estimate.doubt()

    assert estimate.least_ns == 0


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=5 * WINDOW))
def test_the_numbers_enclose_the_latest_window(elapsed_ns):
    """None of the latest executions was faster than the least or slower than is ample."""
    estimate = after(*elapsed_ns)
    latest = elapsed_ns[-WINDOW:]

    assert estimate.least_ns <= min(latest)
    assert estimate.ample_ns >= max(latest) + SPARE_NS
    if len(elapsed_ns) >= WINDOW:
        known = elapsed_ns[-2 * WINDOW :]
        assert min(known) <= estimate.least_ns
        assert estimate.ample_ns <= max(known) + SPARE_NS
