"""The check of ``sequence_batching``: control inputs, strategies, implicit state."""

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlKind,
    ModelSequenceBatchingInitialState,
    ModelSequenceBatchingState,
)
from inferd.errors import LoadFailed
from inferd.models.validation_batching import check_preferred_batch_sizes
from inferd.protocol.datatypes import BY_CONFIG

_CORRELATION_ID = ModelSequenceBatchingControlKind.CONTROL_SEQUENCE_CORRID
_CORRELATION_ID_TYPES = frozenset(
    {
        DataType.TYPE_UINT64,
        DataType.TYPE_INT64,
        DataType.TYPE_UINT32,
        DataType.TYPE_INT32,
        DataType.TYPE_STRING,
    }
)
_ALTERNATIVES = "'int32_false_true', 'fp32_false_true'"


def check_sequence_batching(
    batching: ModelSequenceBatching, max_batch_size: int, model: str
) -> None:
    """
    Check the sequence batcher of a model.

    Raises:
        LoadFailed: The first thing that is wrong.
    """
    _check_controls(batching, model)
    if batching.oldest is not None:
        sizes = batching.oldest.preferred_batch_size
        check_preferred_batch_sizes(
            sizes, max_batch_size, "sequence batching preferred batch size", model
        )
    if batching.direct is not None and not 0 <= batching.direct.minimum_slot_utilization <= 1:
        raise LoadFailed(
            f"sequence batching minimum slot utilization must be in range (0.0, 1.0] for {model}"
        )
    _check_states(batching, model)


def _check_controls(batching: ModelSequenceBatching, model: str) -> None:
    tensors: set[str] = set()
    kinds: set[ModelSequenceBatchingControlKind] = set()
    for tensor in batching.control_input:
        if not tensor.name:
            raise LoadFailed(f"sequence batching control tensor must have a name for {model}")
        if tensor.name in tensors:
            raise LoadFailed(
                f"sequence batching control tensor '{tensor.name}' is specified for multiple "
                f"control kinds for {model}"
            )
        tensors.add(tensor.name)
        for control in tensor.control:
            if control.kind in kinds:
                raise LoadFailed(
                    f"sequence batching specifies multiple {control.kind.name} tensors for {model}"
                )
            kinds.add(control.kind)
            _check_control(control, model)


def _check_control(control: ModelSequenceBatchingControl, model: str) -> None:
    given = {
        name: values
        for name, values in (
            ("int32_false_true", control.int32_false_true),
            ("fp32_false_true", control.fp32_false_true),
            ("bool_false_true", control.bool_false_true),
        )
        if values
    }
    what = f"{control.kind.name} for {model}"
    if control.kind == _CORRELATION_ID:
        _check_correlation_id(control, given, what)
        return
    if not given:
        raise LoadFailed(
            f"sequence batching must specify either {_ALTERNATIVES} or 'bool_false_true' for {what}"
        )
    if len(given) > 1:
        raise LoadFailed(
            f"sequence batching specifies more than one from {_ALTERNATIVES} and "
            f"'bool_false_true' for {what}"
        )
    [(name, values)] = given.items()
    if len(values) != 2:
        raise LoadFailed(
            f"sequence batching control '{name}' must have exactly 2 entries for {what}"
        )


def _check_correlation_id(control: ModelSequenceBatchingControl, given: object, what: str) -> None:
    if given:
        raise LoadFailed(
            f"sequence batching must not specify either {_ALTERNATIVES} or 'bool_false_true' "
            f"for {what}"
        )
    if control.data_type not in _CORRELATION_ID_TYPES:
        raise LoadFailed(
            f"unexpected data type for control {what}. Allowed data types are TYPE_UINT64, "
            "TYPE_INT64, TYPE_UINT32, TYPE_INT32 and TYPE_STRING"
        )


def _check_states(batching: ModelSequenceBatching, model: str) -> None:
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
        if declared not in (-1, actual):
            raise LoadFailed(
                f"'initial_state' dim for input name '{state.input_name}' doesn't match 'state' "
                f"dim description. {actual} != {declared}"
            )
