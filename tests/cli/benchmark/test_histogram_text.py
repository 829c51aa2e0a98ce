"""Tests of drawing a histogram for a terminal."""

import re

import pytest

from inferd.cli.benchmark.histogram import Histogram
from inferd.cli.benchmark.histogram_text import bar, draw, duration


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0 µs"), (1500, "1.5 µs"), (999_400, "999 µs"), (999_500, "1 ms"), (999.5e6, "0.9995 s")],
)
def test_duration(ns, text):
    """Durations have three digits and change their unit in time."""
    assert duration(ns) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0, ""), (1e-9, "▏"), (0.5, "█" * 20), (1, "█" * 40), (1 / 320 * 9, "█▏")]
)
def test_bar(share, text):
    """A bar has eighths of a character; what is not nothing is never invisible."""
    assert bar(share).rstrip() == text
    assert len(bar(share)) == 40


def test_rows_hold_everything():
    """The shares of all rows make 100 %."""
    histogram = Histogram()
    for ns in range(1000, 1_000_000, 500):
        histogram.record(ns)
    lines = draw(histogram)
    shares = [float(re.search(r"([\d.]+)%", line)[1]) for line in lines]
    assert sum(shares) == pytest.approx(100, abs=0.7)
    assert len(lines) == 12


def test_one_value():
    """Equal latencies make one full row."""
    histogram = Histogram()
    histogram.record(5000)
    (line,) = draw(histogram)
    assert "100.0%" in line


def test_nothing():
    """Without latencies there is nothing to draw."""
    assert draw(Histogram()) == []
