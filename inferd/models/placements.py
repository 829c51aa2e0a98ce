"""Where the instances of a completed config run."""

from collections.abc import Iterator

from inferd._generated.inference import ModelConfig, ModelInstanceGroup, ModelInstanceGroupKind
from inferd.backend import Placement


def placements(config: ModelConfig) -> Iterator[Placement]:
    """Yield where each instance of a completed config runs; passive groups have none."""
    for _, placement in placed_groups(config):
        yield placement


def placed_groups(config: ModelConfig) -> Iterator[tuple[ModelInstanceGroup, Placement]]:
    """Yield the group of each instance, and where it runs, in the order of the config."""
    for group in config.instance_group:
        if group.passive:
            continue
        for index, device in enumerate(_devices(group)):
            yield group, Placement(f"{group.name}_{index}", group.kind, device)


def _devices(group: ModelInstanceGroup) -> Iterator[int]:
    devices = group.gpus if group.kind == ModelInstanceGroupKind.GPU else [0]
    for device in devices:
        for _ in range(group.count):
            yield device
