"""Tests of the check of sequence batching."""

import pytest

from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.validation_sequences import check_sequence_batching


def _check(text: str) -> None:
    config = model_config.parse_text(f"sequence_batching {{ {text} }}", "config.pbtxt")
    assert config.sequence_batching is not None
    check_sequence_batching(config.sequence_batching, 8, "m")


def _control(fields: str, name: str = "C") -> str:
    return f'control_input {{ name: "{name}" control {{ {fields} }} }}'


START = "kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ]"
READY = "kind: CONTROL_SEQUENCE_READY fp32_false_true: [ 0, 1 ]"
END = "kind: CONTROL_SEQUENCE_END bool_false_true: [ false, true ]"
CORRID = "kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64"


@pytest.mark.parametrize(
    "text",
    [
        "",
        _control(START, "a") + _control(READY, "b") + _control(END, "c") + _control(CORRID, "d"),
        *(
            _control(f"kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_{name}")
            for name in ("UINT64", "INT64", "UINT32", "INT32", "STRING")
        ),
        'control_input { name: "unused" }',
        "oldest { preferred_batch_size: [ 1, 8 ] }",
        "direct { minimum_slot_utilization: 0 }",
        "direct { minimum_slot_utilization: 1 }",
        "oldest { max_candidate_sequences: 0 }",
    ],
)
def test_sound_sequence_batching_is_accepted(text: str) -> None:
    """Sequence batching Triton accepts is not refused, boundaries included."""
    _check(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_control(START, ""), "sequence batching control tensor must have a name for m"),
        (
            _control(START) + _control(READY),
            "sequence batching control tensor 'C' is specified for multiple control kinds for m",
        ),
        (
            _control(f"{START} }} control {{ {READY}"),
            "sequence batching control tensor 'C' is specified for multiple control kinds for m",
        ),
        (
            "oldest { max_candidate_sequences: -1 }",
            "sequence batching max candidate sequences must be non-negative for m",
        ),
        (
            _control(START, "a") + _control(START, "b"),
            "sequence batching specifies multiple CONTROL_SEQUENCE_START tensors for m",
        ),
        (
            _control(CORRID, "a") + _control(CORRID, "b"),
            "sequence batching specifies multiple CONTROL_SEQUENCE_CORRID tensors for m",
        ),
        (
            _control("kind: CONTROL_SEQUENCE_READY"),
            "sequence batching must specify either 'int32_false_true', 'fp32_false_true' or "
            "'bool_false_true' for CONTROL_SEQUENCE_READY for m",
        ),
        (
            _control(f"{START} fp32_false_true: [ 0, 1 ]"),
            "sequence batching specifies more than one from 'int32_false_true', "
            "'fp32_false_true' and 'bool_false_true' for CONTROL_SEQUENCE_START for m",
        ),
        (
            _control("int32_false_true: 0"),
            "sequence batching control 'int32_false_true' must have exactly 2 entries for "
            "CONTROL_SEQUENCE_START for m",
        ),
        (
            _control("kind: CONTROL_SEQUENCE_END bool_false_true: [ true, true, true ]"),
            "sequence batching control 'bool_false_true' must have exactly 2 entries for "
            "CONTROL_SEQUENCE_END for m",
        ),
        (
            _control(f"{CORRID} int32_false_true: [ 0, 1 ]"),
            "sequence batching must not specify either 'int32_false_true', 'fp32_false_true' or "
            "'bool_false_true' for CONTROL_SEQUENCE_CORRID for m",
        ),
        (
            _control("kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32"),
            "unexpected data type for control CONTROL_SEQUENCE_CORRID for m. Allowed data types "
            "are TYPE_UINT64, TYPE_INT64, TYPE_UINT32, TYPE_INT32 and TYPE_STRING",
        ),
        (
            "oldest { preferred_batch_size: 0 }",
            "sequence batching preferred batch size must be positive for m",
        ),
        (
            "oldest { preferred_batch_size: 9 }",
            "sequence batching preferred batch size must be <= max batch size for m",
        ),
        (
            "direct { minimum_slot_utilization: -0.01 }",
            "sequence batching minimum slot utilization must be in range (0.0, 1.0] for m",
        ),
        (
            "direct { minimum_slot_utilization: 1.01 }",
            "sequence batching minimum slot utilization must be in range (0.0, 1.0] for m",
        ),
    ],
)
def test_broken_sequence_batching_is_named(text: str, message: str) -> None:
    """What is wrong with controls and strategies is said in Triton's words."""
    with pytest.raises(LoadFailed) as caught:
        _check(text)
    assert caught.value.message == message
