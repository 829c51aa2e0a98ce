"""The check of ``dynamic_batching``: preferred sizes, priority levels, queue policies."""

from collections.abc import Iterable

from inferd._generated.inference import (
    ModelDynamicBatching,
    ModelQueuePolicy,
    ModelQueuePolicyTimeoutAction,
)
from inferd.errors import LoadFailed


def check_dynamic_batching(batching: ModelDynamicBatching, max_batch_size: int, model: str) -> None:
    """
    Check the dynamic batcher of a model.

    Raises:
        LoadFailed: The first thing that is wrong.
    """
    check_preferred_batch_sizes(
        batching.preferred_batch_size, max_batch_size, "dynamic batching preferred size", model
    )
    if batching.priority_levels:
        _check_priorities(batching, model)
    if batching.preserve_ordering:
        _check_ordering(batching, model)


def check_preferred_batch_sizes(
    sizes: Iterable[int], max_batch_size: int, what: str, model: str
) -> None:
    """
    Check that preferred batch sizes are from 1 to the largest batch.

    Raises:
        LoadFailed: One is not.
    """
    for size in sizes:
        if size <= 0:
            raise LoadFailed(f"{what} must be positive for {model}")
        if size > max_batch_size:
            raise LoadFailed(f"{what} must be <= max batch size for {model}")


def _check_priorities(batching: ModelDynamicBatching, model: str) -> None:
    levels = batching.priority_levels
    if not 1 <= batching.default_priority_level <= levels:
        raise LoadFailed(f"default priority level must be in range [1, {levels}] for {model}")
    if any(not 1 <= level <= levels for level in batching.priority_queue_policy):
        raise LoadFailed(
            f"priority queue policy must have priority level in range [1, {levels}] for {model}"
        )


def _check_ordering(batching: ModelDynamicBatching, model: str) -> None:
    """Check that nothing lets a later request overtake an earlier one."""
    if batching.priority_levels > 1:
        raise LoadFailed(
            f"Only one priority level is allowed when 'preserve_ordering' is true for {model}"
        )
    policies = [batching.default_queue_policy, *batching.priority_queue_policy.values()]
    if any(_delays(policy) for policy in policies):
        raise LoadFailed(
            "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true "
            f"for {model}"
        )


def _delays(policy: ModelQueuePolicy | None) -> bool:
    return (
        policy is not None
        and policy.default_timeout_microseconds != 0
        and policy.timeout_action == ModelQueuePolicyTimeoutAction.DELAY
    )
