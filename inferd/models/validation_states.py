"""The check of implicit state, and that what the scheduler feeds a model is not the client's."""

from collections.abc import Iterator

from inferd._generated.inference import (
    DataType,
    ModelConfig,
    ModelSequenceBatching,
    ModelSequenceBatchingInitialState,
    ModelSequenceBatchingState,
)
from inferd.errors import LoadFailed
from inferd.protocol.datatypes import BY_CONFIG


def check_states(batching: ModelSequenceBatching, model: str) -> None:
    """
    Check every state and its initial value.

    Raises:
        LoadFailed: The first thing that is wrong.
    """
    inputs: set[str] = set()
    for state in batching.state:
        if not state.input_name or not state.output_name:
            raise LoadFailed(
                f"sequence batching state must specify 'input_name' and 'output_name' for {model}"
            )
        if state.input_name in inputs:
            raise LoadFailed(f"State input name '{state.input_name}' specified more than once.")
        inputs.add(state.input_name)
        if state.data_type not in BY_CONFIG:
            raise LoadFailed(
                f"sequence batching state '{state.input_name}' must specify 'data_type' for {model}"
            )
        if any(dim < -1 for dim in state.dims):
            raise LoadFailed(
                f"sequence batching state '{state.input_name}' dimension must be integer >= 0, or "
                f"-1 to indicate a variable-size dimension for {model}"
            )
        if len(state.initial_state) > 1:
            raise LoadFailed(
                f"initial_state field for state input '{state.input_name}' must contain exactly "
                f"one or zero element. Found '{len(state.initial_state)}' elements."
            )
        for initial in state.initial_state:
            _check_initial_state(state, initial)


def _check_initial_state(
    state: ModelSequenceBatchingState, initial: ModelSequenceBatchingInitialState
) -> None:
    if initial.data_type != state.data_type:
        raise LoadFailed(
            f"The data type used for 'initial_state' field of state '{state.input_name}' does "
            "not match the state data type."
        )
    if not initial.name:
        raise LoadFailed(
            "Field 'name' must be set when using initial_state for state input "
            f"'{state.input_name}'."
        )
    _check_initial_dims(state, initial)
    if initial.zero_data is None and initial.data_file is None:
        raise LoadFailed(
            f"initial_state setting expects state'{state.input_name}' to have state_data set"
        )
    if initial.data_type == DataType.TYPE_STRING and initial.data_file is None:
        raise LoadFailed(
            f"'initial_state' field for state input name '{state.input_name}' must specify "
            "'data_file' because its data type is TYPE_STRING"
        )


def _check_initial_dims(
    state: ModelSequenceBatchingState, initial: ModelSequenceBatchingInitialState
) -> None:
    if len(initial.dims) != len(state.dims):
        raise LoadFailed(
            "Number of dimensions in 'initial_state' doesn't match the size of 'state' "
            f"dimensions for state input '{state.input_name}'. "
            f"{len(initial.dims)} != {len(state.dims)}"
        )
    for actual, declared in zip(initial.dims, state.dims, strict=True):
        if actual == -1:
            raise LoadFailed(
                f"'initial_state' field for state input name '{state.input_name}' contains "
                "variable dimensions."
            )
        if actual < 0:
            raise LoadFailed(
                f"'initial_state' dim for input name '{state.input_name}' must be integer >= 0, "
                f"got {actual}"
            )
        if declared not in (-1, actual):
            raise LoadFailed(
                f"'initial_state' dim for input name '{state.input_name}' doesn't match 'state' "
                f"dim description. {actual} != {declared}"
            )


def check_sequence_tensors(config: ModelConfig, batching: ModelSequenceBatching) -> None:
    """
    Check controls and states against the tensors clients know; ours, Triton overwrites data.

    An output may be a state's, too, so that clients see the state.

    Args:
        config: The model's config.
        batching: Its ``sequence_batching``.

    Raises:
        LoadFailed: An input has two sources, or an output two datatypes.
    """
    sources = {tensor.name: "model input" for tensor in config.input}
    for name, source in _made_inputs(batching):
        if name in sources:
            raise LoadFailed(f"{source} '{name}' is a {sources[name]}, too, for {config.name}")
        sources[name] = source
    outputs = {tensor.name: tensor.data_type for tensor in config.output}
    for state in batching.state:
        declared = outputs.get(state.output_name, state.data_type)
        if declared != state.data_type:
            raise LoadFailed(
                f"model output '{state.output_name}' has data type {declared.name}, but the state "
                f"it returns has {state.data_type.name} for {config.name}"
            )


def _made_inputs(batching: ModelSequenceBatching) -> Iterator[tuple[str, str]]:
    """Yield the inputs the scheduler makes, and what each is called in messages."""
    for control in batching.control_input:
        yield control.name, "sequence batching control tensor"
    for state in batching.state:
        yield state.input_name, "sequence batching state input"
