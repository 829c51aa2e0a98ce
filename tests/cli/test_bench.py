"""Tests of the command line of ``inferd bench``."""

import pytest

from inferd.__main__ import main
from inferd.cli import bench


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "grpc", "--json"], "use -i http"),
        (["--streaming"], "use -i grpc"),
        (["--grpc-compression-algorithm", "gzip"], "use -i grpc"),
        (["--shared-memory", "system"], "over the connection only"),
        (["--service-kind", "openai"], "KServe v2"),
        (["--binary-search", "-l", "5"], "--binary-search needs"),
        (["--binary-search", "--concurrency-range", "1:4"], "--latency-threshold"),
        (["--concurrency-range", "1:0"], "--latency-threshold"),
        (["--concurrency-range", "1:0", "-l", "5", "--compare", "b:1"], "--compare"),
        (["--request-intervals", "/nonexistent"], "/nonexistent"),
        (["--request-intervals", "f", "--concurrency-range", "1"], "not allowed with"),
        (["--plot", "x.gif"], ".svg, .png"),
    ],
)
def test_options_that_contradict_each_other(arguments, message, capsys):
    """What cannot be sent is refused before any server is asked."""
    try:
        code = main(["bench", "-m", "m", *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_help_says_from_when_latency_counts(capsys):
    """The help tells how latency is measured under a request rate."""
    with pytest.raises(SystemExit, match="0"):
        main(["bench", "--help"])
    assert "coordinated omission" in capsys.readouterr().out


def test_png_without_pillow(monkeypatch, capsys):
    """A plot that cannot be drawn is refused before anything is measured."""
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    assert main(["bench", "-m", "m", "--plot", "x.png"]) == 2
    assert "inferd[images]" in capsys.readouterr().err
