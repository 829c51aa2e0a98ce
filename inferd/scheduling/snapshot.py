"""
What a scheduler looks like at one moment, for whoever asks why requests wait.

Plain values: a snapshot refers to no request and does not change. Durations are
microseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueLevel:
    """
    The requests that wait in one priority level.

    Attributes:
        level: The level; 1 is served first.
        waiting: How many wait, the delayed ones included.
        delayed: How many of them waited longer than their timeout and are behind the others.
        oldest_wait_us: How long the oldest of them has waited.
    """

    level: int
    waiting: int
    delayed: int
    oldest_wait_us: int


@dataclass(frozen=True, slots=True)
class ExecutingBatch:
    """
    A batch that executes now.

    Attributes:
        instance: The instance's place among the version's instances.
        size: Its rows.
        requests: How many requests are in it.
        reason: Why it closed.
        elapsed_us: How long ago it was given to the instance.
    """

    instance: int
    size: int
    requests: int
    reason: str
    elapsed_us: int


@dataclass(frozen=True, slots=True)
class PastBatch:
    """
    A batch that was executed.

    Attributes:
        started_ms: When its execution began, in milliseconds since the epoch.
        instance: The instance's place among the version's instances.
        size: Its rows.
        requests: How many requests were in it.
        reason: Why it closed.
        queue_us: How long each request waited, in the order of the batch.
        compute_input_us: How long gathering took.
        compute_infer_us: How long the backend took; for an execution that failed, until it did.
        compute_output_us: How long scattering took.
        failed: How many requests were answered with an error.
    """

    started_ms: int
    instance: int
    size: int
    requests: int
    reason: str
    queue_us: Sequence[int]
    compute_input_us: int
    compute_infer_us: int
    compute_output_us: int
    failed: int


@dataclass(frozen=True, slots=True)
class Batches:
    """
    The batches since the version was loaded.

    Attributes:
        executing: Those that execute now, by instance.
        closes: Reason -> how many closed for it, those that execute left out.
        sizes: Rows -> how many batches had as many.
        recent: The last ones, the newest first.
    """

    executing: Sequence[ExecutingBatch]
    closes: Mapping[str, int]
    sizes: Mapping[int, int]
    recent: Sequence[PastBatch]


@dataclass(frozen=True, slots=True)
class InstanceState:
    """
    One instance.

    Attributes:
        busy: Whether it executes.
        slots_used: Sequences that have a place on it; ``None`` where there are no sequences.
    """

    busy: bool
    slots_used: int | None = None


@dataclass(frozen=True, slots=True)
class Sequences:
    """
    The sequences of a version.

    Attributes:
        live: Those that have started and not ended.
        backlog: Those of them that wait for a place.
    """

    live: int
    backlog: int


@dataclass(frozen=True, slots=True)
class EnsembleStep:
    """
    One step of an ensemble.

    Attributes:
        model: The model it asks.
        requests: How many requests are in it.
    """

    model: str
    requests: int


@dataclass(frozen=True, slots=True)
class SchedulerSnapshot:
    """
    A scheduler at one moment. An ensemble has neither a queue, nor instances, nor batches.

    Attributes:
        inflight: Requests queued plus batches executing; requests of an ensemble.
        levels: The priority levels that hold requests, the first served first.
        instances: The version's instances, in order.
        inline: Whether executions run on the event loop and not on the instances' threads.
        batches: What was executed; ``None`` for an ensemble.
        sequences: For a version with sequence batching.
        steps: The steps of an ensemble, in the config's order.
    """

    inflight: int
    levels: Sequence[QueueLevel] = ()
    instances: Sequence[InstanceState] = ()
    inline: bool = False
    batches: Batches | None = None
    sequences: Sequences | None = None
    steps: Sequence[EnsembleStep] = ()
