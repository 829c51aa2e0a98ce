"""How long an HTTP client waits, from its headers."""

import pytest
from multidict import CIMultiDict

from inferd.errors import InvalidRequest
from inferd.frontends.http.deadlines import timeout_ms

OURS, ENVOYS = "inferd-timeout-ms", "x-envoy-expected-rq-timeout-ms"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 0),
        ({OURS: "250"}, 250),
        ({"Inferd-Timeout-Ms": " 250 "}, 250),
        ({ENVOYS: "15000"}, 15000),
        ({OURS: "250", ENVOYS: "15000"}, 250),
        ({OURS: "20000", ENVOYS: "15000"}, 15000),
        ({OURS: "0"}, 0),
        ({OURS: "0", ENVOYS: "15000"}, 15000),
        ({OURS: "250", ENVOYS: "0"}, 250),
        ({OURS: "9" * 15}, 10**15 - 1),
    ],
)
def test_the_shortest_time_counts(headers, expected):
    """In whichever header it is; 0 is for ever."""
    assert timeout_ms(CIMultiDict(headers)) == expected


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "1e3", "1_000", "٣", "1" * 16])
@pytest.mark.parametrize("name", [OURS, ENVOYS])
def test_what_is_no_number_is_refused(name, value):
    """The text names the header and what it holds."""
    with pytest.raises(InvalidRequest, match=f"invalid header {name} '{value}'"):
        timeout_ms(CIMultiDict({name: value}))
