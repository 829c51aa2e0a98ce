"""Tests of the plot."""

import xml.etree.ElementTree as ElementTree

import pytest

from inferd.cli.benchmark import plot
from inferd.cli.benchmark.drawing import as_svg
from inferd.cli.benchmark.measure import Result
from inferd.cli.benchmark.plan import Level, Plan
from inferd.cli.benchmark.sample import Sample
from inferd.cli.benchmark.target import Target


def result(rate=100, level=None, name="box:1"):
    """Return the result of a second with requests of 2 ms."""
    sample = Sample(elapsed_ns=1_000_000_000)
    for _ in range(rate):
        sample.latencies.record(2_000_000)
    return Result(
        Target(name, None, Plan("http", "box", 1, ()), "m", ""), level or Level(4), sample
    )


@pytest.mark.parametrize(
    "results", [[result()], [result(), result(50, Level(8))], [result(name="<&>"), result()]]
)
def test_plot_is_well_formed(results):
    """One level and several make an SVG document with a line per server and percentile."""
    root = ElementTree.fromstring(as_svg(plot.laid_out(plot.plot_of(results, "a<b"))))
    assert "a<b" in "".join(root.itertext())
    assert root.findall("{*}polyline")


def test_lines_go_from_left_to_right():
    """Levels that were not measured in order, as in a binary search, make no zigzag."""
    results = [result(rate, Level(rate)) for rate in (10, 90, 50)]
    for line in plot.plot_of(results, "m").lines:
        assert [x for x, _ in line.points] == [10, 50, 90]
