"""
Draws measured rates as SVG: a dot for each server in a row for each case.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 860
_LEFT, _RIGHT, _TOP, _ROW, _BOTTOM = 360, 50, 64, 34, 50
_COLOURS: Final = ("#1f5fa8", "#8a8a8a", "#c2571a", "#2f7d3b")


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row of the chart.

    Attributes:
        name: What it is called.
        values: One number for each series, positive; ``None`` leaves it out.
        target: Where a mark is drawn, if anywhere.
    """

    name: str
    values: tuple[float | None, ...]
    target: float | None = None


def as_svg(title: str, axis: str, series: Sequence[str], rows: Sequence[Row]) -> str:
    """
    Return a dot plot over a logarithmic axis.

    Args:
        title: What it says above.
        axis: What the axis shows.
        series: What the legend calls each colour.
        rows: From top to bottom.
    """
    drawn = [value for row in rows for value in (*row.values, row.target) if value]
    scale = _Scale(min(drawn), max(drawn))
    height = _TOP + _ROW * len(rows) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(_WIDTH / 2, 22, title, "middle"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, height - 12, axis, "middle"),
        *_legend(series),
        *_axis(scale, height),
    ]
    for number, row in enumerate(rows):
        parts += _drawn(row, _TOP + _ROW * (number + 0.5), scale)
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """Places numbers between two powers of ten."""

    def __init__(self, low: float, high: float) -> None:
        self.first = math.floor(math.log10(low))
        self.last = max(math.ceil(math.log10(high)), self.first + 1)

    def place(self, value: float) -> float:
        across = (math.log10(value) - self.first) / (self.last - self.first)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT)


def _axis(scale: _Scale, height: float) -> list[str]:
    parts = []
    for power in range(scale.first, scale.last + 1):
        x = scale.place(10.0**power)
        parts.append(_line(x, _TOP, x, height - _BOTTOM, "#dddddd", 1))
        parts.append(_text(x, height - _BOTTOM + 18, _number(power), "middle"))
    return parts


def _number(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"


def _legend(series: Sequence[str]) -> list[str]:
    parts, x = [], 60.0
    for name, colour in zip(series, _COLOURS, strict=False):
        parts += [_dot(x, 44, colour), _text(x + 10, 48, name, "start")]
        x += 40 + 7 * len(name)
    return [*parts, _line(x, 36, x, 52, "#000000", 2), _text(x + 8, 48, "target", "start")]


def _drawn(row: Row, y: float, scale: _Scale) -> list[str]:
    parts = [
        _text(_LEFT - 12, y + 4, row.name, "end"),
        _line(_LEFT, y, _WIDTH - _RIGHT, y, "#eeeeee", 1),
    ]
    if row.target:
        x = scale.place(row.target)
        parts.append(_line(x, y - 11, x, y + 11, "#000000", 2))
    pairs = [pair for pair in zip(row.values, _COLOURS, strict=False) if pair[0]]
    return parts + [_dot(scale.place(value), y, colour) for value, colour in reversed(pairs)]


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
