"""Tests of the check of ragged inputs, batch inputs and batch outputs."""

import pytest

from inferd._generated.inference import ModelConfig
from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.validation_ragged import check_ragged

FP32 = "data_type: TYPE_FP32"
TENSORS = (
    f'input {{ name: "I" {FP32} dims: -1 }} input {{ name: "P" {FP32} dims: 1 optional: true }} '
    f'output {{ name: "O" {FP32} dims: -1 }} output {{ name: "R" {FP32} dims: [ -1, 1 ] '
    f'reshape {{ shape: -1 }} }} output {{ name: "W" {FP32} dims: [ 1, -1 ] }}'
)


def _config(text: str) -> ModelConfig:
    return model_config.parse_text(f'name: "m" {TENSORS} {text}', "config.pbtxt")


@pytest.mark.parametrize(
    "text",
    [
        f'batch_input {{ kind: {kind} target_name: "B" {FP32} source_input: "I" }}'
        for kind in (
            "BATCH_ELEMENT_COUNT",
            "BATCH_ACCUMULATED_ELEMENT_COUNT",
            "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO",
            "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE",
            "BATCH_ITEM_SHAPE",
            "BATCH_ITEM_SHAPE_FLATTEN",
        )
    ]
    + [
        'batch_input { data_type: TYPE_INT32 source_input: "I" }',
        'batch_output { target_name: ["O", "R"] source_input: "I" }',
        f'max_batch_size: 1 input {{ name: "G" {FP32} dims: -1 allow_ragged_batch: true }}',
        "ensemble_scheduling { }",
        "",
    ],
)
def test_sound_configs_are_accepted(text: str) -> None:
    """Each kind of batch input and output Triton has, and ragged inputs of models that batch."""
    check_ragged(_config(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'batch_input {{ kind: BATCH_ITEM_SHAPE {FP32} source_input: ["I", "I"] }}',
            "batch input kind 'BATCH_ITEM_SHAPE' expects 1 source input, got 2 for m",
        ),
        (f"batch_input {{ kind: 9 {FP32} }}", "unknown batch input kind '9' for m"),
        (
            f'batch_input {{ {FP32} source_input: "X" }}',
            "unknown source input name 'X' for m",
        ),
        (
            'batch_input { data_type: TYPE_INT64 source_input: "I" }',
            "batch input data type must be TYPE_INT32 or TYPE_FP32 for m",
        ),
        (
            "batch_output { }",
            "batch output kind 'BATCH_SCATTER_WITH_INPUT_SHAPE' expects 1 source input, "
            "got 0 for m",
        ),
        ('batch_output { source_input: "X" }', "unknown source input name 'X' for m"),
        (
            'batch_output { source_input: "I" target_name: "X" }',
            "unknown target output name 'X' for m",
        ),
        (
            'batch_output { source_input: "I" target_name: ["O", "O"] }',
            "target output name 'O' can only be specified once for m",
        ),
    ],
)
def test_what_triton_refuses_is_refused_in_its_words(text: str, message: str) -> None:
    """What is wrong with a batch input or output is said in Triton's words."""
    with pytest.raises(LoadFailed) as caught:
        check_ragged(_config(text))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'input {{ name: "G" {FP32} dims: -1 allow_ragged_batch: true }}',
            "model input 'G' specifies 'allow_ragged_batch', which requires 'max_batch_size' to be "
            "1 or more for m",
        ),
        (
            f'batch_input {{ {FP32} source_input: "P" }}',
            "batch input kind 'BATCH_ELEMENT_COUNT' has source input 'P', which is optional, for m",
        ),
        (
            f'batch_input {{ {FP32} source_input: "I" target_name: "I" }}',
            "target name 'I' of batch input kind 'BATCH_ELEMENT_COUNT' is an input that is fed "
            "already for m",
        ),
        (
            f'batch_input {{ {FP32} source_input: "I" target_name: ["B", "B"] }}',
            "target name 'B' of batch input kind 'BATCH_ELEMENT_COUNT' is an input that is fed "
            "already for m",
        ),
        (
            f'batch_input {{ {FP32} source_input: "I" target_name: "START" }} '
            'sequence_batching { control_input { name: "START" } }',
            "target name 'START' of batch input kind 'BATCH_ELEMENT_COUNT' is an input that is fed "
            "already for m",
        ),
        (
            'batch_output { source_input: "I" target_name: "O" } '
            'batch_output { source_input: "I" target_name: "O" }',
            "target output name 'O' can only be specified once for m",
        ),
        (
            'batch_output { source_input: "I" target_name: "W" }',
            "target output 'W' has a variable-size dimension 2, but source input 'I' has 1 "
            "dimensions for m",
        ),
        (
            f'ensemble_scheduling {{ }} batch_input {{ {FP32} source_input: "I" }}',
            "batch inputs and batch outputs should not be specified for ensemble 'm'",
        ),
    ],
)
def test_what_would_give_wrong_answers_is_refused(text: str, message: str) -> None:
    """Where Triton would fail later or not at all, the reason names the tensor and the model."""
    with pytest.raises(LoadFailed) as caught:
        check_ragged(_config(text))
    assert caught.value.message == message
