"""Tests of the check of an ensemble's own config."""

import pytest

from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.validation_ensemble import check_ensemble


def _tensors(kind: str, *names: str) -> str:
    return " ".join(f'{kind} {{ name: "{n}" data_type: TYPE_FP32 dims: 1 }}' for n in names)


def _step(inputs: str, outputs: str, model: str = "a") -> str:
    """Return a step whose tensors are named like the model's."""
    maps = [f'input_map {{ key: "{name}" value: "{name}" }}' for name in inputs.split()]
    maps += [f'output_map {{ key: "{name}" value: "{name}" }}' for name in outputs.split()]
    return f'step {{ model_name: "{model}" {" ".join(maps)} }}'


def _ensemble(*steps: str, inputs: str = "I", outputs: str = "O", more: str = "") -> str:
    return (
        f'name: "e" platform: "ensemble" {_tensors("input", *inputs.split())} '
        f"{_tensors('output', *outputs.split())} "
        f"ensemble_scheduling {{ {' '.join(steps)} }} {more}"
    )


def _check(text: str) -> None:
    check_ensemble(model_config.parse_text(text, "config.pbtxt"))


@pytest.mark.parametrize(
    "text",
    [
        _ensemble(_step("I", "O")),
        _ensemble(_step("I", "x"), _step("x", "O")),
        _ensemble(_step("x", "O"), _step("I", "x")),
        _ensemble(_step("I", "x y"), _step("x", "z"), _step("y z", "O")),
        _ensemble(_step("I", "O x"), _step("x O", "P"), outputs="O P"),
        _ensemble(_step("I", "O"), _step("J I", "P"), inputs="I J", outputs="O P"),
        _ensemble(_step("I", "O"), more="version_policy { all { } }"),
    ],
)
def test_sound_ensembles_are_accepted(text: str) -> None:
    """An ensemble whose data flows from its inputs to its outputs is not refused."""
    _check(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'name: "e" platform: "onnxruntime_onnx" ensemble_scheduling { }',
            "ensemble scheduling cannot be set for model 'e' whose platform is not ensemble",
        ),
        (
            _ensemble(more="instance_group { }"),
            "instance group should not be specified for ensemble 'e'",
        ),
        (
            _ensemble(more="optimization { }"),
            "optimization should not be specified for ensemble 'e'",
        ),
        (
            _ensemble(more="model_warmup { }"),
            "model_warmup can not be specified for ensemble 'e'",
        ),
        (_ensemble(), "must specify 'step' for ensemble 'e'"),
        ('name: "e" platform: "ensemble"', "must specify 'step' for ensemble 'e'"),
        (
            _ensemble(_step("I", "O", model="")),
            "must specify 'model_name' in step 0 of ensemble 'e'",
        ),
        (
            _ensemble(_step("I", "x"), _step("", "O")),
            "must specify 'input_map' in step 1 of ensemble 'e'",
        ),
        (
            _ensemble(_step("I", "x"), _step("x", "")),
            "must specify 'output_map' in step 1 of ensemble 'e'",
        ),
        (
            _ensemble(_step("I", "O"), _step("I", "O")),
            "ensemble tensor 'O' can appear in an output map only once for ensemble 'e' step 1",
        ),
        (
            _ensemble(_step("I", "J"), _step("J", "O"), inputs="I J"),
            "ensemble input 'J' can not appear in an output map of ensemble 'e'",
        ),
        (
            _ensemble(_step("I", "O"), inputs="I J"),
            "ensemble input 'J' for ensemble e' is not used",
        ),
        (
            _ensemble(_step("I", "O"), outputs="O P"),
            "ensemble output 'P' for ensemble e' is not used",
        ),
        (
            _ensemble(_step("x", "O"), _step("I", "y")),
            "output 'O' for ensemble 'e' is not written: at least one of its depending tensors, "
            "'x', is not connected",
        ),
        (
            _ensemble(_step("I y", "x"), _step("x", "O")),
            "output 'O' for ensemble 'e' is not written: at least one of its depending tensors, "
            "'y', is not connected",
        ),
        (
            _ensemble(_step("I y", "x"), _step("x", "y"), _step("y", "O")),
            "output 'O' for ensemble 'e' is not written: at least one of its depending tensors, "
            "'x', is not connected",
        ),
        (
            _ensemble(_step("O I", "x"), outputs="O"),
            "output 'O' for ensemble 'e' is not written",
        ),
        (
            _ensemble(_step("I", "O x")),
            "ensemble tensor 'x' is unused in ensemble 'e'",
        ),
        (
            _ensemble(_step("I", "O"), _step("z", "y")),
            "ensemble tensor 'y' is unused in ensemble 'e'",
        ),
    ],
)
def test_ensembles_whose_data_does_not_flow_are_named(text: str, message: str) -> None:
    """What is wrong with an ensemble is said in Triton's words, stray quotes included."""
    with pytest.raises(LoadFailed) as caught:
        _check(text)
    assert caught.value.message == message
