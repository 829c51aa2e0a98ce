"""Reading what h2load reports."""

import pytest
from load import parse_report

REPORT = """
finished in 1.41s, 70921.99 req/s, 9.06MB/s
requests: 100000 total, 100000 started, 100000 done, {good} succeeded, {bad} failed, 0 errored, 0 timeout
status codes: 100000 2xx, 0 3xx, 0 4xx, 0 5xx
"""  # noqa: E501


def test_the_rate_is_read():
    """From the line that says when it was finished."""
    assert parse_report(REPORT.format(good=100000, bad=0), 100_000) == 70_921.99


@pytest.mark.parametrize("text", [REPORT.format(good=99999, bad=1), "", "finished in 1s, 2 req/s"])
def test_a_run_that_was_not_answered_well_has_no_rate(text):
    """One failed request is enough, and so is a report that says nothing of them."""
    with pytest.raises(ValueError, match="not every request"):
        parse_report(text, 100_000)
