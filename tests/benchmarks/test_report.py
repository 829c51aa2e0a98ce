"""The Markdown report."""

import pytest
from cases import CASES
from load import Cell
from report import render, table
from servers import Server


def test_every_case_is_in_the_table_of_targets(measured):
    """With its target, what was reached and whether that is enough."""
    text = render(measured)

    assert (
        "| gRPC add/sub, 64 in flight | 60,000/s, p99 < 3 ms | 60,000/s, p99 2.00 ms | yes "
        "| 60,000 | 30,000 to 84,000 | 1.00 | 2.00 |"
    ) in text
    assert all(f"| {case.name} | " in text for case in CASES)
    assert "| resident memory | < 150 MB | 120 MB | yes |" in text
    assert "Nothing else ran." in text


def test_a_target_that_does_not_hold_stands_out(measured, run_of):
    """It is printed, in bold."""
    case = CASES[0]
    for cell in measured.results:
        if cell.case == case:
            measured.results[cell][:] = [run_of(1_000.0)]

    assert "| 1,000/s, p99 2.00 ms | **no** |" in render(measured)


def test_the_stages_and_the_rest_add_up_to_the_user_time(measured):
    """1 + 2 + 3 + 2 executing + 0.5 of 10 leave 1.5; with 4 in the kernel it is 14."""
    row = f"| {CASES[0].name} | 1.0 | 2.0 | 3.0 | 2.0 | 0.5 | 1.5 | 10.0 | 4.0 | 14.0 |"

    assert row in render(measured)


def test_ratios_to_the_echo_and_to_the_framework_are_printed(measured):
    """60,000 of 120,000 and of 3,200,000."""
    row = f"| {CASES[0].name} | 60,000 | 120,000 | 14.0 | 0.50 | 16.0 | 3,200,000 | 0.02 | 0.01 |"

    assert row in render(measured)


def test_options_of_the_server_are_told(measured):
    """Figures with an option are not those of the defaults."""
    assert "The server's options are the defaults." in render(measured)
    measured.options = ["--busy-poll-us=50", "--id=a"]

    assert "The server has `--busy-poll-us=50 --id=a`." in render(measured)


def test_another_server_has_a_section_of_its_own(measured, run_of):
    """It appears when there is one."""
    assert "## The other server" not in render(measured)
    measured.results[Cell(CASES[0], Server("other", "127.0.0.1", {}))] = [run_of(20_000.0)]

    assert f"| {CASES[0].name} | 20,000 | 2.00 | 3.00 |" in render(measured)


@pytest.mark.parametrize(
    ("left", "marks"), [(0, "| ---: | ---: |"), (1, "| --- | ---: |"), (2, "| --- | --- |")]
)
def test_numbers_are_aligned_to_the_right(left, marks):
    """All columns but the first ones are numbers."""
    assert table(("a", "b"), [("1", "2")], left=left).splitlines() == [
        "| a | b |",
        marks,
        "| 1 | 2 |",
    ]
