"""Draws what was measured as SVG, without a library."""

import math
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from inferd.cli.benchmark.measure import Result

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 50, 60
_COLOURS: Final = ("#1f5fa8", "#c2571a", "#2f7d3b", "#7a3e9d", "#8a6d1b", "#b0285a")


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of a plot.

    Attributes:
        name: What the legend calls it.
        points: Its points (x, y).
    """

    name: str
    points: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """
    A plot: lines over two axes, the y axis logarithmic.

    Attributes:
        title: Its title.
        x: What the x axis shows.
        y: What the y axis shows.
        lines: The lines.
        marks: Positions and labels of the x axis; empty for round numbers.
    """

    title: str
    x: str
    y: str
    lines: list[Line]
    marks: tuple[tuple[float, str], ...] = ()


def plot_of(results: list[Result], model: str) -> Plot:
    """
    Return the plot of results.

    Several levels make latency over throughput; one level the latency of every percentile.
    """
    names = list(dict.fromkeys(result.target.name for result in results))
    levels = {result.level for result in results}
    if len(levels) > 1:
        return Plot(
            f"{model}: latency over throughput",
            "requests/s",
            "latency, ms",
            [
                Line(
                    f"{name} p{percent}",
                    [
                        (result.sample.rate, result.sample.latencies.percentile(percent) / 1e6)
                        for result in results
                        if result.target.name == name and result.sample.answered
                    ],
                )
                for name in names
                for percent in (50, 99)
            ],
        )
    percents = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)
    return Plot(
        f"{model}: latency by percentile",
        "percentile",
        "latency, ms",
        [
            Line(f"{result.target.name}", _percentile_points(result))
            for result in {result.target.name: result for result in results}.values()
        ],
        tuple((_nines(percent), f"{percent:g}") for percent in percents),
    )


def _percentile_points(result: Result) -> list[tuple[float, float]]:
    latencies = result.sample.latencies
    last = 100 - 100 / max(latencies.count, 1)
    percents = [100 * (1 - 10 ** (-step / 10)) for step in range(41)]
    return [
        (_nines(percent), max(latencies.percentile(percent), 1) / 1e6)
        for percent in percents
        if percent <= last
    ]


def _nines(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def as_svg(plot: Plot) -> str:
    """Return the plot as an SVG document."""
    points = [point for line in plot.lines for point in line.points] or [(1.0, 1.0)]
    right = max(max(x for x, _ in points), max((x for x, _ in plot.marks), default=0.0)) or 1.0
    low, high = min(y for _, y in points), max(y for _, y in points)
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-9)
    top = max(top, bottom + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = x / right * (_WIDTH - _LEFT - _RIGHT)
        up = (math.log10(y) - bottom) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM)
        return _LEFT + across, _HEIGHT - _BOTTOM - up

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_WIDTH / 2, 24, plot.title, "middle"),
        _text(_WIDTH / 2, _HEIGHT - 14, plot.x, "middle"),
        f'<text transform="translate(18 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(plot.y)}</text>",
    ]
    for power in range(bottom, top + 1):
        _, y = place(0, 10.0**power)
        parts.append(_rule(_LEFT, y, _WIDTH - _RIGHT, y))
        parts.append(_text(_LEFT - 8, y + 4, f"{10.0**power:g}", "end"))
    for position, label in plot.marks or _round_marks(right):
        x, _ = place(position, 10.0**bottom)
        parts.append(_rule(x, _TOP, x, _HEIGHT - _BOTTOM))
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, label, "middle"))
    for index, line in enumerate(plot.lines):
        parts += _drawn(line, index, [place(x, y) for x, y in line.points])
    return "\n".join([*parts, "</svg>", ""])


def _drawn(line: Line, index: int, places: list[tuple[float, float]]) -> list[str]:
    colour = _COLOURS[index % len(_COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    y = _TOP + 14 + 18 * index
    parts.append(f'<rect x="{_LEFT + 10}" y="{y - 9}" width="14" height="4" fill="{colour}"/>')
    parts.append(_text(_LEFT + 30, y, line.name, "start"))
    return parts


def _round_marks(right: float) -> list[tuple[float, str]]:
    step = 10.0 ** math.floor(math.log10(right))
    step = step / 5 if right / step < 2 else step / 2 if right / step < 5 else step
    return [(index * step, f"{index * step:g}") for index in range(int(right / step) + 1)]


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
