"""
The check of an ensemble on its own: its steps, and that data can flow from inputs to outputs.

Whether the composing models exist and agree on types and shapes is checked where they
are known.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from inferd._generated.inference import ModelConfig, ModelEnsemblingStep
from inferd.errors import LoadFailed
from inferd.models.completion import ENSEMBLE_PLATFORM


@dataclass(eq=False, slots=True)
class _Tensor:
    """An ensemble tensor: a node of the data flow."""

    name: str
    is_written: bool = False
    is_ready: bool = False
    sources: list["_Tensor"] = field(default_factory=list)
    targets: list["_Tensor"] = field(default_factory=list)


class _Graph(dict[str, _Tensor]):
    """Ensemble tensors by name."""

    def __missing__(self, name: str) -> _Tensor:
        tensor = self[name] = _Tensor(name)
        return tensor


def check_ensemble(config: ModelConfig) -> None:
    """
    Check a config that has ``ensemble_scheduling``.

    Raises:
        LoadFailed: The first thing that is wrong.
    """
    name = config.name
    if config.platform != ENSEMBLE_PLATFORM:
        raise LoadFailed(
            f"ensemble scheduling cannot be set for model '{name}' "
            f"whose platform is not {ENSEMBLE_PLATFORM}"
        )
    if config.instance_group:
        raise LoadFailed(f"instance group should not be specified for ensemble '{name}'")
    if config.optimization is not None:
        raise LoadFailed(f"optimization should not be specified for ensemble '{name}'")
    if config.model_warmup:
        raise LoadFailed(f"model_warmup can not be specified for ensemble '{name}'")
    steps = [] if config.ensemble_scheduling is None else config.ensemble_scheduling.step
    if not steps:
        raise LoadFailed(f"must specify 'step' for ensemble '{name}'")
    _check_flow(config, _build_graph(steps, name))


def _build_graph(steps: Iterable[ModelEnsemblingStep], ensemble: str) -> _Graph:
    graph = _Graph()
    for index, step in enumerate(steps):
        _check_step(step, index, ensemble)
        outputs = []
        for tensor_name in step.output_map.values():
            tensor = graph[tensor_name]
            if tensor.is_written:
                raise LoadFailed(
                    f"ensemble tensor '{tensor_name}' can appear in an output map only once for "
                    f"ensemble '{ensemble}' step {index}"
                )
            tensor.is_written = True
            outputs.append(tensor)
        for tensor_name in step.input_map.values():
            source = graph[tensor_name]
            source.targets.extend(outputs)
            for output in outputs:
                output.sources.append(source)
    return graph


def _check_step(step: ModelEnsemblingStep, index: int, ensemble: str) -> None:
    for field_name, value in (
        ("model_name", step.model_name),
        ("input_map", step.input_map),
        ("output_map", step.output_map),
    ):
        if not value:
            raise LoadFailed(
                f"must specify '{field_name}' in step {index} of ensemble '{ensemble}'"
            )


def _check_flow(config: ModelConfig, graph: _Graph) -> None:
    """Check that every tensor is reached from the inputs and leads somewhere."""
    for given in config.input:
        if given.name in graph and graph[given.name].is_written:
            raise LoadFailed(
                f"ensemble input '{given.name}' can not appear in an output map of ensemble "
                f"'{config.name}'"
            )
    for declared, kind in ((config.input, "input"), (config.output, "output")):
        for tensor in declared:
            if tensor.name not in graph:
                raise LoadFailed(
                    f"ensemble {kind} '{tensor.name}' for ensemble {config.name}' is not used"
                )
        if kind == "input":
            _spread([graph[tensor.name] for tensor in declared])
    outputs = {tensor.name for tensor in config.output}
    for output in config.output:
        _check_written(graph[output.name], config.name)
    for tensor_name, node in graph.items():
        if tensor_name not in outputs and not (node.is_ready and node.targets):
            raise LoadFailed(
                f"ensemble tensor '{tensor_name}' is unused in ensemble '{config.name}'"
            )


def _spread(inputs: list[_Tensor]) -> None:
    """Mark what the inputs can produce, step by step, as ready."""
    for tensor in inputs:
        tensor.is_ready = True
    waiting = list(inputs)
    while waiting:
        for target in waiting.pop().targets:
            if not target.is_ready and all(source.is_ready for source in target.sources):
                target.is_ready = True
                waiting.append(target)


def _check_written(output: _Tensor, ensemble: str) -> None:
    if output.is_ready:
        return
    message = f"output '{output.name}' for ensemble '{ensemble}' is not written"
    cause = _first_cause(output)
    if cause is not output:
        message += f": at least one of its depending tensors, '{cause.name}', is not connected"
    raise LoadFailed(message)


def _first_cause(tensor: _Tensor) -> _Tensor:
    """Follow sources that are not ready to where the chain ends or closes."""
    seen = {tensor.name}
    cause = tensor
    while True:
        pending = [s for s in cause.sources if not s.is_ready and s.name not in seen]
        if not pending:
            return cause
        cause = pending[0]
        seen.add(cause.name)
