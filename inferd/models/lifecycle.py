"""
The states of a model version and what may follow what.

A table, tested as a product of states and events; it does no I/O. The state names are
the ones the repository index reports on the wire.
"""

from typing import Final, Literal

State = Literal["UNKNOWN", "LOADING", "READY", "UNLOADING", "UNAVAILABLE"]
Event = Literal["load", "loaded", "failed", "unload", "unloaded"]

TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    ("UNKNOWN", "load"): "LOADING",
    ("UNAVAILABLE", "load"): "LOADING",
    ("LOADING", "loaded"): "READY",
    ("LOADING", "failed"): "UNAVAILABLE",
    ("READY", "loaded"): "READY",
    ("READY", "unload"): "UNLOADING",
    ("UNLOADING", "unloaded"): "UNAVAILABLE",
    ("UNLOADING", "load"): "LOADING",
}
"""
(state, event) -> state. A READY version is replaced in place by a reload, and one that is
still being freed may be loaded again.
"""


class VersionStatus:
    """
    The state of one version and why it is in it.

    Attributes:
        state: The current state.
        reason: Why it is UNAVAILABLE; ``""`` otherwise.
    """

    __slots__ = ("reason", "state")

    def __init__(self) -> None:
        self.state: State = "UNKNOWN"
        self.reason = ""

    def on(self, event: Event, reason: str = "") -> None:
        """
        Go to the state that follows.

        Raises:
            ValueError: The event cannot happen in this state.
        """
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise ValueError(f"a version that is {self.state} cannot be {event}")
        self.state = following
        self.reason = reason
