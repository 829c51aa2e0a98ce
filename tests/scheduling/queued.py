"""Requests as a batcher sees them, and a batcher to queue them in."""

from dataclasses import dataclass

from inferd.scheduling.batcher import Batcher
from inferd.scheduling.policy import PLAIN, BatchPolicy


@dataclass(eq=False)
class Queued:
    """A queued request."""

    rows: int = 1
    shape_key: object = None
    enqueued_ns: int = 0
    priority: int = 0
    timeout_us: int = 0
    deadline_ns: int = 0


def batcher(max_rows=4, delay_ns=0, preferred=(), combines=True, priorities=PLAIN):
    """Return an empty batcher."""
    return Batcher(BatchPolicy(max_rows, combines, delay_ns, frozenset(preferred), priorities))


def filled(queue, *entries):
    """Queue entries and return them."""
    for entry in entries:
        assert queue.add(entry) is None
    return list(entries)
