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


def _state(initial: str, dims: str = "dims: [ -1, 2 ]", kind: str = "TYPE_FP32") -> str:
    return (
        f'state {{ input_name: "S" output_name: "T" data_type: {kind} {dims} '
        f"initial_state {{ {initial} }} }}"
    )


START = "kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ]"
READY = "kind: CONTROL_SEQUENCE_READY fp32_false_true: [ 0, 1 ]"
END = "kind: CONTROL_SEQUENCE_END bool_false_true: [ false, true ]"
CORRID = "kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64"
INITIAL = 'name: "i" data_type: TYPE_FP32 dims: [ 5, 2 ]'


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
        _state(f"{INITIAL} zero_data: true"),
        _state(f'{INITIAL} data_file: "f"'),
        _state('name: "i" data_type: TYPE_STRING dims: 1 data_file: "f"', "dims: 1", "TYPE_STRING"),
        'state { input_name: "S" output_name: "T" data_type: TYPE_FP32 dims: 1 }',
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'state { output_name: "T" }',
            "sequence batching state must specify 'input_name' and 'output_name' for m",
        ),
        (
            'state { input_name: "S" }',
            "sequence batching state must specify 'input_name' and 'output_name' for m",
        ),
        (
            'state { input_name: "S" output_name: "T" }',
            "sequence batching state 'S' must specify 'data_type' for m",
        ),
        (
            _state(f"{INITIAL} zero_data: true") * 2,
            "State input name 'S' specified more than once.",
        ),
        (
            _state(f"{INITIAL} zero_data: true }} initial_state {{ {INITIAL} zero_data: true"),
            "initial_state field for state input 'S' must contain exactly one or zero element. "
            "Found '2' elements.",
        ),
        (
            _state('name: "i" data_type: TYPE_INT32'),
            "The data type used for 'initial_state' field of state 'S' does not match the state "
            "data type.",
        ),
        (
            _state("data_type: TYPE_FP32"),
            "Field 'name' must be set when using initial_state for state input 'S'.",
        ),
        (
            _state('name: "i" data_type: TYPE_FP32 dims: 1'),
            "Number of dimensions in 'initial_state' doesn't match the size of 'state' "
            "dimensions for state input 'S'. 1 != 2",
        ),
        (
            _state('name: "i" data_type: TYPE_FP32 dims: [ -1, 2 ]'),
            "'initial_state' field for state input name 'S' contains variable dimensions.",
        ),
        (
            _state('name: "i" data_type: TYPE_FP32 dims: [ 1, 3 ]'),
            "'initial_state' dim for input name 'S' doesn't match 'state' dim description. 3 != 2",
        ),
        (_state(INITIAL), "initial_state setting expects state'S' to have state_data set"),
        (
            _state(
                'name: "i" data_type: TYPE_STRING dims: 1 zero_data: true',
                "dims: 1",
                "TYPE_STRING",
            ),
            "'initial_state' field for state input name 'S' must specify 'data_file' because its "
            "data type is TYPE_STRING",
        ),
    ],
)
def test_broken_states_are_named(text: str, message: str) -> None:
    """What is wrong with implicit state is said with the state's input."""
    with pytest.raises(LoadFailed) as caught:
        _check(text)
    assert caught.value.message == message
