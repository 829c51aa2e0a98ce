"""
Fills in a model config from the graph.

Triton's rules: a graph whose inputs and outputs all have a variable first dimension can
batch; what the config already says is kept.
"""

from collections.abc import Iterable, Iterator

from inferd._generated.inference import (
    ModelDynamicBatching,
    ModelInput,
    ModelOutput,
    ModelTensorReshape,
)
from inferd.backend import BackendError, ModelConfig
from inferd_backend_onnx.graph import Graph, GraphTensor


def needs_completion(config: ModelConfig) -> bool:
    """Return whether the graph has anything to add; a config with both sides is taken as it is."""
    return not (config.input and config.output)


def complete(config: ModelConfig, graph: Graph, default_max_batch_size: int) -> None:
    """
    Fill in inputs, outputs and batching, in place.

    Args:
        config: The config to complete.
        graph: The model's graph.
        default_max_batch_size: The ``max_batch_size`` of a graph that can batch and whose
            config states none; 0 leaves batching off.

    Raises:
        BackendError: The config says that the model batches and its graph does not, or
            the graph has an input or output no config can describe.
    """
    _refuse_undescribable(config, graph)
    _complete_batching(config, graph, default_max_batch_size)
    skip = 1 if config.max_batch_size > 0 else 0
    held_back = set(_scheduler_tensors(config))
    if not config.input:
        config.input = [
            _input(tensor, skip) for name, tensor in graph.inputs.items() if name not in held_back
        ]
    if not config.output:
        config.output = [
            _output(tensor, skip) for name, tensor in graph.outputs.items() if name not in held_back
        ]


def _complete_batching(config: ModelConfig, graph: Graph, default: int) -> None:
    tensors = [*graph.inputs.values(), *graph.outputs.values()]
    if not all(tensor.shape[:1] == (-1,) for tensor in tensors):
        if config.max_batch_size > 0:
            raise BackendError(
                f"autofill failed for model '{config.name}': model does not support batching "
                "while non-zero max_batch_size is specified"
            )
        return
    if config.max_batch_size == 0 and default > 0:
        config.max_batch_size = default
        _drop_batch_dimension(config.input, graph.accepted)
        _drop_batch_dimension(config.output, graph.outputs)
    if config.max_batch_size > 1 and not _has_scheduler(config):
        config.dynamic_batching = ModelDynamicBatching(preferred_batch_size=[config.max_batch_size])


def _drop_batch_dimension(
    given: Iterable[ModelInput | ModelOutput], known: dict[str, GraphTensor]
) -> None:
    """Take the batch dimension off tensors that were written with their full shape."""
    for tensor in given:
        if isinstance(tensor, ModelInput) and tensor.allow_ragged_batch:
            # The graph has it flattened, so its rank says nothing about the client's.
            continue
        in_graph = known.get(tensor.name)
        if in_graph is not None and len(tensor.dims) == len(in_graph.shape):
            tensor.dims = tensor.dims[1:]


def _has_scheduler(config: ModelConfig) -> bool:
    return not (
        config.dynamic_batching is None
        and config.sequence_batching is None
        and config.ensemble_scheduling is None
    )


def _scheduler_tensors(config: ModelConfig) -> Iterator[str]:
    """Yield the tensors the scheduler feeds and takes; clients never see them."""
    sequences = config.sequence_batching
    if sequences is not None:
        for control in sequences.control_input:
            yield control.name
        for state in sequences.state:
            yield state.input_name
            yield state.output_name
    for generated in config.batch_input:
        yield from generated.target_name


def _input(tensor: GraphTensor, skip: int) -> ModelInput:
    dims, reshape = _dims(tensor, skip)
    assert tensor.datatype is not None
    return ModelInput(
        name=tensor.name,
        data_type=tensor.datatype,
        dims=dims,
        reshape=reshape,
        optional=tensor.optional,
    )


def _output(tensor: GraphTensor, skip: int) -> ModelOutput:
    dims, reshape = _dims(tensor, skip)
    assert tensor.datatype is not None
    return ModelOutput(name=tensor.name, data_type=tensor.datatype, dims=dims, reshape=reshape)


def _dims(tensor: GraphTensor, skip: int) -> tuple[list[int], ModelTensorReshape | None]:
    dims = list(tensor.shape[skip:])
    # A config cannot have empty dims: clients send one element, the graph gets a scalar.
    return (dims, None) if dims else ([1], ModelTensorReshape(shape=[]))


def _refuse_undescribable(config: ModelConfig, graph: Graph) -> None:
    sides = (("input", graph.inputs), ("output", graph.outputs))
    for side, tensors in sides:
        for tensor in tensors.values():
            if not tensor.is_tensor:
                raise BackendError(
                    f"autofill failed for model '{config.name}': unsupported ONNX type "
                    f"'{tensor.kind}' for {side} '{tensor.name}', expected a tensor"
                )
            if tensor.datatype is None:
                raise BackendError(
                    f"unsupported datatype {tensor.kind} for {side} '{tensor.name}' "
                    f"for model '{config.name}'"
                )
