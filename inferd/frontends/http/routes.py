"""
The paths of the HTTP protocol: which endpoint a path names, and with which arguments.

Paths are compared as they were sent, without percent-decoding, as Triton's regular
expressions do; a trailing slash is another path. Pure.
"""

from functools import lru_cache
from typing import Final, Literal, NamedTuple

Endpoint = Literal[
    "live",
    "ready",
    "server_metadata",
    "model_ready",
    "model_metadata",
    "model_config",
    "statistics",
    "scheduler",
    "infer",
    "index",
    "load",
    "unload",
]
"""What a path asks for."""


class Route(NamedTuple):
    """
    A path, taken apart.

    Attributes:
        endpoint: What it asks for.
        name: The model's name, or ``""``.
        version: The model's version as written, or ``""``.
        repository: The repository's name, or ``""``.
    """

    endpoint: Endpoint
    name: str = ""
    version: str = ""
    repository: str = ""


METHODS: Final[dict[Endpoint, str]] = {
    "live": "GET",
    "ready": "GET",
    "server_metadata": "GET",
    "model_ready": "GET",
    "model_metadata": "GET",
    "model_config": "GET",
    "statistics": "GET",
    "scheduler": "GET",
    "infer": "POST",
    "index": "POST",
    "load": "POST",
    "unload": "POST",
}
"""The one method each endpoint takes."""

_FIXED: Final[dict[str, Route]] = {
    "/v2": Route("server_metadata"),
    "/v2/health/live": Route("live"),
    "/v2/health/ready": Route("ready"),
    "/v2/models/stats": Route("statistics"),
}

_MODEL_ACTIONS: Final[dict[str, Endpoint]] = {
    "infer": "infer",
    "ready": "model_ready",
    "config": "model_config",
    "stats": "statistics",
    "scheduler": "scheduler",
}

_REPOSITORY_ACTIONS: Final[dict[str, Endpoint]] = {"load": "load", "unload": "unload"}


@lru_cache(maxsize=1024)
def resolve(target: str) -> Route | None:
    """Return what a request target names, its query left out; ``None`` is no known path."""
    path = target.partition("?")[0]
    found = _FIXED.get(path)
    if found is not None:
        return found
    if path.startswith("/v2/models/"):
        return _resolve_model(path[len("/v2/models/") :].split("/"))
    if path.startswith("/v2/repository/"):
        return _resolve_repository(path[len("/v2/repository/") :].split("/"))
    return None


def _resolve_model(parts: list[str]) -> Route | None:
    """Resolve ``name[/versions/digits][/action]``."""
    name, rest = parts[0], parts[1:]
    version = ""
    if len(rest) >= 2 and rest[0] == "versions":
        version, rest = rest[1], rest[2:]
        if not (version.isascii() and version.isdigit()):
            return None
    if not name or len(rest) > 1:
        return None
    if not rest:
        return Route("model_metadata", name, version)
    action = _MODEL_ACTIONS.get(rest[0])
    return Route(action, name, version) if action is not None else None


def _resolve_repository(parts: list[str]) -> Route | None:
    """Resolve ``[repository/]index`` and ``[repository/]models/name/load|unload``."""
    if parts[-1] == "index" and len(parts) <= 2:
        repository, rest = parts[:-1], parts[-1:]
    else:
        repository, rest = parts[:-3], parts[-3:]
    if len(repository) > 1 or "" in parts:
        return None
    owner = "".join(repository)
    if rest == ["index"]:
        return Route("index", repository=owner)
    if len(rest) == 3 and rest[0] == "models" and rest[2] in _REPOSITORY_ACTIONS:
        return Route(_REPOSITORY_ACTIONS[rest[2]], rest[1], repository=owner)
    return None
