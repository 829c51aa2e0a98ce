"""Turns ``sequence_batching`` of a config into the scheduler it describes."""

from collections.abc import Sequence
from pathlib import Path

from inferd._generated.inference import ModelConfig, ModelSequenceBatching
from inferd.backend import Instance
from inferd.models.loaded import is_decoupled
from inferd.scheduling.assembly import Assembler
from inferd.scheduling.inline import InlinePolicy
from inferd.scheduling.limited_instances import Permits
from inferd.scheduling.sequence_assembly import SequenceAssembler
from inferd.scheduling.sequence_controls import SequenceControls
from inferd.scheduling.sequence_oldest import OldestLane, OldestPolicy
from inferd.scheduling.sequence_rows import Lane
from inferd.scheduling.sequence_scheduler import SequenceScheduler
from inferd.scheduling.sequence_slots import DirectLane
from inferd.scheduling.sequence_state import SequenceStates
from inferd.scheduling.sequence_step import Step
from inferd.scheduling.sequences import SequenceTable, idle_ns
from inferd.scheduling.statistics import ModelStatistics


def read_states(config: ModelConfig, directory: Path) -> SequenceStates | None:
    """
    Read the implicit states of a validated config and their initial values. Blocks.

    Args:
        config: The model's config.
        directory: The model's folder; files are in its ``initial_state`` folder.

    Returns:
        The states, or ``None`` for a model without sequence batching.

    Raises:
        LoadFailed: A file cannot be read or does not have the state's size.
    """
    if config.sequence_batching is None:
        return None
    folder = (directory / "initial_state").resolve()

    def read(filename: str) -> bytes:
        path = (folder / filename).resolve()
        if not path.is_relative_to(folder):
            raise ValueError(f"'{filename}' is outside of the folder initial_state")
        return path.read_bytes()

    return SequenceStates.from_config(
        config.name, config.sequence_batching, batches=config.max_batch_size > 0, read=read
    )


def sequence_scheduler(
    config: ModelConfig,
    assembler: Assembler,
    states: SequenceStates,
    instances: Sequence[Instance],
    statistics: ModelStatistics,
    permits: Permits | None = None,
    inline: InlinePolicy | None = None,
) -> SequenceScheduler:
    """
    Return the scheduler of a validated config with sequence batching.

    Args:
        config: The model's config.
        assembler: Gathers and scatters what clients send and get.
        states: What :func:`read_states` returned.
        instances: The version's instances.
        statistics: Where executions and outcomes are counted.
        permits: What the instances need of the server's resources, if anything.
        inline: Decides whether executions run on the event loop; by their time if not given.
    """
    batching, name = config.sequence_batching, config.name
    assert batching is not None
    lanes = [lane(batching, config.max_batch_size) for _ in instances]
    controls = SequenceControls.from_config(name, batching, batches=config.max_batch_size > 0)
    return SequenceScheduler(
        SequenceTable(name, lanes, idle_ns(batching), iterative=batching.iterative_sequence),
        SequenceAssembler(assembler, controls, states, model_name=name),
        instances,
        statistics,
        name=name,
        decoupled=is_decoupled(config),
        permits=permits,
        inline=inline,
    )


def lane(batching: ModelSequenceBatching, max_batch_size: int) -> Lane[Step]:
    """Return the strategy of one instance; direct unless the config says otherwise."""
    rows = max(1, max_batch_size)
    oldest, direct = batching.oldest, batching.direct
    if oldest is not None:
        candidates = oldest.max_candidate_sequences
        return OldestLane(
            OldestPolicy(
                candidates=candidates if candidates > 0 else rows,
                max_rows=rows,
                max_queue_delay_ns=oldest.max_queue_delay_microseconds * 1000,
                preferred_rows=frozenset(oldest.preferred_batch_size),
                preserve_ordering=oldest.preserve_ordering,
            )
        )
    if direct is None:
        return DirectLane(rows)
    return DirectLane(
        rows, direct.max_queue_delay_microseconds * 1000, direct.minimum_slot_utilization
    )
