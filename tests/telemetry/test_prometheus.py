"""Tests of the Prometheus text renderer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.parser import text_string_to_metric_families

from inferd.telemetry.prometheus import Exposition, format_value


def render(*families: Metric) -> str:
    """Return the text of the families, read at once."""
    page = Exposition()
    page.add(families)
    return page.encode().decode()


def counter(value: float, **labels: str) -> CounterMetricFamily:
    """Return a counter with one series."""
    family = CounterMetricFamily("nv_x", "X.", labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def test_counter_keeps_its_name():
    """A counter is written without ``_total``, which Triton's dashboards do not ask for."""
    assert render(counter(3, model="m", version="1")) == (
        '# HELP nv_x X.\n# TYPE nv_x counter\nnv_x{model="m",version="1"} 3\n'
    )


def test_family_without_series_is_hidden():
    """A metric without series is not mentioned, not even by HELP and TYPE."""
    assert render(CounterMetricFamily("nv_x", "X.", labels=["model"])) == ""


def test_series_of_several_readings_stand_together():
    """Series read one after the other share one HELP and TYPE."""
    page = Exposition()
    page.add([counter(1, model="a"), GaugeMetricFamily("nv_y", "Y.", value=2)])
    page.add([counter(2, model="b")])
    assert page.encode() == (
        b"# HELP nv_x X.\n# TYPE nv_x counter\n"
        b'nv_x{model="a"} 1\nnv_x{model="b"} 2\n'
        b"# HELP nv_y Y.\n# TYPE nv_y gauge\nnv_y 2\n"
    )


def test_labels_are_alphabetical():
    """Labels are sorted by name whatever the order they were given in."""
    assert render(counter(0, version="1", _team="x", model="m")).endswith(
        'nv_x{_team="x",model="m",version="1"} 0\n'
    )


def test_empty_labels_are_left_out():
    """A label another series of the family has does not show up empty in this one."""
    assert render(counter(0, model="m", _team="")).endswith('nv_x{model="m"} 0\n')


def test_bucket_bound_comes_last():
    """A histogram's ``le`` follows the other labels."""
    family = HistogramMetricFamily("nv_h", "H.", labels=["model", "version"])
    family.add_metric(["m", "1"], buckets=[("100", 1), ("+Inf", 2)], sum_value=150)
    assert 'nv_h_bucket{model="m",version="1",le="100"} 1\n' in render(family)


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (SummaryMetricFamily("nv_s", "S.", count_value=1, sum_value=2), "summary"),
        (UnknownMetricFamily("nv_u", "U.", value=1), "untyped"),
        (InfoMetricFamily("nv_i", "I.", value={"a": "b"}), "gauge"),
    ],
)
def test_kinds_have_their_text_format_names(family, kind):
    """Kinds the text format does not know are written as the nearest one it knows."""
    assert f"# TYPE {family.name} {kind}\n" in render(family)


def test_special_characters_are_escaped():
    """Quotes, backslashes and line breaks cannot end a label or a help text."""
    family = GaugeMetricFamily("nv_g", 'say "a\\b"\nc', labels=["model"])
    family.add_metric(['x"} 1\nnv_evil\\'], 1)
    assert render(family) == (
        '# HELP nv_g say "a\\\\b"\\nc\n# TYPE nv_g gauge\nnv_g{model="x\\"} 1\\nnv_evil\\\\"} 1\n'
    )


@given(st.text(min_size=1).filter(lambda text: "\r" not in text))
def test_any_label_value_reads_back(value):
    """Prometheus's own parser reads every label value back as it was."""
    value = value.encode("utf-8", "replace").decode()
    families = list(text_string_to_metric_families(render(counter(1, model=value))))
    assert families[0].samples[0].labels == {"model": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (161, "161"),
        (161.0, "161"),
        (-2.0, "-2"),
        (2**70, "1180591620717411303424"),
        (2.0**53 - 1, "9007199254740991"),
        (2.0**53, "9007199254740992.0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "Nan"),
    ],
)
def test_value_text(value, text):
    """Whole numbers have no decimal point; other numbers have their shortest form."""
    assert format_value(value) == text


@given(st.one_of(st.integers(), st.floats(allow_nan=False)))
def test_any_value_reads_back(value):
    """No digit of a number is lost."""
    assert float(format_value(value)) == float(value) if abs(value) < 1e300 else True
