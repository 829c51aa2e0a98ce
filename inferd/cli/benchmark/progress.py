"""Shows on a terminal, in one line that is written over, what is being measured."""

import time
from typing import Final, TextIO

from inferd.cli.benchmark.histogram_text import duration
from inferd.cli.benchmark.plan import Level
from inferd.cli.benchmark.report import heading
from inferd.cli.benchmark.sample import Sample
from inferd.cli.benchmark.target import Target

_PERIOD_SECONDS: Final = 0.2
_CLEAR: Final = "\r\x1b[K"


class ProgressLine:
    """
    The line.

    Args:
        out: Where it is written; nothing is, unless that is a terminal.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out if out.isatty() else None
        self._next = 0.0

    def show(self, target: Target, level: Level, window: int, sample: Sample) -> None:
        """Show a window so far, at most five times a second."""
        now = time.monotonic()
        if self._out is None or now < self._next:
            return
        self._next = now + _PERIOD_SECONDS
        failed = f"  {sample.failed:,} failed" if sample.failed else ""
        self._out.write(
            f"{_CLEAR}{target.name}  {heading(level)}  window {window + 1}  "
            f"{sample.elapsed_ns / 1e9:.1f} s  {sample.rate:,.0f}/s  "
            f"p99 {duration(sample.latencies.percentile(99))}{failed}"
        )
        self._out.flush()

    def clear(self) -> None:
        """Make room for other lines."""
        if self._out is not None:
            self._out.write(_CLEAR)
            self._out.flush()
