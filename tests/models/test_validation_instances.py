"""Tests of the check of instance groups."""

import pytest

from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.validation_instances import check_instance_groups


def _check(text: str, gpu_count: int) -> None:
    config = model_config.parse_text(f'name: "m" {text}', "config.pbtxt")
    check_instance_groups(config, gpu_count)


def _group(fields: str) -> str:
    return f'instance_group {{ name: "g" {fields} }}'


@pytest.mark.parametrize(
    ("text", "gpu_count"),
    [
        (_group("kind: KIND_CPU"), 0),
        (_group("kind: KIND_MODEL"), 0),
        (_group("kind: KIND_GPU gpus: [ 0, 1 ]"), 2),
        ('platform: "tensorrt_plan" ' + _group('kind: KIND_CPU profile: "0"'), 0),
        (_group("kind: KIND_CPU") + 'instance_group { name: "h" kind: KIND_CPU }', 0),
        (_group("kind: KIND_CPU passive: true") + 'instance_group { name: "h" kind: KIND_CPU }', 0),
        ("ensemble_scheduling { }", 0),
        (_group("kind: KIND_CPU count: 4096"), 0),
        (_group("kind: KIND_GPU gpus: [ 0, 1 ] count: 2048"), 2),
    ],
)
def test_sound_groups_are_accepted(text: str, gpu_count: int) -> None:
    """Instance groups the machine can run are not refused."""
    _check(text, gpu_count)


INVALID_GPU = (
    "instance group g of model m specifies invalid or unsupported gpu id {}. GPUs with at least "
    "the minimum required CUDA compute compatibility of 6.000000 are: {}"
)
TOO_MANY = "instance group 'count' asks for {} instances of m, more than the 4096 a model can have"


@pytest.mark.parametrize(
    ("text", "gpu_count", "message"),
    [
        ("", 0, "must specify one or more 'instance group's for m"),
        (
            _group("kind: KIND_GPU"),
            0,
            "instance group g of model m has kind KIND_GPU but no GPUs are available",
        ),
        (
            _group("kind: KIND_GPU"),
            1,
            "instance group g of model m has kind KIND_GPU but specifies no GPUs",
        ),
        (_group("kind: KIND_GPU gpus: [ 0, 2 ]"), 2, INVALID_GPU.format(2, "0, 1")),
        (_group("kind: KIND_GPU gpus: -1"), 2, INVALID_GPU.format(-1, "0, 1")),
        (_group("kind: KIND_GPU gpus: 0"), 0, INVALID_GPU.format(0, "")),
        (
            _group("kind: KIND_CPU gpus: 0"),
            1,
            "instance group g of model m has kind KIND_CPU but specifies one or more GPUs",
        ),
        (
            _group("kind: KIND_MODEL gpus: 0"),
            1,
            "instance group g of model m has kind KIND_MODEL but specifies one or more GPUs",
        ),
        (_group(""), 0, "instance group g of model m has unexpected kind KIND_AUTO"),
        (_group("kind: 9"), 0, "instance group g of model m has unexpected kind 9"),
        (
            'platform: "onnxruntime_onnx" ' + _group('kind: KIND_CPU profile: "0"'),
            0,
            "instance group g of model m and platform onnxruntime_onnxspecifies profile field "
            "which is only supported for TensorRT models",
        ),
        (
            'platform: "tensorrt_plan" ' + _group('kind: KIND_CPU profile: "-1"'),
            0,
            "instance group g of model m and platform tensorrt_plan specifies invalid profile -1. "
            "The field should contain the string representation of a non-negative integer.",
        ),
        (
            _group("kind: KIND_CPU passive: true"),
            0,
            "must specify one or more 'instance group's that are not 'passive' for m",
        ),
        (_group("kind: KIND_CPU count: 4097"), 0, TOO_MANY.format(4097)),
        (_group("kind: KIND_GPU gpus: [ 0, 1 ] count: 2049"), 2, TOO_MANY.format(4098)),
        (
            _group("kind: KIND_CPU") * 2,
            0,
            "instance group 'g' is specified more than once for m",
        ),
    ],
)
def test_groups_that_cannot_run_are_named(text: str, gpu_count: int, message: str) -> None:
    """What is wrong with an instance group is said in Triton's words, with its name."""
    with pytest.raises(LoadFailed) as caught:
        _check(text, gpu_count)
    assert caught.value.message == message
