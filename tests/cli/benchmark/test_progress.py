"""Tests of the progress line."""

import io

from inferd.cli.benchmark.plan import Level, Plan
from inferd.cli.benchmark.progress import ProgressLine
from inferd.cli.benchmark.sample import Sample
from inferd.cli.benchmark.target import Target

TARGET = Target("box:1", None, Plan("http", "box", 1, ()), "m", "")


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self):
        """It is one."""
        return True


def test_terminal_shows_one_line_that_is_written_over():
    """A terminal gets the level and its failures; what follows soon is skipped."""
    out = Terminal()
    line = ProgressLine(out)
    line.show(TARGET, Level(4), 0, Sample(failures={"no": 2}))
    line.show(TARGET, Level(5), 0, Sample())
    line.clear()
    assert "4 in flight" in out.getvalue()
    assert "2 failed" in out.getvalue()
    assert "5 in flight" not in out.getvalue()
    assert "\n" not in out.getvalue()


def test_file_gets_nothing():
    """Nothing is written where nobody watches."""
    out = io.StringIO()
    ProgressLine(out).show(TARGET, Level(4), 0, Sample())
    ProgressLine(out).clear()
    assert out.getvalue() == ""
