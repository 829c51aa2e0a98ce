"""
Which versions of a model are served: version folders, version policy, requested versions.

Pure: it sees names and numbers, never the file system.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from inferd._generated.inference import ModelVersionPolicy
from inferd.errors import InvalidRequest

RESERVED_DIRECTORIES: Final = frozenset({"warmup", "initial_state", "configs"})
"""Sub-folders of a model that are never versions and raise no warning."""

_INT64_MAX = 2**63 - 1
_DIRECTORY = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_REQUESTED = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class VersionSelection:
    """
    What a version policy chose.

    Attributes:
        chosen: The versions to load, ascending.
        missing: Versions the policy names that have no folder, in the policy's order.
    """

    chosen: tuple[int, ...]
    missing: tuple[int, ...] = ()


def parse_version_directory(name: str) -> int | None:
    """
    Return the version a sub-folder of a model stands for, or ``None`` when it is none.

    Triton also accepts a folder such as ``1.bak`` as version 1; here the whole name
    must be the number.
    """
    return _to_int64(name) if _DIRECTORY.fullmatch(name) else None


def ignored_directory_warning(name: str) -> str | None:
    """Return Triton's warning for a sub-folder that is no version, or ``None`` for no warning."""
    if name in RESERVED_DIRECTORIES or parse_version_directory(name) is not None:
        return None
    if len(name) > 1 and name.startswith("0"):
        return (
            f"ignore version directory '{name}' which contains leading zeros in its directory name"
        )
    return f"ignore version directory '{name}' which fails to convert to integral number"


def select(available: Iterable[int], policy: ModelVersionPolicy | None) -> VersionSelection:
    """
    Choose the versions to load.

    Args:
        available: The versions that have a folder.
        policy: The config's policy; ``None`` is the latest one version, as in Triton.
            An empty policy is all versions, ``latest {}`` the latest one.
    """
    present = sorted(set(available))
    if policy is None:
        return VersionSelection(tuple(present[-1:]))
    if policy.specific is not None:
        wanted = dict.fromkeys(policy.specific.versions)
        return VersionSelection(
            chosen=tuple(version for version in present if version in wanted),
            missing=tuple(version for version in wanted if version not in present),
        )
    if policy.latest is not None:
        return VersionSelection(tuple(present[-max(policy.latest.num_versions, 1) :]))
    return VersionSelection(tuple(present))


def missing_version_error(model: str, version: int) -> str:
    """Return Triton's message for a version its policy names and no folder holds."""
    return (
        f"version {version} is specified for model '{model}', "
        "but the version directory is not present"
    )


def no_version_error(model: str) -> str:
    """Return Triton's message for a policy that chose nothing."""
    return f"at least one version must be available under the version policy of model '{model}'"


def parse_requested(text: str) -> int | None:
    """
    Return the version a request names, or ``None`` when it leaves the choice to the server.

    Leading blanks, a sign and leading zeros are accepted as ``std::stol`` does; what
    follows the number is not.

    Raises:
        InvalidRequest: The text is not an integer, or a negative one.
    """
    if not text:
        return None
    match = _REQUESTED.fullmatch(text)
    version = None if match is None else _to_int64(match[2])
    if match is None or version is None:
        raise InvalidRequest(
            f"failed to get model version from specified version string '{text}' "
            "(details: stol), version should be an integral value > 0"
        )
    if match[1] == "-" and version:
        raise InvalidRequest(
            f"invalid model version specified '{text}' , version should be an integral value > 0"
        )
    return version


def _to_int64(digits: str) -> int | None:
    """Return the number, or ``None`` where it exceeds 64 bits; digits have no leading zeros."""
    if len(digits) > len(str(_INT64_MAX)):
        return None
    number = int(digits)
    return number if number <= _INT64_MAX else None
