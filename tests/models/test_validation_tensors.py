"""Tests of the check of inputs and outputs."""

import pytest

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.validation_tensors import check_tensors

FP32 = "data_type: TYPE_FP32"
OUTPUT = f'output {{ name: "O" {FP32} dims: 1 }}'


def _config(text: str) -> ModelConfig:
    return model_config.parse_text(f'name: "m" {text}', "config.pbtxt")


def _input(fields: str, rest: str = "") -> str:
    return f'input {{ name: "I" {FP32} {fields} }} {OUTPUT} {rest}'


def _reshape(dims: str, shape: str, *, batch: int = 8) -> str:
    return _input(f"dims: [{dims}] reshape {{ shape: [{shape}] }}", f"max_batch_size: {batch}")


@pytest.mark.parametrize(
    "text",
    [
        OUTPUT,
        _input("dims: 1 reshape { }", 'backend: "onnxruntime"'),
        _input("dims: [ -1, 1, 3 ]"),
        _input("dims: [ 3, 4, 5 ] format: FORMAT_NCHW"),
        _input("dims: [ 3, 4 ]"),
        _reshape("1", ""),
        _reshape("2, 3", "6"),
        _reshape("2, 4, -1, 6", "8, -1, 1, 6"),
        _reshape("-1", "-1, 1"),
        _reshape("4", "2, 2", batch=0),
        _input("dims: [ 3, 4, 5 ] is_non_linear_format_io: true", 'platform: "tensorrt_plan"'),
        _input("dims: 1 is_shape_tensor: true", 'platform: "tensorrt_plan"'),
        f'input {{ name: "X" {FP32} dims: 1 }} output {{ name: "X" {FP32} dims: 1 }}',
    ],
)
def test_sound_tensors_are_accepted(text: str) -> None:
    """Tensors Triton accepts are not refused."""
    check_tensors(_config(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input { }", "model input must specify 'name' for m"),
        ('input { name: "I" }', "model input 'I' must specify 'data_type' for m"),
        ('input { name: "I" data_type: 77 }', "model input 'I' must specify 'data_type' for m"),
        (_input(""), "model input 'I' must specify 'dims' for m"),
        ("output { }", "model output must specify 'name' for m"),
        (f'output {{ name: "O" {FP32} }}', "model output 'O' must specify 'dims' for m"),
        (
            _input("dims: [ 1, 0 ]"),
            "model input 'I' dimension must be integer >= 1, or -1 to indicate a variable-size "
            "dimension for m",
        ),
        (
            f'output {{ name: "O" {FP32} dims: -2 }}',
            "model output 'O' dimension must be integer >= 1, or -1 to indicate a variable-size "
            "dimension for m",
        ),
        (
            _reshape("1", "0"),
            "model input 'I' reshape dimensions must be integer >= 1, or -1 to indicate a "
            "variable-size dimension for m",
        ),
        (
            _reshape("1", "", batch=0),
            "model input 'I' cannot have empty reshape for non-batching model as scalar tensors "
            "are not supported for m",
        ),
        (_reshape("2", ""), "model input 'I' has different size for dims and reshape for m"),
        (_reshape("-1", ""), "model input 'I' has different size for dims and reshape for m"),
        (_reshape("2, 3", "5"), "model input 'I' has different size for dims and reshape for m"),
        (_reshape("4", "-1"), "model input 'I' has different size for dims and reshape for m"),
        (
            _reshape("2, -1", "-1, 2"),
            "model input 'I' has different size for dims and reshape for m",
        ),
        (
            _reshape("-1, -1", "-1"),
            "model input 'I' has different number of variable-size dimensions for dims and "
            "reshape for m",
        ),
        (
            _input("dims: [ 3, 4 ] format: FORMAT_NHWC"),
            "model input NHWC/NCHW require 3 dims for m",
        ),
        (
            _input("dims: 1 is_shape_tensor: true"),
            "shape tensors are only supported for TensorRT platform for m",
        ),
        (
            f'output {{ name: "O" {FP32} dims: 1 is_shape_tensor: true }}',
            "shape tensors are only supported for TensorRT platform for m",
        ),
        (
            _input("dims: [ 1, 2, 3 ] is_non_linear_format_io: true"),
            "Non-linear IO format is only supported for the TensorRT platform for m",
        ),
        (
            _input("dims: [ 1, 2 ] is_non_linear_format_io: true", 'platform: "tensorrt_plan"'),
            "Non-linear IO format input requires 3 dims for m",
        ),
        (
            'platform: "tensorrt_plan" output { name: "O" data_type: TYPE_FP32 dims: 1 '
            "is_non_linear_format_io: true }",
            "Non-linear IO format output requires 3 dims for m",
        ),
        (
            f'input {{ name: "I" {FP32} dims: 1 }} ' + _input("dims: 1"),
            "model input 'I' is specified more than once for m",
        ),
        (OUTPUT + OUTPUT, "model output 'O' is specified more than once for m"),
        ("", "model configuration must contain at least one output, none were specified."),
    ],
)
def test_broken_tensors_are_named(text: str, message: str) -> None:
    """What is wrong with an input or output is said in Triton's words, with its name."""
    with pytest.raises(LoadFailed) as caught:
        check_tensors(_config(text))
    assert caught.value.message == message
