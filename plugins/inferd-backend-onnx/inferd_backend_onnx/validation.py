"""
Checks a model config against the graph before anything runs.

The texts are those of Triton's ONNX Runtime backend; its tests look for them.
"""

from collections.abc import Iterable, Iterator, Sequence

from inferd._generated.inference import (
    BatchInput,
    BatchInputKind,
    DataType,
    ModelInput,
    ModelOutput,
    ModelSequenceBatchingControl,
    ModelSequenceBatchingState,
)
from inferd.backend import BackendError, ModelConfig
from inferd_backend_onnx.graph import Graph, GraphTensor


def check_config(config: ModelConfig, graph: Graph) -> None:
    """
    Check a completed config.

    Raises:
        BackendError: The graph has other inputs, outputs, shapes or datatypes.
    """
    _check_input_count(config, graph)
    for given in config.input:
        _check_tensor(config, "input", given, graph.accepted)
    split = {name for one in config.batch_output for name in one.target_name}
    for promised in config.output:
        if promised.name in split:
            # The graph returns all requests' parts in one; its shape says nothing about theirs.
            in_graph = _find("output", promised.name, graph.outputs)
            _check_datatype(config, "output", promised.name, promised.data_type, in_graph)
        else:
            _check_tensor(config, "output", promised, graph.outputs)
    for generated in config.batch_input:
        _check_generated(config, generated, graph)
    sequences = config.sequence_batching
    if sequences is not None:
        for control_input in sequences.control_input:
            for control in control_input.control:
                _check_control(config, control_input.name, control, graph)
        for state in sequences.state:
            _check_state(config, state, graph)


def _check_input_count(config: ModelConfig, graph: Graph) -> None:
    named = set(_fed_names(config))
    expected = len(named - graph.defaults.keys())
    provided = len(graph.required | (named & graph.inputs.keys()))
    if expected != provided:
        raise BackendError(
            f"unable to load model '{config.name}', configuration expects {expected} inputs, "
            f"model provides {provided}"
        )


def _fed_names(config: ModelConfig) -> Iterator[str]:
    """Yield every input the config says is fed, by clients or by the scheduler."""
    for tensor in config.input:
        yield tensor.name
    for generated in config.batch_input:
        yield from generated.target_name
    if config.sequence_batching is not None:
        for control in config.sequence_batching.control_input:
            yield control.name
        for state in config.sequence_batching.state:
            yield state.input_name


def _check_tensor(
    config: ModelConfig,
    side: str,
    tensor: ModelInput | ModelOutput,
    known: dict[str, GraphTensor],
) -> None:
    in_graph = _find(side, tensor.name, known)
    _check_datatype(config, side, tensor.name, tensor.data_type, in_graph)
    if isinstance(tensor, ModelInput) and tensor.allow_ragged_batch:
        _check_ragged(config, tensor, in_graph)
        return
    dims = tensor.dims if tensor.reshape is None else tensor.reshape.shape
    if side == "output" and not in_graph.shape:
        # The graph does not say what rank it is.
        return
    _check_dims(config, in_graph, dims)


def _find(side: str, name: str, known: dict[str, GraphTensor]) -> GraphTensor:
    if name not in known:
        raise BackendError(
            f"unexpected inference {side} '{name}', allowed {side}s are: {', '.join(sorted(known))}"
        )
    return known[name]


def _check_datatype(
    config: ModelConfig, side: str, name: str, datatype: DataType, in_graph: GraphTensor
) -> None:
    if datatype == DataType.TYPE_INVALID or in_graph.datatype is None:
        unsupported = in_graph.kind if in_graph.datatype is None else _name(datatype)
        raise BackendError(
            f"unsupported datatype {unsupported} for {side} '{name}' for model '{config.name}'"
        )
    if datatype != in_graph.datatype:
        raise BackendError(
            f"unable to load model '{config.name}', configuration expects datatype "
            f"{_name(datatype)} for {side} '{name}', model provides {_name(in_graph.datatype)}"
        )


