"""
How long an execution of a model takes, judging by its latest executions, without a clock.

Two numbers, because two questions are asked: whether a request can still be answered in
time, where only the hopeless may be given up, and when its batch must start, where some
time to spare is right.
"""

from typing import Final

WINDOW: Final = 16
"""Executions looked back on: at least so many, at most twice as many."""

SPARE_NS: Final = 5_000_000
"""Kept free beside the longest execution: timers are late when the event loop is busy."""


class ExecutionEstimate:
    """
    What to expect of the next execution of one model version.

    Attributes:
        least_ns: No execution is faster, as far as is known; 0 until enough were seen.
        ample_ns: An execution begun so long before a deadline is over by then.
    """

    __slots__ = ("_longest_ns", "_measured_ns", "_seen", "_shortest_ns", "ample_ns", "least_ns")

    def __init__(self) -> None:
        self.least_ns = self._measured_ns = 0
        self.ample_ns = SPARE_NS
        self._seen = 0
        self._longest_ns = 0
        self._shortest_ns = 0

    def observe(self, elapsed_ns: int) -> None:
        """Take an execution into account, from its start to its answers, in nanoseconds."""
        if not self._seen or elapsed_ns < self._shortest_ns:
            self._shortest_ns = elapsed_ns
        self._longest_ns = max(self._longest_ns, elapsed_ns)
        self._seen += 1
        # What is better known only tightens the numbers until the window is full.
        self._measured_ns = min(self._measured_ns, elapsed_ns)
        self.ample_ns = max(self.ample_ns, elapsed_ns + SPARE_NS)
        if self._seen == WINDOW:
            self._measured_ns = self._shortest_ns
            self.ample_ns = self._longest_ns + SPARE_NS
            self._seen = self._longest_ns = 0
        self.least_ns = self._measured_ns

    def doubt(self) -> None:
        """
        Expect a little less, until the next execution says how long it takes.

        To be called when requests were given up before their deadline: if the model has
        become faster, nothing else would show it, since none of them is executed.
        """
        self.least_ns = self.least_ns * 7 // 8
