"""
Builds a model version from its files: config, backend, instances, scheduler.

Everything that blocks is in methods that run on a loader thread; only
:func:`activate` runs on the event loop.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferd._generated.inference import ModelConfig
from inferd.backend import Backend, Instance, Model, ModelContext
from inferd.backends.loader import BackendLoader
from inferd.errors import InferdError, LoadFailed, PluginError
from inferd.models import (
    completion,
    deadlines,
    labels,
    model_config,
    validation,
    versions,
    warmup,
)
from inferd.models.assembling import assembler_of
from inferd.models.execution_place import execution_place
from inferd.models.loaded import LoadedVersion, Scheduling, is_decoupled
from inferd.models.placements import placements
from inferd.models.rate_limits import check_rate_limits, permits_of
from inferd.models.response_caching import FindLoaded, with_cache
from inferd.models.sequence_batching import read_states, sequence_scheduler
from inferd.models.support import refuse_unsupported
from inferd.protocol.signature import Signature
from inferd.scheduling.cache import ResponseCache
from inferd.scheduling.ensemble import EnsemblePlan
from inferd.scheduling.ensemble_scheduler import EnsembleScheduler, FindModel
from inferd.scheduling.inline import inline_policy
from inferd.scheduling.kept_response import KeptResponse
from inferd.scheduling.limited_instances import Permits, SharedResources
from inferd.scheduling.policy import BatchPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.sequence_state import SequenceStates
from inferd.scheduling.statistics import ModelStatistics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """
    What the operator chose about loading.

    Attributes:
        auto_complete: Whether backends fill in what a config leaves out.
        config_name: Use ``configs/<config_name>.pbtxt`` where a model has it.
        gpu_count: GPUs this process may use.
        strict_deadlines: Whether a queue timeout is reported as a deadline exceeded.
    """

    auto_complete: bool = True
    config_name: str = ""
    gpu_count: int = 0
    strict_deadlines: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    A model whose config is complete and valid, and the versions to load.

    An ensemble has no backend.
    """

    name: str
    directory: Path
    config: ModelConfig
    backend: Backend | None
    versions: tuple[int, ...]
    cache: ResponseCache[KeptResponse] | None = None
    strict_deadlines: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """A version whose instances exist and that is not yet scheduled."""

    prepared: Prepared
    version: int
    model: Model | None
    instances: Sequence[Instance]
    labels: dict[str, list[str]]
    load_ns: int
    states: SequenceStates | None = None
    permits: Permits | None = None


