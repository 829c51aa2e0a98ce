"""Holding what was measured against the targets."""

import pytest
from cases import CASES, MEMORY_BYTES
from load import Cell
from outcome import NATIVE, Measured, mean_batch
from processes import Memory
from servers import Server

BY_KIND = {case.target.kind: case for case in reversed(CASES)}


def only(case, runs, **more):
    """Return what was measured when that is one case of one server."""
    cell = Cell(case, Server(NATIVE, "127.0.0.1", {}))
    return Measured({cell: runs}, 0.6, Memory(1, 1), **more)


@pytest.mark.parametrize(
    ("rate", "p99", "holds"),
    [(60_000, 2.99, True), (59_999, 2.99, False), (60_000, 3.0, False)],
)
def test_a_rate_holds_when_it_is_reached_and_the_latency_is_under_the_limit(
    run_of, rate, p99, holds
):
    """The rate itself is enough, the latency itself is not."""
    assert only(CASES[0], [run_of(rate, p99)]).reached(CASES[0]).holds is holds


@pytest.mark.parametrize(("rate", "holds"), [(50_000, True), (49_999, False)])
def test_a_rate_without_a_latency_holds_when_it_is_reached(run_of, rate, holds):
    """Latency is not looked at where nothing is asked of it."""
    assert only(CASES[1], [run_of(rate, 99.0)]).reached(CASES[1]).holds is holds


@pytest.mark.parametrize(("speed", "holds"), [(1.2, True), (1.19, False)])
def test_large_tensors_are_counted_in_both_directions(run_of, speed, holds):
    """A request and its response of 602,112 bytes each count 1.2 MB."""
    case = BY_KIND["bytes"]
    reached = only(case, [run_of(speed * 1e9 / (2 * 602_112))]).reached(case)

    assert reached.holds is holds
    assert reached.text == f"{speed:.2f} GB/s"


def test_the_twin_is_compared_by_its_rate(measured):
    """10 times as many requests per second is 10 times."""
    reached = measured.reached(BY_KIND["twin"])

    assert (reached.text, reached.holds) == ("10.0 x", True)


def test_a_twin_that_was_not_measured_is_not_beaten(run_of):
    """Nothing holds that has nothing to be held against."""
    case = BY_KIND["twin"]

    assert not only(case, [run_of(1.0)]).reached(case).holds


def test_json_is_compared_on_the_first_text(measured):
    """The text of the target comes first."""
    reached = measured.reached(BY_KIND["json"])

    assert (reached.text, reached.holds) == ("4.0 x", True)


@pytest.mark.parametrize(("resident", "holds"), [(MEMORY_BYTES - 1, True), (MEMORY_BYTES, False)])
def test_memory_has_to_be_under_the_limit(measured, resident, holds):
    """The limit itself is too much."""
    measured.memory = Memory(resident, 1)

    assert measured.memory_holds() is holds


def test_figures_are_medians_of_the_rounds(measured):
    """One slow round does not matter."""
    assert measured.rounds == 3
    assert measured.rate(CASES[0], NATIVE) == 60_000


def test_a_model_without_a_framework_has_no_loop(measured):
    """Only the ONNX model is called in a loop."""
    assert measured.loop(CASES[0]).rows == 3_200_000
    assert measured.loop(BY_KIND["bytes"]) is None


def test_a_mean_batch_is_a_whole_number_of_rows(run_of):
    """A batch has a row at least."""
    assert mean_batch([run_of(1, batch=6.6)]) == 7
    assert mean_batch([run_of(1, batch=0.0)]) == 1
