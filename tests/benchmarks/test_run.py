"""The benchmark's command line and plot."""

from xml.etree import ElementTree

import pytest
from cases import CASES
from run import FEWEST, MOST, between, draw, other_server, target_rate


@pytest.mark.parametrize(
    ("wanted", "requests"),
    [(0.0, FEWEST), (FEWEST, FEWEST), (100.9, 100), (MOST, MOST), (MOST + 1, MOST)],
)
def test_a_run_has_neither_too_few_requests_nor_too_many(wanted, requests):
    """Every connection gets one at least, and h2load's log stays short."""
    assert between(wanted) == requests
    assert max(case.connections for case in CASES) <= FEWEST


def test_targets_are_drawn_where_they_are_rates():
    """1.2 GB/s of tensors of 600 kB in both directions are 996 requests per second."""
    rates = {case.target.kind: target_rate(case) for case in reversed(CASES)}

    assert rates == {
        "rate": 60_000,
        "bytes": pytest.approx(996.5, abs=0.1),
        "twin": None,
        "json": None,
    }


def test_the_plot_has_a_row_for_each_case(measured):
    """With a dot for each of the three servers; the legend has three, too."""
    root = ElementTree.fromstring(draw(measured))
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]

    assert {case.name for case in CASES} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 3 * len(CASES) + 3


@pytest.mark.parametrize(("text", "process"), [("h:1:2", None), ("h:1:2:34", 34)])
def test_another_server_is_named_by_its_ports(text, process):
    """Its process is known only when it is told."""
    server = other_server(text)

    assert (server.host, server.ports, server.process) == ("h", {"http": 1, "grpc": 2}, process)
    assert [server.port(case) for case in CASES if case.over_http] == [1, 1, 1]
