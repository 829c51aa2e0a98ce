"""The check of a model config's inputs and outputs."""

import math
from collections.abc import Iterable, Sequence

from inferd._generated.inference import ModelConfig, ModelInput, ModelInputFormat, ModelOutput
from inferd.errors import LoadFailed
from inferd.protocol.datatypes import BY_CONFIG

_TENSORRT_PLATFORM = "tensorrt_plan"


_SCALAR_BACKENDS = ("onnx", "onnxruntime")
"""Their graphs may have scalars; completion then writes an empty reshape, also without a batch."""


def check_tensors(config: ModelConfig) -> None:
    """
    Check every input and output.

    Raises:
        LoadFailed: The first thing that is wrong.
    """
    for tensor in config.input:
        _check_tensor(tensor, "model input", config)
        if tensor.format != ModelInputFormat.NONE and len(tensor.dims) != 3:
            raise LoadFailed(f"model input NHWC/NCHW require 3 dims for {config.name}")
        _check_tensorrt_only(tensor, "input", config)
    for output in config.output:
        _check_tensor(output, "model output", config)
        _check_tensorrt_only(output, "output", config)
    _check_unique((tensor.name for tensor in config.input), "model input", config.name)
    _check_unique((tensor.name for tensor in config.output), "model output", config.name)
    if not config.output:
        raise LoadFailed(
            "model configuration must contain at least one output, none were specified."
        )


def _check_tensor(tensor: ModelInput | ModelOutput, kind: str, config: ModelConfig) -> None:
    if not tensor.name:
        raise LoadFailed(f"{kind} must specify 'name' for {config.name}")
    place = f"{kind} '{tensor.name}'"
    if tensor.data_type not in BY_CONFIG:
        raise LoadFailed(f"{place} must specify 'data_type' for {config.name}")
    if not tensor.dims:
        raise LoadFailed(f"{place} must specify 'dims' for {config.name}")
    if _is_scalar(tensor) and not config.max_batch_size and config.backend not in _SCALAR_BACKENDS:
        raise LoadFailed(
            f"{place} cannot have empty reshape for non-batching model as scalar tensors are "
            f"not supported for {config.name}"
        )
    _check_dims(tensor.dims, f"{place} dimension", config.name)
    if tensor.reshape is not None:
        _check_dims(tensor.reshape.shape, f"{place} reshape dimensions", config.name)
        _check_reshape(tensor.dims, tensor.reshape.shape, place, config.name)


def _check_dims(dims: Iterable[int], what: str, model: str) -> None:
    if any(dim < 1 and dim != -1 for dim in dims):
        raise LoadFailed(
            f"{what} must be integer >= 1, or -1 to indicate a variable-size dimension for {model}"
        )


def _check_reshape(dims: Sequence[int], shape: Sequence[int], place: str, model: str) -> None:
    """Check that a reshape keeps the element count between any two variable dimensions."""
    if (-1 in dims) != (-1 in shape):
        raise LoadFailed(f"{place} has different size for dims and reshape for {model}")
    before, after = _fixed_sizes(dims), _fixed_sizes(shape)
    if len(before) != len(after):
        raise LoadFailed(
            f"{place} has different number of variable-size dimensions for dims and reshape "
            f"for {model}"
        )
    if before != after:
        raise LoadFailed(f"{place} has different size for dims and reshape for {model}")


def _fixed_sizes(dims: Sequence[int]) -> list[int]:
    """Return the element counts of the runs of fixed dimensions around the variable ones."""
    runs: list[list[int]] = [[]]
    for dim in dims:
        if dim == -1:
            runs.append([])
        else:
            runs[-1].append(dim)
    return [math.prod(run) for run in runs]


def _check_tensorrt_only(tensor: ModelInput | ModelOutput, kind: str, config: ModelConfig) -> None:
    is_tensorrt = config.platform == _TENSORRT_PLATFORM
    if tensor.is_shape_tensor and not is_tensorrt:
        raise LoadFailed(
            f"shape tensors are only supported for TensorRT platform for {config.name}"
        )
    if not tensor.is_non_linear_format_io:
        return
    if not is_tensorrt:
        raise LoadFailed(
            f"Non-linear IO format is only supported for the TensorRT platform for {config.name}"
        )
    if len(tensor.dims) != 3:
        raise LoadFailed(f"Non-linear IO format {kind} requires 3 dims for {config.name}")


def _is_scalar(tensor: ModelInput | ModelOutput) -> bool:
    return tensor.reshape is not None and not tensor.reshape.shape


def _check_unique(names: Iterable[str], kind: str, model: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise LoadFailed(f"{kind} '{name}' is specified more than once for {model}")
        seen.add(name)
