"""
The check of a completed model config before anything is loaded.

Texts and their order are Triton's (``ValidateModelConfig`` and its callees), because
deployments and tests match on them. Where Triton checks nothing and the failure would
come later and obscurely, the check and its text are ours.
"""

import posixpath
from collections.abc import Iterable, Iterator

from inferd._generated.inference import ModelConfig, ModelMetrics, ModelWarmup
from inferd.errors import InvalidRequest, LoadFailed
from inferd.models import model_config
from inferd.models.collating import check_collation
from inferd.models.completion import BACKEND_OF_PLATFORM, ENSEMBLE_PLATFORM
from inferd.models.validation_batching import check_dynamic_batching
from inferd.models.validation_ensemble import check_ensemble
from inferd.models.validation_instances import check_instance_groups
from inferd.models.validation_ragged import check_ragged
from inferd.models.validation_sequences import check_sequence_batching
from inferd.models.validation_states import check_sequence_tensors, check_states
from inferd.models.validation_tensors import check_tensors
from inferd.protocol.datatypes import BY_CONFIG

_STRICT_BACKENDS = frozenset(BACKEND_OF_PLATFORM.values())


def validate_model_name(name: str) -> None:
    """
    Check a model name that came with a request before it is used as a folder name.

    Raises:
        InvalidRequest: It is empty or could lead out of the repository.
    """
    if not name:
        raise InvalidRequest("Model name cannot be empty. Please enter a valid name to deploy.")
    if name in (".", "..") or any(character in name for character in "/\\\0"):
        raise InvalidRequest(
            f"invalid model name '{name}', model name must not contain path traversal characters"
        )


def validate(config: ModelConfig, *, directory_name: str, gpu_count: int = 0) -> None:
    """
    Check a completed config on its own, without the model file or other models.

    Args:
        config: The config after detection, backend completion and defaults.
        directory_name: The model's folder name, which the config's name must equal.
        gpu_count: GPUs this process can use.

    Raises:
        LoadFailed: The first thing that is wrong, naming the model.
    """
    _check_identity(config, directory_name)
    if problem := model_config.problem_of_enums(config):
        raise LoadFailed(f"{problem}, for {config.name}")
    if config.max_batch_size < 0:
        raise LoadFailed(f"'max_batch_size' must be non-negative value for {config.name}")
    if config.dynamic_batching is not None:
        check_dynamic_batching(config.dynamic_batching, config.max_batch_size, config.name)
    if config.sequence_batching is not None:
        _check_cache_of_sequences(config)
        check_sequence_batching(config.sequence_batching, config.max_batch_size, config.name)
        check_states(config.sequence_batching, config.name)
        check_sequence_tensors(config, config.sequence_batching)
    if config.ensemble_scheduling is not None:
        check_ensemble(config)
    elif config.platform == ENSEMBLE_PLATFORM:
        raise LoadFailed(
            f"ensemble scheduling must be set for ensemble {config.name} "
            f"whose platform is {ENSEMBLE_PLATFORM}"
        )
    check_cache_of_decoupled(config)
    if config.model_metrics is not None:
        _check_metrics(config.model_metrics)
    check_tensors(config)
    check_ragged(config)
    check_collation(config)
    check_instance_groups(config, gpu_count)
    for warmup in config.model_warmup:
        _check_warmup(config, warmup)
    _check_files(config)


def _check_identity(config: ModelConfig, directory_name: str) -> None:
    """Check the name and the pair of platform and backend."""
    name, platform, backend = config.name, config.platform, config.backend
    if not name:
        raise LoadFailed("model configuration must specify 'name'")
    if name != directory_name:
        raise LoadFailed(
            f"unexpected directory name '{directory_name}' for model '{name}', "
            "directory name must equal model name"
        )
    if not backend and not platform:
        raise LoadFailed(f"must specify 'platform' or 'backend' for '{name}'")
    if not backend and platform != ENSEMBLE_PLATFORM:
        raise LoadFailed(f"unexpected platform type '{platform}' for {name}")
    if backend and platform == ENSEMBLE_PLATFORM:
        raise LoadFailed(
            f"Ensemble model '{name}' must have platform type '{platform}' and empty backend type"
        )
    if backend in _STRICT_BACKENDS and BACKEND_OF_PLATFORM.get(platform) != backend:
        raise LoadFailed(f"unexpected 'platform' and 'backend' pair, got:{platform}, {backend}")


