"""
Says what the scheduler of a loaded version is, beside what it looks like now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from inferd._generated.inference import ModelConfig
from inferd.models.loaded import LoadedVersion
from inferd.models.placements import placements
from inferd.scheduling.snapshot import SchedulerSnapshot

SchedulerKind = Literal["default", "dynamic", "sequence_direct", "sequence_oldest", "ensemble"]
"""Which scheduler a config asks for; a config that names none has the default one."""


@dataclass(frozen=True, slots=True)
class SchedulerReport:
    """
    A version's scheduler.

    Attributes:
        model: The model's name.
        version: The version number.
        kind: Which scheduler it is.
        cached: Whether the response cache answers before it.
        instances: The names of the version's instances, in order.
        snapshot: What it looks like now.
    """

    model: str
    version: int
    kind: SchedulerKind
    cached: bool
    instances: Sequence[str]
    snapshot: SchedulerSnapshot


def report(loaded: LoadedVersion) -> SchedulerReport:
    """Return the report of a version that serves."""
    config = loaded.config
    return SchedulerReport(
        model=loaded.name,
        version=loaded.version,
        kind=kind_of(config),
        cached=loaded.statistics.uses_cache,
        instances=[place.name for place in placements(config)],
        snapshot=loaded.scheduler.snapshot(),
    )


def kind_of(config: ModelConfig) -> SchedulerKind:
    """Return the kind of scheduler a completed config has."""
    if config.ensemble_scheduling is not None:
        return "ensemble"
    if config.sequence_batching is not None:
        return "sequence_direct" if config.sequence_batching.oldest is None else "sequence_oldest"
    return "default" if config.dynamic_batching is None else "dynamic"
