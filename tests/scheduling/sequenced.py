"""Queued requests of sequences for the tests of the table, and what is done with them."""

from inferd.protocol.messages import InferRequest
from inferd.scheduling.batcher import IDLE
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequences import SequenceTable


class Step:
    """A queued request."""

    def __init__(self, key=7, *, start=False, end=False, rows=1, at=0, shape_key=None, once=False):
        self.request = InferRequest(
            "m", {}, sequence_id=key, sequence_start=start, sequence_end=end
        )
        self.request.batch_size = rows
        self.shape_key = shape_key
        self.enqueued_ns = at
        self.discarded = self.again = False
        self.once = once


def table(slots=1, lanes=1, idle=100):
    """Return a table of the direct strategy."""
    return SequenceTable("m", [DirectLane(slots) for _ in range(lanes)], idle)


def add(sequences, key=7, *, at=0, **flags):
    """Queue a request and return it."""
    step = Step(key, at=at, **flags)
    sequences.admit(step, at)
    return step


def run(sequences, now=0, lane=0):
    """Execute what the lane has; return (key, START, END) of each row."""
    decision = sequences.decide(lane, now)
    if decision is IDLE:
        return []
    sequences.finish(decision.rows, now)
    return [(row.key, row.start, row.end) for row in decision.rows if row.ready]