class ModelLoader:
    """
    Turns model folders into versions that can answer.

    Args:
        backends: Finds the backend of a model.
        settings: The operator's choices.
        cache: Keeps the responses of models that ask for it; ``None`` when there is none.
        resources: What instances share when executions are limited; ``None`` when they are
            not.
    """

    def __init__(
        self,
        backends: BackendLoader,
        settings: LoaderSettings,
        cache: ResponseCache[KeptResponse] | None = None,
        resources: SharedResources | None = None,
    ) -> None:
        self._backends = backends
        self._settings = settings
        self._cache = cache
        self._resources = resources

    def prepare(self, name: str, directory: Path, override: str | None = None) -> Prepared:
        """
        Read, complete and check the config of a model. Blocks.

        Args:
            name: The model's name.
            directory: Its folder.
            override: A config as JSON that replaces the file's.

        Raises:
            LoadFailed: The config is missing, wrong or selects no version.
            BackendError: The backend cannot read the model file.
            PluginError: The backend cannot be used.
        """
        config = self._read_config(name, directory, override)
        found = _version_directories(directory)
        first = min(found, key=str, default=None)
        completion.detect_backend(
            config, version_directory=None if first is None else directory / str(first)
        )
        refuse_unsupported(config)
        is_ensemble = config.platform == completion.ENSEMBLE_PLATFORM
        backend = None if is_ensemble else self._backends.load(config.backend)
        selection = versions.select(found, config.version_policy)
        for missing in selection.missing:
            logger.error("%s", versions.missing_version_error(name, missing))
        if not selection.chosen:
            raise LoadFailed(versions.no_version_error(name))
        newest = selection.chosen[-1]
        context = ModelContext(name, newest, config, directory, directory / str(newest))
        config = self._complete(context, backend)
        validation.validate(config, directory_name=name, gpu_count=self._settings.gpu_count)
        execution_place(config)
        check_rate_limits(config, limited=self._resources is not None)
        deadlines.timeout_is_deadline(config)
        cache = self._cache_of(config)
        return Prepared(
            name,
            directory,
            config,
            backend,
            tuple(selection.chosen),
            cache,
            self._settings.strict_deadlines,
        )

    def _cache_of(self, config: ModelConfig) -> ResponseCache[KeptResponse] | None:
        if config.response_cache is None or not config.response_cache.enable:
            return None
        if self._cache is None:
            logger.warning(
                "model '%s': 'response_cache' has no effect, since the server has no cache; "
                "see --cache-config",
                config.name,
            )
        return self._cache

    def _complete(self, context: ModelContext, backend: Backend | None) -> ModelConfig:
        config = context.config
        if backend is None:
            completion.complete_defaults(config, cpu_instance_count=0, gpu_count=0)
            return config
        if self._settings.auto_complete:
            config = backend.complete_config(context)
        completion.complete_defaults(
            config,
            cpu_instance_count=backend.cpu_instance_count,
            gpu_count=self._settings.gpu_count if backend.uses_gpus else 0,
        )
        return config

    def build(self, prepared: Prepared, version: int) -> Built:
        """
        Load one version, make its instances and warm them up. Blocks.

        Raises:
            LoadFailed: A label file or an initial state cannot be read, or a warm-up sample
                failed.
            BackendError: The backend refused.
        """
        started_ns = time.monotonic_ns()
        config, directory = prepared.config, prepared.directory
        label_lists = {
            output.name: labels.read_labels(directory, output.label_filename)
            for output in config.output
            if output.label_filename
        }
        backend = prepared.backend
        if backend is None:
            load_ns = time.monotonic_ns() - started_ns
            return Built(prepared, version, None, (), label_lists, load_ns)
        states = read_states(config, directory)
        permits = permits_of(config, self._resources)
        try:
            model, instances = _load(backend, prepared, version, states)
        except BaseException:
            if permits is not None:
                permits.retract()
            raise
        load_ns = time.monotonic_ns() - started_ns
        return Built(prepared, version, model, instances, label_lists, load_ns, states, permits)

    def _read_config(self, name: str, directory: Path, override: str | None) -> ModelConfig:
        if override is not None:
            config = model_config.parse_json(override, f"config override of '{name}'")
        else:
            config = self._read_config_file(directory)
        if not config.name:
            config.name = name
        return config

    def _read_config_file(self, directory: Path) -> ModelConfig:
        path = directory / "config.pbtxt"
        named = directory / "configs" / f"{self._settings.config_name}.pbtxt"
        if self._settings.config_name and named.is_file():
            path = named
        if not path.is_file():
            if self._settings.auto_complete:
                return ModelConfig()
            raise LoadFailed(f"failed to open text file for read {path}: No such file or directory")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise LoadFailed(f"failed to read text proto from {path}: {error}") from error
        return model_config.parse_text(text, str(path))


def _load(
    backend: Backend, prepared: Prepared, version: int, states: SequenceStates | None
) -> tuple[Model, list[Instance]]:
    """Load a version and make its instances, warmed up; nothing stays when that fails."""
    config, directory = prepared.config, prepared.directory
    context = ModelContext(prepared.name, version, config, directory, directory / str(version))
    model = backend.load(context)
    instances: list[Instance] = []
    try:
        places = list(placements(config))
        instances.extend(model.create_instance(place) for place in places)
        names = [place.name for place in places]
        named = list(zip(names, instances, strict=True))
        warmup.run(config, version, directory, named, states)
    except BaseException:
        for instance in instances:
            instance.close()
        model.close()
        raise
    return model, instances


