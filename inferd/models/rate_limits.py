"""
What a config's ``instance_group.rate_limiter`` says, checked and as the rate limiter needs it.

Without ``--rate-limit=execution_count`` the field is ignored, wrong or not, as Triton does.
"""

import logging

from inferd._generated.inference import ModelConfig, ModelInstanceGroup
from inferd.errors import LoadFailed
from inferd.models.placements import placed_groups
from inferd.scheduling.limited_instances import Permits, SharedResources
from inferd.scheduling.rate_limiter import GLOBAL, Claim, Resource

logger = logging.getLogger(__name__)


def check_rate_limits(config: ModelConfig, *, limited: bool) -> None:
    """
    Check the rate limiter of every instance group of a completed config.

    Args:
        config: The config.
        limited: Whether the server limits executions; if not, a config that asks for it is
            only reported in the log.

    Raises:
        LoadFailed: A resource cannot be understood; the message names the group.
    """
    groups = [group for group in config.instance_group if group.rate_limiter is not None]
    if groups and not limited:
        logger.warning(
            "model '%s': 'instance_group.rate_limiter' has no effect, since the server does not "
            "limit executions; see --rate-limit",
            config.name,
        )
        return
    for group in groups:
        _check(group, f"instance group {group.name} of model {config.name}")


def permits_of(config: ModelConfig, resources: SharedResources | None) -> Permits | None:
    """
    Declare what the instances of one version need. Callable from any thread.

    Args:
        config: The completed and checked config.
        resources: The server's; ``None`` when it does not limit executions.

    Returns:
        What they need, to be retracted when they are gone; ``None`` when they need nothing.

    Raises:
        LoadFailed: There is not as much, or another model has the resource otherwise.
    """
    if resources is None:
        return None
    claims = [_claim(group, place.device_id) for group, place in placed_groups(config)]
    if not any(claim.needs for claim in claims):
        return None
    return resources.declare(claims, config.name)


def _claim(group: ModelInstanceGroup, device: int) -> Claim:
    limiter = group.rate_limiter
    if limiter is None:
        return Claim({})
    needs = {
        Resource(one.name, GLOBAL if one.global_ else device): one.count
        for one in limiter.resources
    }
    return Claim(needs, limiter.priority)


def _check(group: ModelInstanceGroup, place: str) -> None:
    names: set[str] = set()
    for resource in group.rate_limiter.resources if group.rate_limiter else ():
        if not resource.name:
            raise LoadFailed(f"{place} has a rate_limiter resource without a name")
        if resource.name in names:
            raise LoadFailed(f"{place} lists rate_limiter resource '{resource.name}' twice")
        names.add(resource.name)
        if resource.count < 1:
            raise LoadFailed(
                f"{place} needs {resource.count} of rate_limiter resource '{resource.name}', "
                "expected at least 1"
            )
