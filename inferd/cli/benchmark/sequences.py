"""
The sequences one load process keeps alive: which comes next, where each begins and ends.

A sequence has one request in flight at most, so its requests arrive in order over any number of
connections. What is left of the sequences at the end of a level is ended, as perf_analyzer does.
"""

import random
from collections import deque
from collections.abc import Sequence as Entries
from dataclasses import dataclass

from inferd.cli.benchmark.plan import SequencePlan
from inferd.cli.benchmark.templates import Template


@dataclass(slots=True)
class LiveSequence:
    """
    One sequence.

    Attributes:
        number: Its id.
        left: How many requests it has left.
        entries: Its requests, in turn.
        position: How many were sent.
    """

    number: int
    left: int
    entries: Entries[Template]
    position: int = 0


class Sequences:
    """
    The sequences of one process.

    Args:
        plan: What sequences are made of.
        live: How many are alive at a time; there are as many ids.
        index: Which of the processes this is.
        processes: How many there are; each takes every ``processes``-th id and stream.

    Attributes:
        closing: Whether no sequence is begun any more, and each one's next request is its last.
    """

    def __init__(self, plan: SequencePlan, live: int, index: int, processes: int) -> None:
        self.closing = False
        self._plan = plan
        self._step = processes
        self._first = plan.first_id + index
        self._next_id = self._first
        self._used: set[int] = set()
        self._next_stream = index
        self._random = random.Random(index)
        self._unborn = live
        self._idle: deque[LiveSequence] = deque()

    @property
    def available(self) -> int:
        """How many requests could be sent now."""
        return len(self._idle) + (0 if self.closing else self._unborn)

    def take(self) -> tuple[LiveSequence, bytes]:
        """
        Return the sequence that has waited longest, or a new one, and its next request.

        Raises:
            IndexError: None is available.
        """
        if self._unborn and not self.closing:
            self._unborn -= 1
            sequence = self._begin()
        else:
            sequence = self._idle.popleft()
        sequence.left = 1 if self.closing else sequence.left
        template = sequence.entries[sequence.position % len(sequence.entries)]
        request = template.fill(
            sequence.number, start=sequence.position == 0, end=sequence.left == 1
        )
        sequence.position += 1
        sequence.left -= 1
        return sequence, request

    def answered(self, sequence: LiveSequence) -> None:
        """Go on with a sequence whose request was answered, or begin another in its place."""
        if sequence.left:
            self._idle.append(sequence)
        else:
            self.failed(sequence)

    def failed(self, sequence: LiveSequence) -> None:
        """Give up a sequence whose request failed; another is begun in its place."""
        self._used.discard(sequence.number)
        self._unborn += 1

    def _begin(self) -> LiveSequence:
        number = self._new_id()
        entries = self._plan.streams[self._next_stream % len(self._plan.streams)]
        self._next_stream += self._step
        return LiveSequence(number, self._length(len(entries)), entries)

    def _new_id(self) -> int:
        """Return the next id that no live sequence has."""
        while True:
            number = self._next_id
            self._next_id += self._step
            if self._plan.end_id and self._next_id >= self._plan.end_id:
                self._next_id = self._first
            if number not in self._used:
                self._used.add(number)
                return number

    def _length(self, entries: int) -> int:
        if not self._plan.length:
            return entries
        spread = self._plan.length * self._plan.variation / 100
        low, high = self._plan.length - spread, self._plan.length + spread
        return max(round(self._random.uniform(low, high)), 1)
