"""Execution providers follow the instance's place and the config's accelerators."""

from pathlib import Path

import pytest
from inferd_backend_onnx.providers import choose_providers

from inferd._generated.inference import (
    ModelOptimizationPolicy,
    ModelOptimizationPolicyExecutionAccelerators,
    ModelOptimizationPolicyExecutionAcceleratorsAccelerator,
    ModelParameter,
)
from inferd.backend import BackendError, ModelConfig, ModelContext, ModelInstanceGroupKind

CPU, GPU = ModelInstanceGroupKind.CPU, ModelInstanceGroupKind.GPU
PLAIN_CPU = ("CPUExecutionProvider", ())


def context(gpu=None, cpu=None, parameters=None) -> ModelContext:
    """Return a model with accelerators (name -> parameters) and model parameters."""

    def accelerators(given):
        return [
            ModelOptimizationPolicyExecutionAcceleratorsAccelerator(name=name, parameters=options)
            for name, options in (given or {}).items()
        ]

    config = ModelConfig(
        name="m",
        parameters={k: ModelParameter(string_value=v) for k, v in (parameters or {}).items()},
        optimization=ModelOptimizationPolicy(
            execution_accelerators=ModelOptimizationPolicyExecutionAccelerators(
                gpu_execution_accelerator=accelerators(gpu),
                cpu_execution_accelerator=accelerators(cpu),
            )
        ),
    )
    return ModelContext("m", 1, config, Path("m"), Path("m/1"))


@pytest.mark.parametrize("kind", [CPU, ModelInstanceGroupKind.MODEL])
def test_cpu(kind):
    """Without accelerators an instance off the GPUs runs on the CPU provider alone."""
    plain = ModelContext("m", 1, ModelConfig(), Path("m"), Path("m/1"))

    assert choose_providers(plain, kind, 0) == (PLAIN_CPU,)


def test_gpu():
    """A GPU instance asks for CUDA on its device, with the CPU for what CUDA cannot do."""
    assert choose_providers(context(), GPU, 3) == (
        ("CUDAExecutionProvider", (("device_id", "3"),)),
        PLAIN_CPU,
    )


def test_cuda_parameters_of_the_model():
    """Triton's numbers become ONNX Runtime's words."""
    parameters = {
        "cudnn_conv_algo_search": "1",
        "gpu_mem_limit": "1000",
        "arena_extend_strategy": "1",
        "do_copy_in_default_stream": "0",
        "unrelated": "1",
    }

    ((_, options), _) = choose_providers(context(parameters=parameters), GPU, 0)

    assert dict(options) == {
        "device_id": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "gpu_mem_limit": "1000",
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": "0",
    }


def test_cuda_accelerator():
    """Parameters of the cuda accelerator are provider options."""
    ((name, options), _) = choose_providers(
        context(gpu={"cuda": {"enable_cuda_graph": "1"}}), GPU, 0
    )

    assert name == "CUDAExecutionProvider"
    assert ("enable_cuda_graph", "1") in options


def test_tensorrt_accelerator():
    """TensorRT comes before CUDA, on the same device, with Triton's parameters translated."""
    given = {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": "4096",
        "trt_engine_cache_enable": "1",
    }

    providers = choose_providers(context(gpu={"tensorrt": given}), GPU, 2)

    assert [name for name, _ in providers] == [
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert dict(providers[0][1]) == {
        "device_id": "2",
        "trt_fp16_enable": "1",
        "trt_max_workspace_size": "4096",
        "trt_engine_cache_enable": "1",
    }


@pytest.mark.parametrize(
    ("mode", "option"), [("FP32", None), ("FP16", "trt_fp16_enable"), ("INT8", "trt_int8_enable")]
)
def test_tensorrt_precision(mode, option):
    """The three precision modes are known."""
    providers = choose_providers(context(gpu={"tensorrt": {"precision_mode": mode}}), GPU, 0)

    assert set(dict(providers[0][1])) == {"device_id", option} - {None}


def test_openvino_accelerator():
    """OpenVINO comes before the plain CPU provider."""
    assert choose_providers(context(cpu={"openvino": {"num_of_threads": "4"}}), CPU, 0) == (
        ("OpenVINOExecutionProvider", (("device_type", "CPU"), ("num_of_threads", "4"))),
        PLAIN_CPU,
    )


def test_accelerators_of_the_other_side():
    """GPU accelerators do not concern an instance on the CPU, nor the other way round."""
    both = context(gpu={"tensorrt": {}}, cpu={"openvino": {}})

    assert [name for name, _ in choose_providers(both, CPU, 0)] == [
        "OpenVINOExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert "OpenVINOExecutionProvider" not in dict(choose_providers(both, GPU, 0))


@pytest.mark.parametrize(
    ("side", "kind", "message"),
    [
        (
            {"gpu": {"warp": {}}},
            GPU,
            "unknown Execution Accelerator 'warp' is requested for model 'm'",
        ),
        (
            {"cpu": {"cuda": {}}},
            CPU,
            "unknown Execution Accelerator 'cuda' is requested for model 'm'",
        ),
        (
            {"gpu": {"tensorrt": {"precision_mode": "FP4"}}},
            GPU,
            "unsupported precision mode 'FP4' is requested for model 'm'",
        ),
    ],
)
def test_unknown(side, kind, message):
    """What the backend does not know is refused by name."""
    with pytest.raises(BackendError) as caught:
        choose_providers(context(**side), kind, 0)

    assert caught.value.message == message
