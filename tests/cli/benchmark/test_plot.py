"""Tests of the plot."""

import xml.etree.ElementTree as ElementTree

import pytest

from inferd.cli.benchmark import plot
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
    root = ElementTree.fromstring(plot.as_svg(plot.plot_of(results, "a<b")))
    assert "a<b" in "".join(root.itertext())
    assert root.findall("{*}polyline")