def newest_version(directory: Path) -> int | None:
    """Return the greatest version a model folder has, or ``None``. Blocks."""
    names = (entry.name for entry in directory.iterdir() if entry.is_dir())
    found = [versions.parse_version_directory(name) for name in names]
    return max((version for version in found if version is not None), default=None)


def _version_directories(directory: Path) -> list[int]:
    found: list[int] = []
    for entry in sorted(directory.iterdir()):
        if entry.is_dir():
            version = versions.parse_version_directory(entry.name)
            warning = versions.ignored_directory_warning(entry.name)
            if version is not None:
                found.append(version)
            elif warning is not None:
                logger.warning("%s", warning)
    return found


def activate(built: Built, find: FindLoaded) -> LoadedVersion:
    """
    Give a built version its scheduler. Runs on the event loop.

    Args:
        built: The version.
        find: What an ensemble looks its models up with.
    """
    config = built.prepared.config
    signature = Signature.from_config(config)
    batches = config.dynamic_batching is not None or config.sequence_batching is not None
    statistics = ModelStatistics(
        load_ns=built.load_ns, combines=batches and config.max_batch_size > 1
    )
    if config.ensemble_scheduling is None:
        statistics.inline = inline_policy(execution_place(config))
    scheduler = _scheduler(built, signature, statistics, find)
    if built.prepared.cache is not None:
        scheduler = with_cache(
            scheduler, built.prepared.cache, config, built.version, statistics, find
        )
    return LoadedVersion(
        name=built.prepared.name,
        version=built.version,
        config=config,
        signature=signature,
        scheduler=scheduler,
        statistics=statistics,
        labels=built.labels,
        model=built.model,
        decoupled=is_decoupled(config),
        direct=_direct(scheduler, config),
        timeout_is_deadline=deadlines.timeout_is_deadline(config),
    )


def _direct(scheduler: Scheduling, config: ModelConfig) -> Scheduler | None:
    """Return the scheduler if its requests end with their futures and nothing else."""
    if isinstance(scheduler, Scheduler) and not is_decoupled(config):
        return scheduler
    return None


def _scheduler(
    built: Built, signature: Signature, statistics: ModelStatistics, find: FindModel
) -> Scheduling:
    config, name = built.prepared.config, built.prepared.name
    if config.ensemble_scheduling is not None:
        plan = EnsemblePlan.from_config(config, signature)
        return EnsembleScheduler(plan, built.version, find, statistics)
    assembler = assembler_of(config, signature, built.version, statistics)
    if built.states is not None:
        return sequence_scheduler(
            config,
            assembler,
            built.states,
            built.instances,
            statistics,
            permits=built.permits,
            inline=statistics.inline,
        )
    return Scheduler(
        BatchPolicy.from_config(config),
        assembler,
        built.instances,
        statistics,
        name=name,
        decoupled=is_decoupled(config),
        permits=built.permits,
        inline=statistics.inline,
        strict_deadlines=built.prepared.strict_deadlines,
    )


def discard(built: Built) -> None:
    """Free a built version that will not be activated. Blocks."""
    for instance in built.instances:
        instance.close()
    if built.model is not None:
        built.model.close()
    if built.permits is not None:
        built.permits.retract()


def reason_of(error: Exception) -> str:
    """Return why a load failed, in the form the repository index shows it."""
    if isinstance(error, LoadFailed):
        return f"Invalid argument: {error.message}"
    if isinstance(error, InferdError):
        return f"Internal: {error.message}"
    if isinstance(error, PluginError):
        return f"Internal: {error}"
    logger.error("loading raised an unforeseen exception", exc_info=error)
    return f"Internal: {type(error).__name__} while loading"
