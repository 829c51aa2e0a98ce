"""The states of a version: every pair of state and event."""

import itertools

import pytest

from inferd.models.lifecycle import TRANSITIONS, VersionStatus

STATES = ("UNKNOWN", "LOADING", "READY", "UNLOADING", "UNAVAILABLE")
EVENTS = ("load", "loaded", "failed", "unload", "unloaded")


@pytest.mark.parametrize(("state", "event"), [*itertools.product(STATES, EVENTS)])
def test_only_what_the_table_says_can_happen(state, event):
    """Anything else is refused and changes nothing."""
    status = VersionStatus()
    status.state = state
    if (state, event) in TRANSITIONS:
        status.on(event, "why")
        assert (status.state, status.reason) == (TRANSITIONS[state, event], "why")
    else:
        with pytest.raises(ValueError, match=f"that is {state} cannot be {event}"):
            status.on(event)
        assert (status.state, status.reason) == (state, "")


def test_every_state_can_be_left_and_reached():
    """There is no dead end, and nothing that never happens."""
    assert {state for state, _ in TRANSITIONS} == set(STATES)
    assert set(TRANSITIONS.values()) == set(STATES) - {"UNKNOWN"}
