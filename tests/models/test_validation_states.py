"""Tests of the check of implicit state, and of what the scheduler makes beside the client."""

import pytest

from inferd.errors import LoadFailed
from inferd.models import model_config
from inferd.models.validation_states import check_sequence_tensors, check_states

INITIAL = 'name: "i" data_type: TYPE_FP32 dims: [ 5, 2 ]'
START = "kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ]"
CONTROL = f'control_input {{ name: "C" control {{ {START} }} }}'
TENSORS = (
    'name: "m" input { name: "I" data_type: TYPE_FP32 dims: 1 } '
    'output { name: "O" data_type: TYPE_FP32 dims: 1 } '
)


def _check(text: str) -> None:
    config = model_config.parse_text(f"sequence_batching {{ {text} }}", "config.pbtxt")
    assert config.sequence_batching is not None
    check_states(config.sequence_batching, "m")


def _check_tensors(text: str) -> None:
    config = model_config.parse_text(f"{TENSORS} sequence_batching {{ {text} }}", "config.pbtxt")
    assert config.sequence_batching is not None
    check_sequence_tensors(config, config.sequence_batching)


def _plain_state(given: str, made: str, kind: str = "TYPE_FP32") -> str:
    return f'state {{ input_name: "{given}" output_name: "{made}" data_type: {kind} dims: 1 }}'


def _state(initial: str, dims: str = "dims: [ -1, 2 ]", kind: str = "TYPE_FP32") -> str:
    return (
        f'state {{ input_name: "S" output_name: "T" data_type: {kind} {dims} '
        f"initial_state {{ {initial} }} }}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        _state(f"{INITIAL} zero_data: true", "dims: [ 5, 2 ]"),
        _state('name: "i" data_type: TYPE_FP32 dims: [ 0, 2 ] zero_data: true'),
        _state(f"{INITIAL} zero_data: true"),
        _state(f'{INITIAL} data_file: "f"'),
        _state('name: "i" data_type: TYPE_STRING dims: 1 data_file: "f"', "dims: 1", "TYPE_STRING"),
        'state { input_name: "S" output_name: "T" data_type: TYPE_FP32 dims: 1 }',
    ],
)
def test_sound_states_are_accepted(text: str) -> None:
    """States Triton accepts are not refused; one may begin empty."""
    _check(text)


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
        (
            _state(f"{INITIAL} zero_data: true", "dims: [ -2, 2 ]"),
            "sequence batching state 'S' dimension must be integer >= 0, or -1 to indicate a "
            "variable-size dimension for m",
        ),
        (
            _state('name: "i" data_type: TYPE_FP32 dims: [ -5, 2 ]'),
            "'initial_state' dim for input name 'S' must be integer >= 0, got -5",
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


@pytest.mark.parametrize(
    "text", ["", CONTROL + _plain_state("S", "T"), _plain_state("S", "O"), _plain_state("O", "I")]
)
def test_controls_and_states_beside_the_clients_tensors(text: str) -> None:
    """An output may show a state, and inputs and outputs have names of their own."""
    _check_tensors(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            CONTROL.replace('"C"', '"I"'),
            "sequence batching control tensor 'I' is a model input, too, for m",
        ),
        (_plain_state("I", "T"), "sequence batching state input 'I' is a model input, too, for m"),
        (
            CONTROL + _plain_state("C", "T"),
            "sequence batching state input 'C' is a sequence batching control tensor, too, for m",
        ),
        (
            _plain_state("S", "O", "TYPE_INT32"),
            "model output 'O' has data type TYPE_FP32, but the state it returns has TYPE_INT32 "
            "for m",
        ),
    ],
)
def test_an_input_with_two_sources_is_named(text: str, message: str) -> None:
    """What a client sends is never replaced silently."""
    with pytest.raises(LoadFailed) as caught:
        _check_tensors(text)
    assert caught.value.message == message
