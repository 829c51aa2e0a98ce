"""
The check of an ensemble against the models it is composed of.

Texts and their order are Triton's (``ValidateEnsembleConfig`` and the model repository
manager), because deployments and tests match on them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from inferd._generated.inference import (
    ModelConfig,
    ModelEnsemblingStep,
    ModelInput,
    ModelOutput,
)
from inferd.errors import LoadFailed
from inferd.models.dependencies import composing_models
from inferd.models.loaded import is_decoupled
from inferd.models.origins import Origins


@dataclass(frozen=True, slots=True)
class Composing:
    """
    What is known of a model an ensemble is composed of.

    Attributes:
        versions: Version that serves -> its config.
        failure: Why loading it failed; ``""`` where it did not, or nothing is known.
    """

    versions: Mapping[int, ModelConfig]
    failure: str = ""


FindComposing = Callable[[str], Composing | None]
"""Model name -> what is known of it; ``None`` when it is in no repository, or in several."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """
    An ensemble tensor as one model sees it.

    Attributes:
        model: That model.
        datatype: The config's name of the datatype.
        dims: The dimensions without a batch dimension.
        full_dims: The dimensions with it.
    """

    model: str
    datatype: str
    dims: tuple[int, ...]
    full_dims: tuple[int, ...]


def check_composition(config: ModelConfig, find: FindComposing) -> None:
    """
    Check that an ensemble's models serve and agree on batch sizes, datatypes and shapes.

    Args:
        config: The ensemble's validated config.
        find: Tells what is known of a model.

    Raises:
        LoadFailed: The first thing that is wrong.
    """
    models = _available(config, find)
    for step in _steps(config):
        _check_versions(config.name, step, models[step.model_name])
    tensors = _declared(config)
    for step in _steps(config):
        _check_step(config, step, _config_of(step, models[step.model_name]), tensors)
    origins = Origins(config.name, _decoupled_steps(config, models))
    origins.follow(_steps(config), [one.name for one in config.input])
    origins.check_together()


def is_composed_decoupled(config: ModelConfig, find: FindComposing) -> bool:
    """Return whether a checked ensemble has a decoupled model, and any number of responses."""
    return bool(_decoupled_steps(config, _available(config, find)))


def _decoupled_steps(config: ModelConfig, models: Mapping[str, Composing]) -> frozenset[int]:
    return frozenset(
        index
        for index, step in enumerate(_steps(config))
        if is_decoupled(_config_of(step, models[step.model_name]))
    )


def circular_error(name: str, last: str) -> LoadFailed:
    """Return the error of an ensemble that needs a model that needs the ensemble."""
    return LoadFailed(f"circular dependency between ensembles: {name} -> ... -> {last} -> {name}")


def _steps(config: ModelConfig) -> Sequence[ModelEnsemblingStep]:
    return config.ensemble_scheduling.step if config.ensemble_scheduling is not None else ()


def _available(config: ModelConfig, find: FindComposing) -> dict[str, Composing]:
    found = {name: find(name) for name in composing_models(config)}
    missing = [name for name, model in found.items() if model is None]
    if missing:
        raise LoadFailed(
            f"ensemble {config.name} contains models that are not available or ambiguous: "
            + ", ".join(missing)
        )
    return {name: model for name, model in found.items() if model is not None}


def _check_versions(ensemble: str, step: ModelEnsemblingStep, model: Composing) -> None:
    depends = f"ensemble '{ensemble}' depends on '{step.model_name}'"
    if not model.versions:
        cause = f". Model '{step.model_name}' loading failed with error: {model.failure}"
        raise LoadFailed(f"{depends} which has no loaded version" + cause * bool(model.failure))
    if step.model_version > 0 and step.model_version not in model.versions:
        raise LoadFailed(f"{depends} whose required version {step.model_version} is not loaded")


def _config_of(step: ModelEnsemblingStep, model: Composing) -> ModelConfig:
    return model.versions[step.model_version if step.model_version > 0 else max(model.versions)]


def _tensor(
    model: str, config: ModelConfig, one: ModelInput | ModelOutput, *, inside: bool = False
) -> _Tensor:
    """Return how clients see a tensor of a model or, ``inside``, how the steps see it."""
    batch = (-1,) if config.max_batch_size > 0 else ()
    dims = tuple(one.reshape.shape if inside and one.reshape is not None else one.dims)
    return _Tensor(model, one.data_type.name or "", dims, (*batch, *dims))


def _declared(config: ModelConfig) -> dict[str, _Tensor]:
    """Return the ensemble's own inputs and outputs."""
    ends: list[ModelInput | ModelOutput] = [*config.input, *config.output]
    return {one.name: _tensor(config.name, config, one, inside=True) for one in reversed(ends)}