def _check_cache_of_sequences(config: ModelConfig) -> None:
    if config.response_cache is not None and config.response_cache.enable:
        raise LoadFailed(
            f"Response Cache does not currently support model {config.name} with sequence "
            "batching scheduler. Please disable the response cache."
        )


def check_cache_of_decoupled(config: ModelConfig) -> None:
    """
    Check that no decoupled model asks for the response cache.

    Raises:
        LoadFailed: It does.
    """
    cache, policy = config.response_cache, config.model_transaction_policy
    if cache is not None and cache.enable and policy is not None and policy.decoupled:
        raise LoadFailed(
            f"Response Cache does not currently support model {config.name} with 'decoupled' "
            "transaction policy. Please disable the response cache."
        )


def _check_metrics(metrics: ModelMetrics) -> None:
    for control in metrics.metric_control:
        if control.metric_identifier is None:
            raise LoadFailed("metric control must specify 'metric_identifier'")
        if not control.metric_identifier.family:
            raise LoadFailed("metric identifier must specify non-empty 'family'")
        if control.histogram_options is None:
            raise LoadFailed("metric control must specify 'histogram_options'")
        if not control.histogram_options.buckets:
            raise LoadFailed("histogram options must specify non-empty 'buckets'")


def _check_warmup(config: ModelConfig, warmup: ModelWarmup) -> None:
    """Check one warm-up sample; one whose ``batch_size`` is 0 never runs and is not checked."""
    place = f"model_warmup '{warmup.name}'"
    if warmup.batch_size > max(config.max_batch_size, 1):
        raise LoadFailed(
            f"{place} specifies batch_size {warmup.batch_size} which is larger than the maximum "
            f"batch size of {config.name}"
        )
    known = set(_input_names(config))
    for name, tensor in warmup.inputs.items() if warmup.batch_size else ():
        if name not in known:
            raise LoadFailed(f"{place} specifies unknown input '{name}' for {config.name}")
        if tensor.data_type not in BY_CONFIG:
            raise LoadFailed(f"{place} input '{name}' must specify 'data_type' for {config.name}")
        if any(dim < -1 for dim in tensor.dims):
            raise LoadFailed(
                f"{place} input '{name}' dimension must be integer >= 0 for {config.name}"
            )
        if -1 in tensor.dims:
            raise LoadFailed(
                "warmup setting expects all variable-size dimensions are specified "
                f"for input '{name}'"
            )
        if not _has_warmup_data(tensor.zero_data, tensor.random_data, tensor.input_data_file):
            raise LoadFailed(f"warmup setting expects input '{name}' to have input_data_type set")


def _has_warmup_data(*choices: object) -> bool:
    return any(choice is not None for choice in choices)


def _check_files(config: ModelConfig) -> None:
    """Check that file names lead to files of this model; ours, Triton follows them anywhere."""
    for what, folder, filename in _filenames(config):
        if posixpath.isabs(filename) or ".." in posixpath.normpath(
            posixpath.join(folder, filename)
        ).split("/"):
            raise LoadFailed(
                f"{what} '{filename}' must stay within the model directory for {config.name}"
            )


def _filenames(config: ModelConfig) -> Iterator[tuple[str, str, str]]:
    """Yield every file the config names: field, folder below the model's, file name."""
    yield "default_model_filename", "1", config.default_model_filename
    for filename in config.cc_model_filenames.values():
        yield "cc_model_filenames", "1", filename
    for warmup in config.model_warmup:
        for tensor in warmup.inputs.values():
            yield "input_data_file", "warmup", tensor.input_data_file or ""
    if config.sequence_batching is not None:
        for state in config.sequence_batching.state:
            for initial in state.initial_state:
                yield "data_file", "initial_state", initial.data_file or ""


def _input_names(config: ModelConfig) -> Iterator[str]:
    """Yield the inputs a backend may see: declared, control, state and batch inputs."""
    yield from (tensor.name for tensor in config.input)
    yield from _flatten(batch.target_name for batch in config.batch_input)
    if config.sequence_batching is not None:
        yield from (control.name for control in config.sequence_batching.control_input)
        yield from (state.input_name for state in config.sequence_batching.state)


def _flatten(names: Iterable[Iterable[str]]) -> Iterator[str]:
    for group in names:
        yield from group
