"""What is known of each model: its versions, their states and why a load failed."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from inferd.errors import LoadFailed
from inferd.models.lifecycle import VersionStatus
from inferd.models.loaded import LoadedVersion
from inferd.models.overrides import Override
from inferd.repository.fingerprint import Fingerprint


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
        waits: Whether this is an ensemble that stopped or failed because of a model it is
            composed of, and is loaded again when that one changes.
        lock: Held while the model is loaded or unloaded.
    """

    name: str
    versions: dict[int, VersionRecord] = field(default_factory=dict)
    failure: str = ""
    source: Fingerprint | None = None
    override: Override | None = None
    waits: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def ready(self) -> list[LoadedVersion]:
        """Return the versions that serve, in ascending order."""
        return [
            record.loaded
            for _, record in sorted(self.versions.items())
            if record.loaded is not None
        ]

    def is_sound(self) -> bool:
        """Whether every version serves; one that was unloaded does not count."""
        statuses = [version.status for version in self.versions.values()]
        return not self.failure and all(
            status.state == "READY" or status.reason == "unloaded" for status in statuses
        )

    def note_unprepared(self, version: int | None, reason: str) -> LoadFailed:
        """
        Note why no version could be chosen, and return the error to raise.

        Versions that serve are left alone.

        Args:
            version: The newest version in the model's folder, which gets the reason.
            reason: Why.
        """
        if not self.ready():
            self.versions.clear()
            self.failure = "" if version is not None else reason
            if version is not None:
                status = self.versions.setdefault(version, VersionRecord()).status
                status.on("load")
                status.on("failed", reason)
        place = "" if version is None else f"version {version} is at UNAVAILABLE state: "
        return LoadFailed(f"load failed for model '{self.name}': {place}{reason};\n")

    def note_failures(self, versions: Iterable[int], failures: Mapping[int, str]) -> LoadFailed:
        """
        Note that a load failed, and return the error to raise.

        Args:
            versions: The versions that were to be loaded.
            failures: Why, for each that failed; the others are given up with them.
        """
        text = ""
        for version in versions:
            status = self.versions[version].status
            reason = failures.get(version, "unloaded")
            if status.state == "LOADING":
                status.on("failed", reason)
            if version in failures:
                text += f"version {version} is at UNAVAILABLE state: {reason};\n"
        return LoadFailed(f"load failed for model '{self.name}': {text}")
