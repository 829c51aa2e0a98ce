"""
The models that are known and the versions that serve: lookup, load, reload, unload.

A reload builds the new versions beside the old ones and swaps them in at once; the old
ones answer what they accepted and are then freed. If any new version fails, the old
ones stay. Everything but loading itself happens on the event loop.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from inferd.errors import InferdError, LoadFailed, ModelNotReady, NotFound, PollFailed
from inferd.models.containment import contained
from inferd.models.ensembles import Ensembles, LoadOperation
from inferd.models.lifecycle import VersionStatus
from inferd.models.loaded import LoadedVersion
from inferd.models.loader import (
    Built,
    ModelLoader,
    Prepared,
    activate,
    discard,
    newest_version,
    reason_of,
)
from inferd.models.overrides import Override
from inferd.models.records import ModelRecord, VersionRecord
from inferd.models.versions import parse_requested
from inferd.repository.catalog import Catalog
from inferd.repository.fingerprint import fingerprint

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class ModelRegistry:
    """
    Every model of the server.

    Args:
        catalog: Finds model folders.
        loader: Builds versions.
        executor: Threads on which loading blocks.
        retries: How often a failed load is tried again.
    """

    def __init__(
        self, catalog: Catalog, loader: ModelLoader, executor: Executor, *, retries: int = 0
    ) -> None:
        self._catalog = catalog
        self._loader = loader
        self._executor = executor
        self._retries = retries
        self._models: dict[str, ModelRecord] = {}
        self._serving: dict[tuple[str, str], LoadedVersion] = {}
        self._ensembles = Ensembles(self._models)
        self._closing: set[asyncio.Task[None]] = set()

    def lookup(self, name: str, version: str) -> LoadedVersion:
        """
        Return what answers for a model and a version as the client wrote it.

        Raises:
            NotFound: There is no such model or version.
            ModelNotReady: The version exists but does not serve.
            InvalidRequest: The version is not a positive integer.
        """
        found = self._serving.get((name, version))
        return found if found is not None else self._resolve(name, version)

    def _resolve(self, name: str, version: str) -> LoadedVersion:
        number = parse_requested(version)
        found = self._serving.get((name, "" if number is None else str(number)))
        if found is not None:
            return found
        unknown = f"Request for unknown model: '{name}'"
        record = self._models.get(name)
        if record is None:
            raise NotFound(f"{unknown} is not found")
        if number is None:
            raise NotFound(f"{unknown} has no available versions")
        if number not in record.versions:
            raise NotFound(f"{unknown} version {number} is not found")
        raise ModelNotReady(f"{unknown} version {number} is not at ready state")

    def record(self, name: str) -> ModelRecord | None:
        """Return what is known of a model."""
        return self._models.get(name)

    def records(self) -> list[ModelRecord]:
        """Return every known model, sorted by name."""
        return [self._models[name] for name in sorted(self._models)]

    def serving(self) -> Iterator[LoadedVersion]:
        """Yield every version that serves, sorted by model and version."""
        for record in self.records():
            yield from record.ready()

    def all_ready(self) -> bool:
        """Whether every known model serves; a version that was unloaded does not count."""
        return all(record.is_sound() for record in self._models.values())

    async def load_all(self, names: Iterable[str]) -> dict[str, InferdError]:
        """Load several models at once; return the errors of those that failed."""
        wanted, operation = list(names), LoadOperation()
        results = await asyncio.gather(
            *(self._load_one(name, operation) for name in wanted), return_exceptions=True
        )
        await self._follow_up(operation)
        failed: dict[str, InferdError] = {}
        for name, result in zip(wanted, results, strict=True):
            if isinstance(result, InferdError):
                failed[name] = result
            elif isinstance(result, BaseException):
                raise result
        return failed

    async def load(
        self,
        name: str,
        *,
        config: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """
        Load a model, or reload it when its files or config changed.

        The models an ensemble is composed of are loaded before it. Ensembles composed of the
        model are checked again, and those that waited for it are loaded.

        Args:
            name: The model's name.
            config: A config as JSON that replaces the one in the repository.
            files: Model files by relative path that replace the ones in the repository.

        Raises:
            PollFailed: The repository or the config has nothing fit to load.
            LoadFailed: A version could not be loaded, and why.
        """
        operation = LoadOperation()
        try:
            await self._load_one(name, operation, config, files)
        finally:
            await self._follow_up(operation)

    async def _load_one(
        self,
        name: str,
        operation: LoadOperation,
        config: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        operation.tried.add(name)
        record = self._models.setdefault(name, ModelRecord(name))
        async with record.lock:
            record.waits = False
            try:
                await self._load(record, operation, config, files)
            except (PollFailed, OSError) as error:
                if not record.versions and not record.failure:
                    self._models.pop(name, None)
                failed = error if isinstance(error, PollFailed) else PollFailed(name, str(error))
                logger.error("failed to poll model '%s': %s", name, failed.reason)
                raise failed from error

    async def _load(
        self,
        record: ModelRecord,
        operation: LoadOperation,
        config: str | None,
        files: Mapping[str, bytes] | None,
    ) -> None:
        name = record.name
        override = await self._call(Override.write, name, files) if files is not None else None
        try:
            directory = override.directory if override is not None else self._catalog.locate(name)
            source = await self._call(fingerprint, directory)
            if config is None and files is None and record.ready() and record.source == source:
                return
            prepared = await self._prepare(record, directory, config)
            await self._compose(record, prepared, operation)
            built = await self._build_all(record, prepared)
        except BaseException:
            if override is not None:
                override.remove()
            raise
        previous, record.override = record.override, override
        record.source = source if config is None and files is None else None
        self._swap(record, built)
        operation.changed.add(name)
        if previous is not None:
            previous.remove()
        logger.info("successfully loaded '%s'", name)

    async def _prepare(self, record: ModelRecord, directory: Path, config: str | None) -> Prepared:
        name = record.name
        try:
            return await self._call(self._loader.prepare, name, directory, config)
        except Exception as error:
            reason = reason_of(error)
            if config is not None and isinstance(error, LoadFailed):
                logger.error("Invalid config override: %s", reason)
                raise PollFailed(name, reason) from error
            raise await self._unprepared(record, directory, reason) from error

    async def _unprepared(self, record: ModelRecord, directory: Path, reason: str) -> LoadFailed:
        """Note why no version of a model could be chosen, on its newest version if it has one."""
        version = await self._call(newest_version, directory)
        logger.error("failed to load '%s': %s", record.name, reason)
        return record.note_unprepared(version, reason)

    async def _compose(
        self, record: ModelRecord, prepared: Prepared, operation: LoadOperation
    ) -> None:
        """Load what an ensemble is composed of and check that it fits together."""
        try:
            needs = self._ensembles.register(record.name, prepared.config)
            if operation.loads_composing:
                await asyncio.gather(*(self._load_composing(one, operation) for one in needs))
            self._ensembles.check(prepared.config)
            self._ensembles.complete(prepared.config)
        except LoadFailed as error:
            record.waits = not record.ready()
            self._ensembles.restore(record)
            raise await self._unprepared(record, prepared.directory, reason_of(error)) from error

    async def _load_composing(self, name: str, operation: LoadOperation) -> None:
        record = self._models.get(name)
        if record is not None and record.lock.locked():
            async with record.lock:
                return
        is_overridden = record is not None and record.ready() and record.source is None
        if name not in operation.tried and not is_overridden:
            # What failed is told by the check that follows, for every reader of the ensemble.
            with contextlib.suppress(InferdError):
                await self._load_one(name, operation)

    async def _follow_up(self, operation: LoadOperation) -> None:
        """Check the ensembles around changed models; load those that waited for them."""
        for record in self._ensembles.around(operation.changed):
            self._recheck(record)
            if record.waits and record.name not in operation.tried:
                with contextlib.suppress(InferdError):
                    await self._load_one(record.name, LoadOperation(loads_composing=False))

    def _recheck(self, record: ModelRecord) -> None:
        """Stop an ensemble that no longer fits what it is composed of; a load checks itself."""
        if record.lock.locked():
            return
        try:
            self._ensembles.check_serving(record)
        except LoadFailed as error:
            reason = reason_of(error)
            logger.error("unloading '%s': %s", record.name, reason)
            for version in list(record.versions):
                self._retire(record, version, reason)
            record.waits, record.source = True, None
            self._index_serving(record)

    async def _build_all(self, record: ModelRecord, prepared: Prepared) -> list[Built]:
        record.failure = ""
        for version in prepared.versions:
            status = record.versions.setdefault(version, VersionRecord()).status
            if status.state != "READY":
                status.on("load")
            logger.info("loading: %s:%s", prepared.name, version)
        results = await asyncio.gather(
            *(self._build(prepared, version) for version in prepared.versions),
            return_exceptions=True,
        )
        built = [result for result in results if isinstance(result, Built)]
        if len(built) == len(results):
            return built
        for other in built:
            await self._call(discard, other)
        failures = {
            version: reason_of(result)
            for version, result in zip(prepared.versions, results, strict=True)
            if isinstance(result, Exception)
        }
        for version, reason in failures.items():
            logger.error("failed to load '%s' version %s: %s", record.name, version, reason)
        raise record.note_failures(prepared.versions, failures)

    async def _build(self, prepared: Prepared, version: int) -> Built:
        for _ in range(self._retries):
            try:
                return await self._call(self._loader.build, prepared, version)
            except InferdError as error:
                logger.warning(
                    "loading '%s' version %s again after: %s", prepared.name, version, error
                )
        return await self._call(self._loader.build, prepared, version)

    def _swap(self, record: ModelRecord, built: Iterable[Built]) -> None:
        fresh = {one.version: activate(one, self.lookup) for one in built}
        for version, loaded in fresh.items():
            version_record = record.versions[version]
            if version_record.loaded is not None:
                self._close_soon(version_record.loaded)
            version_record.loaded = loaded
            version_record.status.on("loaded")
        for version in record.versions.keys() - fresh.keys():
            self._retire(record, version)
        self._index_serving(record)

    async def unload(self, name: str, *, unload_dependents: bool = False) -> None:
        """
        Stop serving a model; what it accepted is still answered.

        Returns when the model is UNLOADING; an unknown model is no error. Ensembles that are
        composed of it stop, too, and are loaded again when it is.

        Args:
            name: The model's name.
            unload_dependents: Whether the models an ensemble is composed of go, too, except
                those that another ensemble needs.
        """
        for one in self._ensembles.unloaded_with(name) if unload_dependents else [name]:
            await self._unload_one(one)
        for record in self._ensembles.around([name]):
            self._recheck(record)

    async def _unload_one(self, name: str) -> None:
        record = self._models.get(name)
        if record is None:
            return
        async with record.lock:
            for version in list(record.versions):
                self._retire(record, version)
            record.source, record.waits = None, False
            self._index_serving(record)

    async def forget(self, name: str) -> None:
        """Unload a model whose folder is gone, and drop it from the index."""
        await self.unload(name)
        self._models.pop(name, None)
        self._ensembles.forget(name)

    def _retire(self, record: ModelRecord, version: int, reason: str = "unloaded") -> None:
        version_record = record.versions[version]
        loaded, version_record.loaded = version_record.loaded, None
        if loaded is not None:
            version_record.status.on("unload")
            self._close_soon(loaded, version_record.status, reason)

    def _index_serving(self, record: ModelRecord) -> None:
        name = record.name
        for key in [key for key in self._serving if key[0] == name]:
            del self._serving[key]
        for loaded in record.ready():
            self._serving[name, str(loaded.version)] = loaded
            self._serving[name, ""] = loaded

    def _close_soon(
        self, loaded: LoadedVersion, status: VersionStatus | None = None, reason: str = ""
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._close(loaded, status, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(
        self, loaded: LoadedVersion, status: VersionStatus | None, reason: str
    ) -> None:
        try:
            await loaded.close()
        except (Exception, SystemExit, KeyboardInterrupt):
            logger.exception("unloading '%s' version %s raised", loaded.name, loaded.version)
        # A load may have begun meanwhile; it then owns the status.
        if status is not None and status.state == "UNLOADING":
            status.on("unloaded", reason)
        logger.info("successfully unloaded '%s' version %s", loaded.name, loaded.version)

    async def drain(self) -> None:
        """Wait until every accepted request is answered; new ones are refused."""
        for record in self._ensembles.unload_order():
            await asyncio.gather(*(loaded.scheduler.drain() for loaded in record.ready()))

    async def close(self) -> None:
        """Unload everything and wait for it."""
        for record in self._ensembles.unload_order():
            await self.unload(record.name)
        while self._closing:
            await asyncio.gather(*self._closing)
        for record in self.records():
            if record.override is not None:
                record.override.remove()

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function on a loader thread."""
        work = partial(contained, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
