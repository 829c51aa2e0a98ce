"""
Finds backends among the installed distributions and makes each of them once.

A backend is an entry point in the group ``inferd.backends``. Listing them reads package
metadata only; a plugin's code is imported when the first of its models loads, so a broken
or slow plugin costs nothing to a server that does not use it.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from inferd.backend import API_VERSION, Backend
from inferd.errors import LoadFailed, PluginError

GROUP: Final = "inferd.backends"
"""The entry-point group plugins declare themselves in."""


@dataclass(frozen=True, slots=True)
class InstalledBackend:
    """
    A backend some distribution declares.

    Attributes:
        name: What a model config's ``backend`` field says.
        distribution: The distribution that declares it.
        version: That distribution's version.
        entry_point: Where its class is, ``module:Class``.
    """

    name: str
    distribution: str
    version: str
    entry_point: str


class BackendLoader:
    """
    The process's backends by name.

    Every method may block and may be called from any thread.

    Args:
        settings: Backend name -> the ``--backend-config`` values meant for it; the name
            ``""`` holds the values meant for all of them.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        self._settings = settings
        self._loaded: dict[str, Backend] = {}
        self._lock = threading.Lock()

    def installed(self) -> list[InstalledBackend]:
        """Return what is installed, by name, without importing any of it."""
        found = (_describe(entry_point) for entry_point in entry_points(group=GROUP))
        return sorted(found, key=lambda backend: (backend.name, backend.distribution))

    def loaded(self) -> dict[str, Backend]:
        """Return the backends made so far, by name."""
        with self._lock:
            return dict(self._loaded)

    def load(self, name: str) -> Backend:
        """
        Return the backend of that name, made on the first call.

        Raises:
            LoadFailed: No installed distribution declares it.
            PluginError: The plugin cannot be imported, is no backend, was built for
                another version of the contract, raised when it was made, or is declared
                by two distributions.
        """
        # One lock for all: two threads must not make the same backend twice, and imports
        # of different plugins mostly wait for each other anyway.
        with self._lock:
            backend = self._loaded.get(name)
            if backend is None:
                backend = self._make(name)
                self._loaded[name] = backend
            return backend

    def _make(self, name: str) -> Backend:
        entry_point = _only(name)
        plugin = _import(entry_point)
        settings = {**self._settings.get("", {}), **self._settings.get(name, {})}
        try:
            return plugin(settings)
        except Exception as error:
            raise _plugin_error(entry_point, f"could not be made: {_reason(error)}") from error


def _describe(entry_point: EntryPoint) -> InstalledBackend:
    distribution = entry_point.dist
    return InstalledBackend(
        name=entry_point.name,
        distribution=distribution.name if distribution is not None else "an unknown distribution",
        version=distribution.version if distribution is not None else "",
        entry_point=entry_point.value,
    )


def _only(name: str) -> EntryPoint:
    """Return the one entry point of that name."""
    found = entry_points(group=GROUP, name=name)
    if not found:
        # Triton's text; its own tests look for it.
        raise LoadFailed(
            f"unable to find backend library for backend '{name}', "
            "try specifying runtime on the model configuration."
        )
    if len(found) > 1:
        owners = sorted(_describe(entry_point).distribution for entry_point in found)
        raise PluginError(
            " and ".join(owners), name, "is declared by more than one distribution; uninstall one"
        )
    return next(iter(found))


def _import(entry_point: EntryPoint) -> type[Backend]:
    """Import the plugin's class and check that it is what it claims to be."""
    try:
        plugin = entry_point.load()
    # A plugin may end its import with anything, SystemExit included; none of it may end
    # the server.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _plugin_error(entry_point, f"cannot be imported: {_reason(error)}") from error
    if not (isinstance(plugin, type) and issubclass(plugin, Backend)):
        raise _plugin_error(entry_point, "is not a subclass of inferd.backend.Backend")
    if plugin.API_VERSION != API_VERSION:
        raise _plugin_error(
            entry_point,
            f"was built for version {plugin.API_VERSION} of the backend contract, "
            f"this server has version {API_VERSION}",
        )
    return plugin


def _plugin_error(entry_point: EntryPoint, reason: str) -> PluginError:
    described = _describe(entry_point)
    return PluginError(
        described.distribution, f"{described.name} = {described.entry_point}", reason
    )


def _reason(error: BaseException) -> str:
    """Return the exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
