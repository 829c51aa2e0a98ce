"""What the registry asks about ensembles: whether they fit, who needs whom, in which order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from inferd._generated.inference import ModelConfig, ModelTransactionPolicy
from inferd.errors import LoadFailed
from inferd.models.composition import (
    Composing,
    check_composition,
    circular_error,
    is_composed_decoupled,
)
from inferd.models.dependencies import Dependencies, composing_models
from inferd.models.loaded import is_decoupled
from inferd.models.records import ModelRecord
from inferd.models.validation import check_cache_of_decoupled


@dataclass(slots=True)
class LoadOperation:
    """
    One load, with what it leads to.

    Attributes:
        loads_composing: Whether the models an ensemble is composed of are loaded, too.
        tried: The models it tried to load.
        changed: The models it loaded.
    """

    loads_composing: bool = True
    tried: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)


class Ensembles:
    """
    The ensembles among the models.

    Args:
        models: The registry's records by name.
    """

    def __init__(self, models: Mapping[str, ModelRecord]) -> None:
        self._models = models
        self._dependencies = Dependencies()
        self._made_decoupled: set[str] = set()

    def register(self, name: str, config: ModelConfig) -> tuple[str, ...]:
        """
        Note what a model is composed of, and return it.

        Raises:
            LoadFailed: It would need itself.
        """
        needs = composing_models(config)
        self._dependencies.set(name, needs)
        last = self._dependencies.cycle_through(name)
        if last is not None:
            raise circular_error(name, last)
        return needs

    def restore(self, record: ModelRecord) -> None:
        """Note again what the versions that serve are composed of, after a failed reload."""
        for serving in record.ready()[-1:]:
            self._dependencies.set(record.name, composing_models(serving.config))

    def forget(self, name: str) -> None:
        """Drop what a model is composed of."""
        self._dependencies.set(name, ())

    def check(self, config: ModelConfig) -> None:
        """
        Check that an ensemble's models serve and fit together; any other model passes.

        Raises:
            LoadFailed: They do not.
        """
        check_composition(config, self._find)

    def complete(self, config: ModelConfig) -> None:
        """
        Make a checked ensemble with a decoupled model decoupled, as Triton does.

        Raises:
            LoadFailed: It asks for the response cache, too.
        """
        self._made_decoupled.discard(config.name)
        if config.ensemble_scheduling is None or is_decoupled(config):
            return
        if is_composed_decoupled(config, self._find):
            config.model_transaction_policy = ModelTransactionPolicy(decoupled=True)
            check_cache_of_decoupled(config)
            self._made_decoupled.add(config.name)

    def check_serving(self, record: ModelRecord) -> None:
        """
        Check the ensemble that serves now.

        Raises:
            LoadFailed: It no longer fits what it is composed of.
        """
        for serving in record.ready()[-1:]:
            self.check(serving.config)
            is_composed = is_composed_decoupled(serving.config, self._find)
            if is_composed and not serving.decoupled:
                raise LoadFailed(f"a model of ensemble '{record.name}' has become decoupled")
            if record.name in self._made_decoupled and not is_composed:
                raise LoadFailed(f"no model of ensemble '{record.name}' is decoupled any more")

    def around(self, names: Iterable[str]) -> list[ModelRecord]:
        """Return the models and the ensembles that need them, each after what it needs."""
        found = set(names)
        for name in tuple(found):
            found.update(self._dependencies.dependents(name))
        order = self._dependencies.load_order(found)
        return [self._models[name] for name in order if name in self._models]

    def unload_order(self) -> list[ModelRecord]:
        """Return every model, ensembles before what they are composed of."""
        order = self._dependencies.unload_order(self._models)
        return [self._models[name] for name in order]

    def unloaded_with(self, name: str) -> list[str]:
        """Return a model and all it is composed of, except what other ensembles need."""
        gone = [name]
        for one in self._dependencies.unload_order(self._dependencies.composing(name)):
            users = set(self._dependencies.dependents(one)).difference(gone)
            if not any(user in self._models and self._models[user].ready() for user in users):
                gone.append(one)
        return gone

    def _find(self, name: str) -> Composing | None:
        record = self._models.get(name)
        if record is None:
            return None
        reasons = [record.failure, *(one.status.reason for one in record.versions.values())]
        failure = next((one for one in reasons if one not in ("", "unloaded")), "")
        return Composing({one.version: one.config for one in record.ready()}, failure)
