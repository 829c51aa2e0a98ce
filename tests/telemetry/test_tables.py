"""Tests of the start-up tables."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.telemetry import tables


def test_models():
    """The table of models reads as Triton's does."""
    rows = [("simple", "1", "READY"), ("empty", "-", "Not loaded: No model version was found")]
    assert tables.models(rows) == (
        "+--------+---------+----------------------------------------+\n"
        "| Model  | Version | Status                                 |\n"
        "+--------+---------+----------------------------------------+\n"
        "| simple | 1       | READY                                  |\n"
        "| empty  | -       | Not loaded: No model version was found |\n"
        "+--------+---------+----------------------------------------+"
    )


def test_empty_table():
    """A table without rows still shows its columns."""
    assert tables.repository_agents() == (
        "+------------------+------+\n"
        "| Repository Agent | Path |\n"
        "+------------------+------+\n"
        "+------------------+------+"
    )


def test_long_cells_go_on_in_the_next_line():
    """A cell wider than its column's share wraps, and the other cells of the row stay empty."""
    rows = [("onnxruntime", "/opt/x", '{"cmdline":{"auto-complete-config":"true"}}')]
    assert tables.backends(rows, width=52) == (
        "+-------------+--------+---------------------------+\n"
        "| Backend     | Path   | Config                    |\n"
        "+-------------+--------+---------------------------+\n"
        '| onnxruntime | /opt/x | {"cmdline":{"auto-complet |\n'
        '|             |        | e-config":"true"}}        |\n'
        "+-------------+--------+---------------------------+"
    )


def test_reason_with_line_breaks_and_escapes():
    """A reason of several lines stays in its cell, and terminal commands are spelled out."""
    table = tables.options([("reason", "one\n\n\x1b[31mtwo\n"), ("empty", "")])
    assert table == (
        "+--------+-------------+\n"
        "| Option | Value       |\n"
        "+--------+-------------+\n"
        "| reason | one         |\n"
        "|        |             |\n"
        "|        | \\x1b[31mtwo |\n"
        "| empty  |             |\n"
        "+--------+-------------+"
    )


@pytest.mark.parametrize(
    ("needed", "available", "shares"),
    [
        ([10, 10], 20, [10, 10]),
        ([10, 11], 20, [10, 10]),
        ([5, 100], 60, [5, 55]),
        ([100, 5], 60, [55, 5]),
        ([100, 100], 60, [30, 30]),
        ([100, 100, 100], 62, [20, 21, 21]),
        ([9, 9], 0, [8, 8]),
        ([3, 9], 0, [3, 8]),
    ],
)
def test_fair_shares(needed, available, shares):
    """What a narrow column leaves over goes to the wide ones; no column vanishes."""
    assert tables.fair_shares(needed, available) == shares


@given(
    st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), max_size=5),
    st.integers(0, 100),
)
def test_every_line_is_a_border_or_a_row(rows, width):
    """Whatever the cells say, a script finds borders and rows of one length, nothing else."""
    lines = tables.options(rows, width=width).split("\n")
    assert all(re.fullmatch(r"\+[-+]+\+|\| .* \|", line) for line in lines)
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= max(width, 8 + 8 + 7)