def _check_dims(config: ModelConfig, in_graph: GraphTensor, dims: Sequence[int]) -> None:
    start = f"model '{config.name}', tensor '{in_graph.name}': "
    shape = in_graph.shape
    if config.max_batch_size > 0:
        if shape[:1] != (-1,):
            raise BackendError(
                f"{start}for the model to support batching the shape should have at least 1 "
                "dimension and the first dimension must be -1; but shape expected by the model "
                f"is {_brackets(shape)}"
            )
        full = (-1, *dims)
        how = (
            "an initial batch dimension because max_batch_size > 0 followed by the explicit "
            f"tensor shape, making complete shape {_brackets(full)}"
        )
    else:
        full = tuple(dims)
        how = f"shape {_brackets(full)}"
    if not _compatible(shape, full):
        raise BackendError(
            f"{start}the model expects {len(shape)} dimensions (shape {_brackets(shape)}) but the "
            f"model configuration specifies {len(full)} dimensions ({how})"
        )


def _check_ragged(config: ModelConfig, tensor: ModelInput, in_graph: GraphTensor) -> None:
    start = (
        f"unable to load model '{config.name}', configuration expects model provides input "
        f"with shape [-1] for ragged input '{in_graph.name}', "
    )
    if tensor.optional:
        raise BackendError(f"{start}which is not supported for optional input")
    if in_graph.shape != (-1,):
        raise BackendError(f"{start}model provides {_brackets(in_graph.shape)}")


def _check_generated(config: ModelConfig, generated: BatchInput, graph: Graph) -> None:
    """Check the inputs that are made from the requests' shapes; Triton would fail when it runs."""
    rank = 2 if generated.kind == BatchInputKind.BATCH_ITEM_SHAPE else 1
    for name in generated.target_name:
        in_graph = _find("input", name, graph.accepted)
        _check_datatype(config, "input", name, generated.data_type, in_graph)
        if len(in_graph.shape) != rank:
            raise BackendError(
                f"unable to load model '{config.name}', batch input kind "
                f"'{generated.kind.name}' has {rank} dimensions, but input '{name}' of the model "
                f"has shape {_brackets(in_graph.shape)}"
            )


def _check_control(
    config: ModelConfig, name: str, control: ModelSequenceBatchingControl, graph: Graph
) -> None:
    in_graph = graph.accepted.get(name)
    if in_graph is None:
        raise BackendError(
            f"configuration specified sequence control '{name}', but model does not provide "
            "that input"
        )
    start = f"unable to load model '{config.name}', sequence control '{name}'"
    full = (-1, 1) if config.max_batch_size > 0 else (1,)
    if not _compatible(in_graph.shape, full):
        raise BackendError(
            f"{start} in model has dims {_brackets(in_graph.shape)} but dims {_brackets(full)} "
            "is expected"
        )
    datatype = _control_datatype(control)
    if datatype != in_graph.datatype:
        provided = in_graph.kind if in_graph.datatype is None else _name(in_graph.datatype)
        raise BackendError(
            f"{start}, the model expects data-type {provided} but the model configuration "
            f"specifies data-type {_name(datatype)}"
        )


def _control_datatype(control: ModelSequenceBatchingControl) -> DataType:
    if control.int32_false_true:
        return DataType.TYPE_INT32
    if control.fp32_false_true:
        return DataType.TYPE_FP32
    if control.bool_false_true:
        return DataType.TYPE_BOOL
    return control.data_type


def _check_state(config: ModelConfig, state: ModelSequenceBatchingState, graph: Graph) -> None:
    for side, name, known in (
        ("input", state.input_name, graph.accepted),
        ("output", state.output_name, graph.outputs),
    ):
        in_graph = _find(side, name, known)
        _check_datatype(config, side, name, state.data_type, in_graph)
        if in_graph.shape or side == "input":
            _check_dims(config, in_graph, state.dims)


def _compatible(shape: Sequence[int], other: Sequence[int]) -> bool:
    return len(shape) == len(other) and all(
        have == want or -1 in (have, want) for have, want in zip(shape, other, strict=True)
    )


def _name(datatype: DataType) -> str:
    return str(datatype.name)


def _brackets(shape: Iterable[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
