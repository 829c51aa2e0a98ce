"""Draws a latency histogram for a terminal."""

from typing import Final

from inferd.cli.benchmark.histogram import Histogram

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_ROWS: Final = 12
_WIDTH: Final = 40


def duration(ns: float) -> str:
    """Return a duration as a person reads it: three digits and a unit."""
    if ns < 999.5e3:
        return f"{ns / 1e3:.3g} µs"
    if ns < 999.5e6:
        return f"{ns / 1e6:.3g} ms"
    return f"{ns / 1e9:.4g} s"


def draw(histogram: Histogram) -> list[str]:
    """
    Return the lines of a histogram, every row as much longer than the last as the next.

    The rows reach from the fastest to the 99.9th percentile; the rest is in the last.
    """
    counts = list(histogram.counts())
    if not counts:
        return []
    low, high = max(counts[0][0], 1), max(histogram.percentile(99.9), 2)
    factor = max((high / low) ** (1 / _ROWS), 1.02)
    bounds = [low * factor**row for row in range(1, _ROWS + 1)]
    rows = [0] * _ROWS
    row = 0
    for upper, count in counts:
        while row < _ROWS - 1 and upper > bounds[row]:
            row += 1
        rows[row] += count
    used = max(index for index, count in enumerate(rows) if count) + 1
    most = max(rows)
    return [
        f"  {'<=' if index < used - 1 else ' >'} "
        f"{duration(bounds[index] if index < used - 1 else bounds[index - 1] if index else 0):>8} "
        f"{bar(rows[index] / most)} {rows[index] / histogram.count:6.1%}"
        for index in range(used)
    ]


def bar(share: float) -> str:
    """Return a bar whose length is ``share`` of the width, in eighths of a character."""
    eighths = round(share * _WIDTH * 8)
    if share > 0:
        eighths = max(eighths, 1)
    text = _EIGHTHS[8] * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return text.ljust(_WIDTH)
