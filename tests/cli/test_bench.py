"""Tests of the command line of ``inferd bench``."""

import pytest

from inferd.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "grpc", "--json"], "use -i http"),
        (["--streaming"], "use -i grpc"),
    ],
)
def test_options_that_contradict_each_other(arguments, message, capsys):
    """What cannot be sent is refused before any server is asked."""
    assert main(["bench", "-m", "m", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_help_says_from_when_latency_counts(capsys):
    """The help tells how latency is measured under a request rate."""
    with pytest.raises(SystemExit, match="0"):
        main(["bench", "--help"])
    assert "coordinated omission" in capsys.readouterr().out
