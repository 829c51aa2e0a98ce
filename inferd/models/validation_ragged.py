"""
The check of ragged inputs, batch inputs and batch outputs.

Texts are Triton's (``ValidateBatchIO``). Where Triton checks nothing and answers would be
wrong or the failure would come with the first request, the check and its text are ours.
"""

from collections.abc import Iterator

from inferd._generated.inference import BatchInput, BatchOutput, DataType, ModelConfig
from inferd.errors import LoadFailed


def check_ragged(config: ModelConfig) -> None:
    """
    Check every ragged input, batch input and batch output of a completed config.

    Raises:
        LoadFailed: The first thing that is wrong.
    """
    for tensor in config.input:
        if tensor.allow_ragged_batch and config.max_batch_size <= 0:
            raise LoadFailed(
                f"model input '{tensor.name}' specifies 'allow_ragged_batch', which requires "
                f"'max_batch_size' to be 1 or more for {config.name}"
            )
    if config.ensemble_scheduling is not None and (config.batch_input or config.batch_output):
        raise LoadFailed(
            f"batch inputs and batch outputs should not be specified for ensemble '{config.name}'"
        )
    ranks = {tensor.name: len(tensor.dims) for tensor in config.input}
    taken = set(_fed_names(config))
    for batch_input in config.batch_input:
        _check_batch_input(batch_input, config, taken)
    targets: set[str] = set()
    for batch_output in config.batch_output:
        _check_source("output", batch_output, config)
        _check_targets(batch_output, config, targets)
        _check_ranks(batch_output, config, ranks[batch_output.source_input[0]])


def _fed_names(config: ModelConfig) -> Iterator[str]:
    """Yield the inputs clients and the sequence batcher feed."""
    yield from (tensor.name for tensor in config.input)
    if config.sequence_batching is not None:
        yield from (control.name for control in config.sequence_batching.control_input)
        yield from (state.input_name for state in config.sequence_batching.state)


def _check_batch_input(batch_input: BatchInput, config: ModelConfig, taken: set[str]) -> None:
    """Check one batch input; its targets are added to the names that are taken."""
    _check_source("input", batch_input, config)
    if batch_input.data_type not in (DataType.TYPE_INT32, DataType.TYPE_FP32):
        raise LoadFailed(f"batch input data type must be TYPE_INT32 or TYPE_FP32 for {config.name}")
    for name in batch_input.target_name:
        if name in taken:
            raise LoadFailed(
                f"target name '{name}' of batch input kind '{batch_input.kind.name}' is an input "
                f"that is fed already for {config.name}"
            )
        taken.add(name)


def _check_source(kind: str, batch_tensor: BatchInput | BatchOutput, config: ModelConfig) -> None:
    model = config.name
    if not batch_tensor.kind.name:
        raise LoadFailed(f"unknown batch {kind} kind '{int(batch_tensor.kind)}' for {model}")
    place = f"batch {kind} kind '{batch_tensor.kind.name}'"
    if len(batch_tensor.source_input) != 1:
        raise LoadFailed(
            f"{place} expects 1 source input, got {len(batch_tensor.source_input)} for {model}"
        )
    source = batch_tensor.source_input[0]
    found = next((tensor for tensor in config.input if tensor.name == source), None)
    if found is None:
        raise LoadFailed(f"unknown source input name '{source}' for {model}")
    if found.optional:
        raise LoadFailed(f"{place} has source input '{source}', which is optional, for {model}")


def _check_targets(batch_output: BatchOutput, config: ModelConfig, seen: set[str]) -> None:
    """Check that the targets are outputs; they are added to the names that were seen."""
    outputs = {tensor.name for tensor in config.output}
    for name in batch_output.target_name:
        if name not in outputs:
            raise LoadFailed(f"unknown target output name '{name}' for {config.name}")
        if name in seen:
            raise LoadFailed(
                f"target output name '{name}' can only be specified once for {config.name}"
            )
        seen.add(name)


def _check_ranks(batch_output: BatchOutput, config: ModelConfig, source_rank: int) -> None:
    """Check that every variable dimension of the targets has one in the source to follow."""
    for output in config.output:
        if output.name not in batch_output.target_name:
            continue
        dims = output.dims if output.reshape is None else output.reshape.shape
        rank = max((axis + 1 for axis, dim in enumerate(dims) if dim == -1), default=0)
        if rank > source_rank:
            raise LoadFailed(
                f"target output '{output.name}' has a variable-size dimension {rank}, but source "
                f"input '{batch_output.source_input[0]}' has {source_rank} dimensions "
                f"for {config.name}"
            )
