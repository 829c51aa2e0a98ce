"""
Filling in what a model config leaves out: the backend from the model's file, then the defaults.

What only the model file knows (inputs, outputs, batching) is the backend's to fill in.
The rules are Triton's; the result is what ``/config`` shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from inferd._generated.inference import (
    ModelConfig,
    ModelDynamicBatching,
    ModelInstanceGroup,
    ModelInstanceGroupKind,
    ModelOptimizationPolicy,
    ModelOptimizationPolicyPinnedMemoryBuffer,
    ModelSequenceBatching,
    ModelSequenceBatchingStrategyOldest,
    ModelVersionPolicy,
    ModelVersionPolicyLatest,
)
from inferd.errors import LoadFailed

ENSEMBLE_PLATFORM: Final = "ensemble"
"""The platform of a model made of other models; it has no backend."""

SEQUENCE_IDLE_DEFAULT_MICROSECONDS: Final = 1_000_000

_PYTHON_FILENAME = "model.py"


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """
    One kind of model file.

    Attributes:
        backend: The backend that runs it.
        platforms: The platform names that ask for it, the preferred one first; empty
            when the backend has none.
        filename: The default name in a version folder.
        kind: What must be there to recognise it.
        fallback: Whether a config that names only the backend means this format.
    """

    backend: str
    platforms: tuple[str, ...]
    filename: str
    kind: Literal["file", "directory", "any"] = "file"
    fallback: bool = True


FORMATS: Final = (
    ModelFormat("tensorflow", ("tensorflow_graphdef",), "model.graphdef", fallback=False),
    ModelFormat(
        "tensorflow", ("tensorflow_savedmodel",), "model.savedmodel", "directory", fallback=False
    ),
    ModelFormat("tensorrt", ("tensorrt_plan",), "model.plan"),
    ModelFormat("onnxruntime", ("onnxruntime_onnx",), "model.onnx", "any"),
    ModelFormat("openvino", (), "model.xml", "any"),
    ModelFormat("pytorch", ("pytorch_libtorch", "libtorch"), "model.pt"),
    ModelFormat("pytorch", ("torch_aoti",), "model.pt2", fallback=False),
    ModelFormat("python", (), _PYTHON_FILENAME, "any"),
)
"""The known formats in the order they are looked for."""

BACKEND_OF_PLATFORM: Final[dict[str, str]] = {
    platform: known.backend for known in FORMATS for platform in known.platforms
}
"""Platform name -> the only backend it may be combined with."""


def detect_backend(config: ModelConfig, *, version_directory: Path | None) -> None:
    """
    Fill in ``backend``, ``platform`` and ``default_model_filename``, in place.

    What the config states is kept: a platform picks its backend, then a file name, then
    what lies in the version folder. ``config.name`` must be set already, since a model
    called ``<anything>.<backend>`` that states nothing gets that backend.

    Args:
        config: The config to complete.
        version_directory: The lexicographically first version folder, or ``None``.

    Raises:
        LoadFailed: Nothing tells the backend.
    """
    found = _named_format(config) or _stored_format(config, _entries(version_directory))
    if found is None:
        found = next((f for f in FORMATS if f.fallback and f.backend == config.backend), None)
    if found is not None:
        _apply(config, found)
    elif not (config.backend or config.platform or config.default_model_filename):
        _use_name_suffix(config)


def complete_defaults(config: ModelConfig, *, cpu_instance_count: int, gpu_count: int) -> None:
    """
    Fill in the defaults of versions, batching, optimization and instances, in place.

    Args:
        config: The config to complete, after the backend has completed it.
        cpu_instance_count: Instances of a ``KIND_CPU`` group that states no count.
        gpu_count: GPUs this model's backend can use; they are numbered from 0.
    """
    if config.version_policy is None:
        config.version_policy = ModelVersionPolicy(latest=ModelVersionPolicyLatest(num_versions=1))
    if config.dynamic_batching is not None:
        _default_preferred_batch_size(config.dynamic_batching, config.max_batch_size)
    if config.sequence_batching is not None:
        _complete_sequence_batching(config.sequence_batching, config.max_batch_size)
    if config.ensemble_scheduling is None:
        _complete_optimization(config)
        _complete_instance_groups(config, cpu_instance_count, gpu_count)


def _entries(version_directory: Path | None) -> dict[str, bool]:
    """Return entry name -> whether it is a folder."""
    if version_directory is None:
        return {}
    return {entry.name: entry.is_dir() for entry in version_directory.iterdir()}


def _candidates(config: ModelConfig) -> tuple[ModelFormat, ...]:
    return tuple(f for f in FORMATS if config.backend in ("", f.backend))


def _named_format(config: ModelConfig) -> ModelFormat | None:
    """Return the format the config's platform or file name stands for."""
    for known in _candidates(config):
        if config.platform in known.platforms:
            return known
    for known in _candidates(config):
        if config.default_model_filename == known.filename:
            return known
    return None


