"""
Shares the CPUs this process may use among the sessions that state no thread count.

A session runs an operator on the thread that calls it and on the threads of its own pool,
which its instances share. Threads that wait for each other within an operator do so
busily, so that more of them than CPUs make all models slower, not only the idle CPUs
busier. A count is fixed when a session is made, and given back when its model is closed.
"""

import logging
import threading
from typing import Final
from weakref import WeakValueDictionary

logger = logging.getLogger(__name__)

Model = tuple[str, int]
"""A model's name and version."""

FEWEST: Final = 1
"""Threads an operator has though no CPU is left: the one that calls."""


class Share:
    """
    The CPUs of one model version, for as long as something refers to it.

    Attributes:
        threads: Threads one operator may use, the calling one included.
        cpus: What that takes of the CPUs when all instances execute.
    """

    __slots__ = ("__weakref__", "cpus", "threads")

    def __init__(self, threads: int, cpus: int) -> None:
        self.threads = threads
        self.cpus = cpus


class ThreadBudget:
    """
    The CPUs of the process and who has them.

    Args:
        cpus: How many there are.
    """

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self._shares: WeakValueDictionary[tuple[Model, int, bool], Share] = WeakValueDictionary()
        self._lock = threading.Lock()

    def share(self, model: Model, instances: int, *, separate: bool) -> Share:
        """
        Return the share of a version; the one it has if it has one.

        It is what other models leave, so that the threads of all together are no more than
        the CPUs, but at least one thread per instance. Another version of the model counts
        for nothing: as a rule this one replaces it.

        Args:
            model: The version.
            instances: How many there are.
            separate: Whether each has a session, and a pool of threads, of its own.
        """
        key = model, instances, separate
        with self._lock:
            found = self._shares.get(key)
            if found is None:
                taken = sum(
                    share.cpus
                    for (other, *_), share in self._shares.items()
                    if other[0] != model[0]
                )
                found = _share(self.cpus - taken, instances, separate)
                self._shares[key] = found
                self._report(model, found, _share(self.cpus, instances, separate))
        return found

    def _report(self, model: Model, share: Share, alone: Share) -> None:
        if share.threads < alone.threads:
            logger.info(
                "model '%s' version %s: %d of %d threads per operator, since other models have "
                "the other CPUs; see the parameter intra_op_thread_count",
                *model,
                share.threads,
                alone.threads,
            )


def _share(left: int, instances: int, separate: bool) -> Share:
    if separate:
        threads = max(FEWEST, left // instances)
        return Share(threads, threads * instances)
    threads = max(FEWEST, left - instances + 1)
    return Share(threads, threads - 1 + instances)
