"""
The models that are known and the versions that serve: lookup, load, reload, unload.

A reload builds the new versions beside the old ones and swaps them in at once; the old
ones answer what they accepted and are then freed. If any new version fails, the old
ones stay. Everything but loading itself happens on the event loop.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from inferd.errors import InferdError, LoadFailed, ModelNotReady, NotFound, PluginError, PollFailed
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
from inferd.models.versions import parse_requested
from inferd.repository.catalog import Catalog
from inferd.repository.fingerprint import Fingerprint, fingerprint

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class VersionRecord:
    """One version of a model: its state, and what answers when it is READY."""

    status: VersionStatus = field(default_factory=VersionStatus)
    loaded: LoadedVersion | None = None


@dataclass(slots=True)
class ModelRecord:
    """
    One model.

    Attributes:
        name: The model's name.
        versions: Version number -> record.
        failure: Why no version could even be chosen; ``""`` otherwise.
        source: What the files looked like when the serving versions were loaded;
            ``None`` after a failure or an override.
        override: The folder of a model that was loaded from files in a request.
        lock: Held while the model is loaded or unloaded.
    """

    name: str
    versions: dict[int, VersionRecord] = field(default_factory=dict)
    failure: str = ""
    source: Fingerprint | None = None
    override: Override | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def ready(self) -> list[LoadedVersion]:
        """Return the versions that serve, in ascending order."""
        return [
            record.loaded
            for _, record in sorted(self.versions.items())
            if record.loaded is not None
        ]


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
        for record in self._models.values():
            if record.failure:
                return False
            for version in record.versions.values():
                status = version.status
                if status.state != "READY" and status.reason != "unloaded":
                    return False
        return True

    async def load_all(self, names: Iterable[str]) -> dict[str, InferdError]:
        """Load several models at once; return the errors of those that failed."""
        wanted = list(names)
        results = await asyncio.gather(
            *(self.load(name) for name in wanted), return_exceptions=True
        )
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

        Args:
            name: The model's name.
            config: A config as JSON that replaces the one in the repository.
            files: Model files by relative path that replace the ones in the repository.

        Raises:
            PollFailed: The repository or the config has nothing fit to load.
            LoadFailed: A version could not be loaded, and why.
        """
        record = self._models.setdefault(name, ModelRecord(name))
        async with record.lock:
            try:
                await self._load(record, config, files)
            except (PollFailed, OSError) as error:
                if not record.versions and not record.failure:
                    self._models.pop(name, None)
                failed = error if isinstance(error, PollFailed) else PollFailed(name, str(error))
                logger.error("failed to poll model '%s': %s", name, failed.reason)
                raise failed from error

    async def _load(
        self, record: ModelRecord, config: str | None, files: Mapping[str, bytes] | None
    ) -> None:
        name = record.name
        override = await self._call(Override.write, name, files) if files is not None else None
        try:
            directory = override.directory if override is not None else self._catalog.locate(name)
            source = await self._call(fingerprint, directory)
            if config is None and files is None and record.ready() and record.source == source:
                return
            prepared = await self._prepare(record, directory, config)
            built = await self._build_all(record, prepared)
        except BaseException:
            if override is not None:
                override.remove()
            raise
        previous, record.override = record.override, override
        record.source = source if config is None and files is None else None
        self._swap(record, built)
        if previous is not None:
            previous.remove()
        logger.info("successfully loaded '%s'", name)

    async def _prepare(self, record: ModelRecord, directory: Path, config: str | None) -> Prepared:
        name = record.name
        try:
            return await self._call(self._loader.prepare, name, directory, config)
        except (InferdError, PluginError, OSError) as error:
            reason = reason_of(error)
            if config is not None and isinstance(error, LoadFailed):
                logger.error("Invalid config override: %s", reason)
                raise PollFailed(name, reason) from error
            raise await self._unprepared(record, directory, reason) from error

    async def _unprepared(self, record: ModelRecord, directory: Path, reason: str) -> LoadFailed:
        """Note why no version of a model could be chosen, on its newest version if it has one."""
        name = record.name
        version = await self._call(newest_version, directory)
        logger.error("failed to load '%s': %s", name, reason)
        if not record.ready():
            record.versions.clear()
            record.failure = "" if version is not None else reason
            if version is not None:
                status = record.versions.setdefault(version, VersionRecord()).status
                status.on("load")
                status.on("failed", reason)
        place = "" if version is None else f"version {version} is at UNAVAILABLE state: "
        return LoadFailed(f"load failed for model '{name}': {place}{reason};\n")

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
        raise self._failed(record, prepared, failures)

    def _failed(
        self, record: ModelRecord, prepared: Prepared, failures: Mapping[int, str]
    ) -> LoadFailed:
        text = ""
        for version in prepared.versions:
            status = record.versions[version].status
            reason = failures.get(version, "unloaded")
            if status.state == "LOADING":
                status.on("failed", reason)
            if version in failures:
                logger.error("failed to load '%s' version %s: %s", record.name, version, reason)
                text += f"version {version} is at UNAVAILABLE state: {reason};\n"
        return LoadFailed(f"load failed for model '{record.name}': {text}")

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
        fresh = {one.version: activate(one) for one in built}
        for version, loaded in fresh.items():
            version_record = record.versions[version]
            if version_record.loaded is not None:
                self._close_soon(version_record.loaded)
            version_record.loaded = loaded
            version_record.status.on("loaded")
        for version in record.versions.keys() - fresh.keys():
            self._retire(record, version)
        self._index_serving(record)

    async def unload(self, name: str) -> None:
        """
        Stop serving a model; what it accepted is still answered.

        Returns when the model is UNLOADING; an unknown model is no error.
        """
        record = self._models.get(name)
        if record is None:
            return
        async with record.lock:
            for version in list(record.versions):
                self._retire(record, version)
            record.source = None
            self._index_serving(record)

    async def forget(self, name: str) -> None:
        """Unload a model whose folder is gone, and drop it from the index."""
        await self.unload(name)
        self._models.pop(name, None)

    def _retire(self, record: ModelRecord, version: int) -> None:
        version_record = record.versions[version]
        loaded, version_record.loaded = version_record.loaded, None
        if loaded is not None:
            version_record.status.on("unload")
            self._close_soon(loaded, version_record.status)

    def _index_serving(self, record: ModelRecord) -> None:
        name = record.name
        for key in [key for key in self._serving if key[0] == name]:
            del self._serving[key]
        for loaded in record.ready():
            self._serving[name, str(loaded.version)] = loaded
            self._serving[name, ""] = loaded

    def _close_soon(self, loaded: LoadedVersion, status: VersionStatus | None = None) -> None:
        task = asyncio.get_running_loop().create_task(self._close(loaded, status))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, loaded: LoadedVersion, status: VersionStatus | None) -> None:
        try:
            await loaded.close()
        except Exception:
            logger.exception("unloading '%s' version %s raised", loaded.name, loaded.version)
        # A load may have begun meanwhile; it then owns the status.
        if status is not None and status.state == "UNLOADING":
            status.on("unloaded", "unloaded")
        logger.info("successfully unloaded '%s' version %s", loaded.name, loaded.version)

    async def drain(self) -> None:
        """Wait until every accepted request is answered; new ones are refused."""
        await asyncio.gather(*(loaded.scheduler.drain() for loaded in self.serving()))

    async def close(self) -> None:
        """Unload everything and wait for it."""
        for record in self.records():
            await self.unload(record.name)
        while self._closing:
            await asyncio.gather(*self._closing)
        for record in self.records():
            if record.override is not None:
                record.override.remove()

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function on a loader thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, partial(function, *args, **kwargs))
