"""Telling whether memory is flat."""

import pytest
from cases import CASES, MEMORY_BYTES
from processes import Memory
from soak import Step, besides, holds, peaks, render


def steps_of(*resident):
    """Return steps with these numbers of resident bytes."""
    return [
        Step(1000 * number, 10 * number, float(number), Memory(one, one // 2))
        for number, one in enumerate(resident)
    ]


@pytest.mark.parametrize(
    ("last", "flat"), [(101_000_000, True), (101_000_001, False), (99_000_000, True)]
)
def test_memory_is_flat_when_the_second_half_needs_a_hundredth_more(last, flat):
    """It goes up and down all the time; what counts is the most of each half."""
    assert holds(steps_of(80_000_000, 100_000_000, 90_000_000, last, 95_000_000)) is flat


@pytest.mark.parametrize(("most", "small"), [(MEMORY_BYTES - 1, True), (MEMORY_BYTES, False)])
def test_memory_has_to_be_under_the_limit_all_the_time(most, small):
    """A step in between counts, too."""
    assert holds(steps_of(1000, most, 1000, 1000, 1000)) is small


def test_the_most_of_each_half_is_found():
    """The one in the middle belongs to the second half."""
    assert peaks(steps_of(1, 50, 60, 40, 30)) == (50, 60)
    assert peaks(steps_of(1, 50, 40, 30)) == (50, 40)


def test_every_kind_of_request_is_sent_besides():
    """All that is measured but gRPC to the model that is loaded all the time."""
    kinds = {(case.protocol, case.model) for case in CASES} - {("grpc", "simple_batched")}

    assert {(case.protocol, case.model) for case, _ in besides()} == kinds


def test_the_report_has_a_row_for_each_step():
    """With what was sent, when, and both kinds of memory."""
    text = render(steps_of(100_000_000, 100_000_000, 100_000_000), "A note.")

    assert "| 2,000 | 20 | 2 | 100.0 | 50.0 |" in text
    assert (
        "100.0 MB in the second (flat: at most 1%\nmore; target: under 150 MB). Holds: yes." in text
    )
    assert "A note." in text
