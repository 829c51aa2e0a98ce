"""
Writes metric families in Prometheus's text format, the way Triton's exporter does.

``prometheus_client`` appends ``_total`` to counters and prints every number as a float;
dashboards and scripts made for Triton know neither. Here counters keep their names, a
family without series is not mentioned at all, labels are sorted by name, and a whole
number has no decimal point.

Source: the exposition format 0.0.4 as prometheus-cpp, which Triton links, writes it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

CONTENT_TYPE: Final = "text/plain; charset=utf-8"
"""The ``Content-Type`` of a metrics answer (Triton's; it names no format version)."""

_LARGEST_EXACT_INTEGER: Final = 2**53
_KIND_NAMES: Final = {"unknown": "untyped", "info": "gauge"}
_LABEL_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n"})


class Sample(Protocol):
    """One series of a family and its value; ``prometheus_client.Sample`` is one."""

    @property
    def name(self) -> str:
        """The series' name; for counters the family's plus ``_total``."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Label name to value."""

    @property
    def value(self) -> float:
        """The value now."""


class Family(Protocol):
    """One metric with all its series; ``prometheus_client.Metric`` is one."""

    @property
    def name(self) -> str:
        """The metric's name."""

    @property
    def documentation(self) -> str:
        """The help text."""

    @property
    def type(self) -> str:
        """``counter``, ``gauge``, ``histogram``, ``summary``, ``unknown`` or ``info``."""

    @property
    def samples(self) -> Sequence[Sample]:
        """The series; for histograms and summaries several per label set."""


class Exposition:
    """The text of one scrape, put together from any number of readings."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def add(self, families: Iterable[Family]) -> None:
        """Append every family's series to those it already has; families without any are hidden."""
        for family in families:
            if family.samples:
                lines = self._lines.setdefault(family.name, [])
                if not lines:
                    lines += _heading(family)
                lines += _series(family)

    def encode(self) -> bytes:
        """Return the text, UTF-8, families in the order in which they came first."""
        return "".join(f"{line}\n" for lines in self._lines.values() for line in lines).encode()


def format_value(value: float) -> str:
    """
    Return the shortest text that reads back as ``value``.

    Whole numbers have no decimal point, because scripts written for Triton call ``int``
    on them; beyond 2^53, where a float skips integers, floats keep their exponent.
    """
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "Nan"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value.is_integer() and abs(value) < _LARGEST_EXACT_INTEGER:
        return str(int(value))
    return repr(value)


def _heading(family: Family) -> tuple[str, str]:
    name, kind = family.name, _KIND_NAMES.get(family.type, family.type)
    text = family.documentation.translate(_HELP_ESCAPES)
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _series(family: Family) -> list[str]:
    name = family.name
    suffixed = f"{name}_total" if family.type == "counter" else ""
    return [
        f"{name if sample.name == suffixed else sample.name}"
        f"{_labels_text(sample.labels)} {format_value(sample.value)}"
        for sample in family.samples
    ]


def _labels_text(labels: Mapping[str, str]) -> str:
    """
    Return ``{a="1",b="2"}``, or nothing when no label has a value.

    An empty value means the same as no label to Prometheus; the exporter fills the gaps
    of a family whose series have different labels with them.
    """
    bounds = [name for name in ("le", "quantile") if name in labels]
    names = sorted(name for name, value in labels.items() if value and name not in bounds)
    pairs = [f'{name}="{labels[name].translate(_LABEL_ESCAPES)}"' for name in names + bounds]
    return f"{{{','.join(pairs)}}}" if pairs else ""
