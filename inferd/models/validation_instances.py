"""The check of a model config's instance groups."""

from inferd._generated.inference import ModelConfig, ModelInstanceGroup, ModelInstanceGroupKind
from inferd.errors import LoadFailed

_TENSORRT_PLATFORM = "tensorrt_plan"
_MINIMUM_COMPUTE_CAPABILITY = "6.000000"


def check_instance_groups(config: ModelConfig, gpu_count: int) -> None:
    """
    Check every instance group of a completed config.

    Args:
        config: The config; an ensemble has no groups.
        gpu_count: GPUs this process can use, numbered from 0.

    Raises:
        LoadFailed: The first thing that is wrong.
    """
    if config.ensemble_scheduling is not None:
        return
    if not config.instance_group:
        raise LoadFailed(f"must specify one or more 'instance group's for {config.name}")
    names: set[str] = set()
    for group in config.instance_group:
        if group.name in names:
            raise LoadFailed(
                f"instance group '{group.name}' is specified more than once for {config.name}"
            )
        names.add(group.name)
        place = f"instance group {group.name} of model {config.name}"
        _check_devices(group, place, gpu_count)
        _check_profiles(group, place, config.platform)
    if all(group.passive for group in config.instance_group):
        raise LoadFailed(
            f"every instance group of model {config.name} is passive, so that no instance would "
            "execute its requests"
        )


def _check_devices(group: ModelInstanceGroup, place: str, gpu_count: int) -> None:
    if group.kind == ModelInstanceGroupKind.GPU:
        _check_gpus(group, place, gpu_count)
    elif group.kind not in (ModelInstanceGroupKind.CPU, ModelInstanceGroupKind.MODEL):
        raise LoadFailed(f"{place} has unexpected kind {_kind_name(group.kind)}")
    elif group.gpus:
        raise LoadFailed(
            f"{place} has kind {_kind_name(group.kind)} but specifies one or more GPUs"
        )


def _check_gpus(group: ModelInstanceGroup, place: str, gpu_count: int) -> None:
    if not group.gpus:
        reason = "specifies no GPUs" if gpu_count else "no GPUs are available"
        raise LoadFailed(f"{place} has kind KIND_GPU but {reason}")
    for gpu in group.gpus:
        if not 0 <= gpu < gpu_count:
            raise LoadFailed(
                f"{place} specifies invalid or unsupported gpu id {gpu}. GPUs with at least the "
                "minimum required CUDA compute compatibility of "
                f"{_MINIMUM_COMPUTE_CAPABILITY} are: {', '.join(map(str, range(gpu_count)))}"
            )


def _kind_name(kind: ModelInstanceGroupKind) -> str:
    """Return the config's name; betterproto2 has none for a number the schema lacks."""
    return f"KIND_{kind.name}" if kind.name else str(int(kind))


def _check_profiles(group: ModelInstanceGroup, place: str, platform: str) -> None:
    """Check the TensorRT profiles; the missing blank in the first text is Triton's."""
    if group.profile and platform != _TENSORRT_PLATFORM:
        raise LoadFailed(
            f"{place} and platform {platform}specifies profile field which is only supported for "
            "TensorRT models"
        )
    for profile in group.profile:
        if not (profile.isascii() and profile.isdigit()):
            raise LoadFailed(
                f"{place} and platform {platform} specifies invalid profile {profile}. The field "
                "should contain the string representation of a non-negative integer."
            )
