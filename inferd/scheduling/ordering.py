"""
Gives answers in the order their requests came, whatever order they were found in.

It knows neither futures nor instances: it holds an answer back until those before it are
there, and says which may go.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

E = TypeVar("E")
A = TypeVar("A")


class ArrivalOrder(Generic[E, A]):
    """The requests that have no answer yet or whose answer is held back, oldest first."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: OrderedDict[E, A | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, entry: E) -> None:
        """Note that a request came."""
        self._answers[entry] = None

    def drop(self, entry: E) -> list[tuple[E, A]]:
        """Forget a request that gets no answer; return what was held back for it alone."""
        del self._answers[entry]
        return self._released()

    def answer(self, entry: E, answer: A) -> list[tuple[E, A]]:
        """Take a request's answer; return the answers that may be given now, in order."""
        self._answers[entry] = answer
        return self._released()

    def _released(self) -> list[tuple[E, A]]:
        released: list[tuple[E, A]] = []
        while self._answers:
            entry, answer = next(iter(self._answers.items()))
            if answer is None:
                break
            del self._answers[entry]
            released.append((entry, answer))
        return released