def _stored_format(config: ModelConfig, entries: Mapping[str, bool]) -> ModelFormat | None:
    """Return the first format whose default file is there, for a config that names none."""
    if config.platform or config.default_model_filename:
        return None
    for known in _candidates(config):
        is_directory = entries.get(known.filename)
        if is_directory is None:
            continue
        if known.kind == "any" or is_directory == (known.kind == "directory"):
            return known
    return None


def _apply(config: ModelConfig, found: ModelFormat) -> None:
    config.backend = config.backend or found.backend
    if not config.platform and found.platforms:
        config.platform = found.platforms[0]
    has_python_runtime = found.backend == "pytorch" and config.runtime == _PYTHON_FILENAME
    if not config.default_model_filename and not has_python_runtime:
        config.default_model_filename = found.filename


def _use_name_suffix(config: ModelConfig) -> None:
    _, dot, suffix = config.name.partition(".")
    if not dot:
        raise LoadFailed(
            f"Invalid model name: Could not determine backend for model '{config.name}' with no "
            "backend in model configuration. Expected model name of the form "
            "'model.<backend_name>'."
        )
    config.backend = suffix
    config.default_model_filename = f"model.{suffix}"


def _default_preferred_batch_size(
    batching: ModelDynamicBatching | ModelSequenceBatchingStrategyOldest, max_batch_size: int
) -> None:
    if not batching.preferred_batch_size and max_batch_size > 0:
        batching.preferred_batch_size = [max_batch_size]


def _complete_sequence_batching(batching: ModelSequenceBatching, max_batch_size: int) -> None:
    if not batching.max_sequence_idle_microseconds:
        batching.max_sequence_idle_microseconds = SEQUENCE_IDLE_DEFAULT_MICROSECONDS
    if batching.oldest is not None:
        _default_preferred_batch_size(batching.oldest, max_batch_size)


def _complete_optimization(config: ModelConfig) -> None:
    optimization = config.optimization
    if optimization is None:
        optimization = config.optimization = ModelOptimizationPolicy()
    if optimization.input_pinned_memory is None:
        optimization.input_pinned_memory = ModelOptimizationPolicyPinnedMemoryBuffer(enable=True)
    if optimization.output_pinned_memory is None:
        optimization.output_pinned_memory = ModelOptimizationPolicyPinnedMemoryBuffer(enable=True)


def _complete_instance_groups(config: ModelConfig, cpu_instance_count: int, gpu_count: int) -> None:
    if not config.instance_group:
        config.instance_group = [ModelInstanceGroup(name=config.name)]
    for index, group in enumerate(config.instance_group):
        group.name = group.name or f"{config.name}_{index}"
        if group.kind == ModelInstanceGroupKind.AUTO:
            group.kind = _automatic_kind(group, gpu_count)
        if group.count < 1:
            is_cpu = group.kind == ModelInstanceGroupKind.CPU
            group.count = cpu_instance_count if is_cpu else 1
        if group.kind == ModelInstanceGroupKind.GPU and not group.gpus:
            group.gpus = list(range(gpu_count))


def _automatic_kind(group: ModelInstanceGroup, gpu_count: int) -> ModelInstanceGroupKind:
    """Return GPU where there are GPUs and every listed one exists, else CPU."""
    if gpu_count and all(0 <= gpu < gpu_count for gpu in group.gpus):
        return ModelInstanceGroupKind.GPU
    return ModelInstanceGroupKind.CPU
