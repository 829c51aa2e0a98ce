"""
Chooses the execution providers of a session from the model config and the instance's place.

The names of accelerators and parameters are those of Triton's ONNX Runtime backend.
"""

from typing import Final

from inferd._generated.inference import ModelOptimizationPolicyExecutionAcceleratorsAccelerator
from inferd.backend import BackendError, ModelContext, ModelInstanceGroupKind

Options = tuple[tuple[str, str], ...]
Provider = tuple[str, Options]
"""A provider's name and options; tuples, so that choices can be compared and hashed."""

Accelerator = ModelOptimizationPolicyExecutionAcceleratorsAccelerator

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"
OPENVINO: Final = "OpenVINOExecutionProvider"

_CUDA_PARAMETERS: Final[dict[str, dict[str, str]]] = {
    "cudnn_conv_algo_search": {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"},
    "gpu_mem_limit": {},
    "arena_extend_strategy": {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"},
    "do_copy_in_default_stream": {},
}
"""Model parameter that is a CUDA option -> ONNX Runtime's words for Triton's numbers."""

_TENSORRT_PARAMETERS: Final = {
    "max_workspace_size_bytes": "trt_max_workspace_size",
    "int8_calibration_table_name": "trt_int8_calibration_table_name",
    "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
}

_PRECISION_MODES: Final[dict[str, dict[str, str]]] = {
    "FP32": {},
    "FP16": {"trt_fp16_enable": "1"},
    "INT8": {"trt_int8_enable": "1"},
}


def choose_providers(
    context: ModelContext, kind: ModelInstanceGroupKind, device_id: int
) -> tuple[Provider, ...]:
    """
    Return the providers to ask for, the preferred one first.

    Raises:
        BackendError: The config asks for an accelerator this backend does not know.
    """
    if kind == ModelInstanceGroupKind.GPU:
        return (*_gpu_providers(context, device_id), (CPU, ()))
    return (*_cpu_providers(context), (CPU, ()))


def _gpu_providers(context: ModelContext, device_id: int) -> list[Provider]:
    cuda = {"device_id": str(device_id), **_cuda_parameters(context)}
    preferred: list[Provider] = []
    for accelerator in _accelerators(context, "gpu"):
        if accelerator.name == "tensorrt":
            options = {"device_id": str(device_id), **_tensorrt_options(context, accelerator)}
            preferred.append((TENSORRT, tuple(options.items())))
        elif accelerator.name == "cuda":
            cuda |= accelerator.parameters
        else:
            raise _unknown(context, accelerator)
    return [*preferred, (CUDA, tuple(cuda.items()))]


def _cpu_providers(context: ModelContext) -> list[Provider]:
    preferred: list[Provider] = []
    for accelerator in _accelerators(context, "cpu"):
        if accelerator.name != "openvino":
            raise _unknown(context, accelerator)
        options = {"device_type": "CPU", **accelerator.parameters}
        preferred.append((OPENVINO, tuple(options.items())))
    return preferred


def _accelerators(context: ModelContext, side: str) -> list[Accelerator]:
    optimization = context.config.optimization
    accelerators = None if optimization is None else optimization.execution_accelerators
    if accelerators is None:
        return []
    if side == "gpu":
        return accelerators.gpu_execution_accelerator
    return accelerators.cpu_execution_accelerator


def _cuda_parameters(context: ModelContext) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, words in _CUDA_PARAMETERS.items():
        value = context.parameter(key)
        if value:
            found[key] = words.get(value, value)
    return found


def _tensorrt_options(context: ModelContext, accelerator: Accelerator) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, value in accelerator.parameters.items():
        if key == "precision_mode":
            if value not in _PRECISION_MODES:
                raise BackendError(
                    f"unsupported precision mode '{value}' is requested for model '{context.name}'"
                )
            options |= _PRECISION_MODES[value]
        else:
            options[_TENSORRT_PARAMETERS.get(key, key)] = value
    return options


def _unknown(context: ModelContext, accelerator: Accelerator) -> BackendError:
    return BackendError(
        f"unknown Execution Accelerator '{accelerator.name}' is requested for "
        f"model '{context.name}'"
    )
