"""The check of ``sequence_batching``: control inputs and strategies."""

from inferd._generated.inference import (
    DataType,
    ModelSequenceBatching,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingControlKind,
)
from inferd.errors import LoadFailed
from inferd.models.validation_batching import check_preferred_batch_sizes

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
        if batching.oldest.max_candidate_sequences < 0:
            raise LoadFailed(
                f"sequence batching max candidate sequences must be non-negative for {model}"
            )
        sizes = batching.oldest.preferred_batch_size
        check_preferred_batch_sizes(
            sizes, max_batch_size, "sequence batching preferred batch size", model
        )
    if batching.direct is not None and not 0 <= batching.direct.minimum_slot_utilization <= 1:
        raise LoadFailed(
            f"sequence batching minimum slot utilization must be in range (0.0, 1.0] for {model}"
        )


def _check_controls(batching: ModelSequenceBatching, model: str) -> None:
    tensors: set[str] = set()
    kinds: set[ModelSequenceBatchingControlKind] = set()
    for tensor in batching.control_input:
        if not tensor.name:
            raise LoadFailed(f"sequence batching control tensor must have a name for {model}")
        if tensor.name in tensors:
            raise _multiple_kinds(tensor.name, model)
        tensors.add(tensor.name)
        if len(tensor.control) > 1:
            raise _multiple_kinds(tensor.name, model)
        for control in tensor.control:
            if control.kind in kinds:
                raise LoadFailed(
                    f"sequence batching specifies multiple {control.kind.name} tensors for {model}"
                )
            kinds.add(control.kind)
            _check_control(control, model)


def _multiple_kinds(tensor: str, model: str) -> LoadFailed:
    return LoadFailed(
        f"sequence batching control tensor '{tensor}' is specified for multiple control kinds "
        f"for {model}"
    )


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