def _check_step(
    config: ModelConfig,
    step: ModelEnsemblingStep,
    model: ModelConfig,
    tensors: dict[str, _Tensor],
) -> None:
    """Check one step and note what its model makes of the tensors it is the first to use."""
    name = step.model_name
    if 0 < model.max_batch_size < config.max_batch_size:
        raise LoadFailed(
            f"ensemble {config.name} allows maximum batch size {config.max_batch_size}, but it "
            f"contains model {name} which only allows maximum batch size to be "
            f"{model.max_batch_size}"
        )
    _check_inputs(config.name, step, model, tensors)
    _check_outputs(config.name, step, model, tensors)


def _check_inputs(
    ensemble: str, step: ModelEnsemblingStep, model: ModelConfig, tensors: dict[str, _Tensor]
) -> None:
    name, known = step.model_name, {one.name for one in model.input}
    for key, tensor in sorted(step.input_map.items()):
        if key not in known:
            raise LoadFailed(
                f"in ensemble {ensemble}, ensemble tensor {tensor} is mapping to non-existing "
                f"input {key} in model {name}"
            )
    for one in model.input:
        if one.name in step.input_map:
            _agree(ensemble, step.input_map[one.name], _tensor(name, model, one), tensors)
        elif not one.optional:
            raise LoadFailed(
                f"in ensemble {ensemble}, input {one.name} in model {name} is not mapped to any "
                "ensemble tensors"
            )


def _check_outputs(
    ensemble: str, step: ModelEnsemblingStep, model: ModelConfig, tensors: dict[str, _Tensor]
) -> None:
    name, known = step.model_name, {one.name: one for one in model.output}
    for key, tensor in sorted(step.output_map.items()):
        if key not in known:
            raise LoadFailed(
                f"in ensemble {ensemble}, ensemble tensor {tensor} is mapped from non-existing "
                f"output {key} in model {name}"
            )
    for key, tensor in sorted(step.output_map.items()):
        _agree(ensemble, tensor, _tensor(name, model, known[key]), tensors)


def _agree(ensemble: str, name: str, seen: _Tensor, tensors: dict[str, _Tensor]) -> None:
    """Compare what two models make of an ensemble tensor."""
    known = tensors.setdefault(name, seen)
    place = f"in ensemble {ensemble}, ensemble tensor {name}: "
    if known.datatype != seen.datatype:
        raise LoadFailed(
            f"{place}inconsistent data type: {known.datatype} is inferred from model "
            f"{known.model} while {seen.datatype} is inferred from model {seen.model}"
        )
    # Shapes with the batch dimension are compared, too: a model that does not batch may
    # have it among its dimensions.
    if not _match(known.dims, seen.dims) and not _match(known.full_dims, seen.full_dims):
        raise LoadFailed(
            f"{place}inconsistent shape: {_brackets(known.full_dims)} is inferred from model "
            f"{known.model} while {_brackets(seen.full_dims)} is inferred from model {seen.model}"
        )


def _match(one: Sequence[int], other: Sequence[int]) -> bool:
    return len(one) == len(other) and all(
        a == b or -1 in (a, b) for a, b in zip(one, other, strict=True)
    )


def _brackets(dims: Iterable[int]) -> str:
    return "[" + ",".join(map(str, dims)) + "]"
