"""
Puts the response cache around a version's scheduler, and says what an ensemble's answers
come from.

An ensemble stays as it is while a model it is composed of is reloaded, so its answers are
known by the loads of all those models, and are not kept at all when one of them has a memory.
"""

from collections.abc import Callable

from inferd._generated.inference import ModelConfig
from inferd.errors import InferdError
from inferd.models.loaded import LoadedVersion, Scheduling
from inferd.scheduling.cache import ResponseCache
from inferd.scheduling.cached import CachedScheduler
from inferd.scheduling.kept_response import KeptResponse
from inferd.scheduling.statistics import ModelStatistics

FindLoaded = Callable[[str, str], LoadedVersion]
"""Model name and version as a client writes them -> what answers now, or an InferdError."""


def with_cache(
    scheduler: Scheduling,
    cache: ResponseCache[KeptResponse],
    config: ModelConfig,
    version: int,
    statistics: ModelStatistics,
    find: FindLoaded,
) -> CachedScheduler:
    """
    Return a scheduler that answers from the cache what it can.

    Args:
        scheduler: Answers the rest.
        cache: The server's cache.
        config: The model's config.
        version: The version number.
        statistics: The version's counters.
        find: What an ensemble looks its models up with.
    """
    sources = (lambda: sources_of(config, find)) if config.ensemble_scheduling else None
    return CachedScheduler(
        scheduler, cache, statistics, name=config.name, version=version, sources=sources
    )


def sources_of(config: ModelConfig, find: FindLoaded) -> tuple[int, ...] | None:
    """
    Return the loads that an ensemble's answer comes from, at any depth.

    Returns:
        Their generations; ``None`` when an answer must not be kept: a model has sequences
        or is decoupled, or does not serve now.
    """
    generations: list[int] = []
    for step in config.ensemble_scheduling.step if config.ensemble_scheduling else ():
        version = str(step.model_version) if step.model_version > 0 else ""
        try:
            loaded = find(step.model_name, version)
        except InferdError:
            return None
        inner = None if _has_memory(loaded.config) else sources_of(loaded.config, find)
        if inner is None:
            return None
        generations += (loaded.generation, *inner)
    return tuple(generations)


def _has_memory(config: ModelConfig) -> bool:
    policy = config.model_transaction_policy
    return config.sequence_batching is not None or (policy is not None and policy.decoupled)
