"""Lays out the plot of what was measured: where its lines, marks and words are."""

import math
from dataclasses import dataclass
from typing import Final

from inferd.cli.benchmark.drawing import Drawing, Segments, Text
from inferd.cli.benchmark.measure import Result

WIDTH: Final = 720
HEIGHT: Final = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 50, 60
_GRID: Final = "#dddddd"
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
                    sorted(
                        (result.sample.rate, result.sample.latencies.percentile(percent) / 1e6)
                        for result in results
                        if result.target.name == name and result.sample.answered
                    ),
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


def laid_out(plot: Plot) -> Drawing:
    """Return the plot as shapes."""
    points = [point for line in plot.lines for point in line.points] or [(1.0, 1.0)]
    right = max(max(x for x, _ in points), max((x for x, _ in plot.marks), default=0.0)) or 1.0
    low, high = min(y for _, y in points), max(y for _, y in points)
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-9)
    top = max(top, bottom + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = x / right * (WIDTH - _LEFT - _RIGHT)
        up = (math.log10(y) - bottom) / (top - bottom) * (HEIGHT - _TOP - _BOTTOM)
        return _LEFT + across, HEIGHT - _BOTTOM - up

    drawing = Drawing(WIDTH, HEIGHT)
    drawing.texts += [
        Text(WIDTH / 2, 24, plot.title),
        Text(WIDTH / 2, HEIGHT - 14, plot.x),
        Text(18, HEIGHT / 2, plot.y, is_upright=True),
    ]
    for power in range(bottom, top + 1):
        _, y = place(0, 10.0**power)
        drawing.lines.append(Segments([(_LEFT, y), (WIDTH - _RIGHT, y)], _GRID, 1))
        drawing.texts.append(Text(_LEFT - 8, y + 4, f"{10.0**power:g}", "end"))
    for position, label in plot.marks or _round_marks(right):
        x, _ = place(position, 10.0**bottom)
        drawing.lines.append(Segments([(x, _TOP), (x, HEIGHT - _BOTTOM)], _GRID, 1))
        drawing.texts.append(Text(x, HEIGHT - _BOTTOM + 18, label))
    for index, line in enumerate(plot.lines):
        _add_line(drawing, line, index, [place(x, y) for x, y in line.points])
    return drawing


def _add_line(drawing: Drawing, line: Line, index: int, places: list[tuple[float, float]]) -> None:
    colour = _COLOURS[index % len(_COLOURS)]
    drawing.lines.append(Segments(places, colour, 2, has_dots=True))
    y = _TOP + 14 + 18 * index
    drawing.lines.append(Segments([(_LEFT + 10, y - 5), (_LEFT + 24, y - 5)], colour, 4))
    drawing.texts.append(Text(_LEFT + 30, y, line.name, "start"))


def _round_marks(right: float) -> list[tuple[float, str]]:
    step = 10.0 ** math.floor(math.log10(right))
    step = step / 5 if right / step < 2 else step / 2 if right / step < 5 else step
    return [(index * step, f"{index * step:g}") for index in range(int(right / step) + 1)]
