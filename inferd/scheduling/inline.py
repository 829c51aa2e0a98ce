"""
Decides whether a model is fast enough to run on the event loop itself.

Handing a batch to a thread and back costs about 10 us, more than a small model takes.
It knows no clock: it is told how long each execution took.
"""

from typing import Final, Literal

ExecutionPlace = Literal["auto", "inline", "thread"]
"""Where a model's executions run: as they turn out, always on the loop, never on it."""

LIMIT_NS: Final = 300_000
"""A model whose executions average less than this runs inline."""

PROBATION: Final = 8
"""Executions seen before the average counts, and again after each slow one."""

SLOW_FACTOR: Final = 4
"""One execution this many times over the limit ends running inline at once."""


class InlinePolicy:
    """
    The choice for one model version.

    Attributes:
        inline: Whether the next execution should run on the loop.
    """

    __slots__ = ("_average_ns", "_probation", "inline")

    def __init__(self) -> None:
        self.inline = False
        self._average_ns = 0
        self._probation = PROBATION

    def observe(self, elapsed_ns: int) -> None:
        """Take the backend's time of one execution into account, in nanoseconds."""
        if elapsed_ns > SLOW_FACTOR * LIMIT_NS:
            self.inline = False
            self._average_ns = elapsed_ns
            self._probation = PROBATION
            return
        self._average_ns += (elapsed_ns - self._average_ns) // 8
        if self._probation:
            self._probation -= 1
            return
        self.inline = self._average_ns < LIMIT_NS


class PinnedPolicy(InlinePolicy):
    """
    The choice for a version whose config makes it.

    Args:
        inline: Whether every execution runs on the loop.
    """

    __slots__ = ()

    def __init__(self, inline: bool) -> None:
        super().__init__()
        self.inline = inline

    def observe(self, elapsed_ns: int) -> None:
        """Change nothing, however long an execution takes."""


def inline_policy(place: ExecutionPlace) -> InlinePolicy:
    """Return the policy of one version."""
    return InlinePolicy() if place == "auto" else PinnedPolicy(place == "inline")
