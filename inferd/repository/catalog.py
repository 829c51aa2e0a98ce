"""
Which models the configured local repositories hold, and where.

A model is a sub-folder of a repository. A name that occurs in two repositories is
served from neither, as in Triton.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from inferd.errors import PollFailed
from inferd.repository.fingerprint import Fingerprint, fingerprint


class Catalog:
    """
    The models of one or more repositories.

    Args:
        repositories: The repositories' folders; they exist.
    """

    def __init__(self, repositories: Sequence[Path]) -> None:
        self.repositories = tuple(repositories)

    def names(self) -> list[str]:
        """Return every model name once, sorted."""
        found: set[str] = set()
        for repository in self.repositories:
            with os.scandir(repository) as entries:
                found.update(
                    entry.name
                    for entry in entries
                    if entry.is_dir() and not entry.name.startswith(".")
                )
        return sorted(found)

    def locate(self, name: str) -> Path:
        """
        Return the folder of a model.

        Raises:
            PollFailed: It is in no repository, or in more than one.
        """
        folders = self._folders(name)
        if not folders:
            raise PollFailed(name, "model not found in any model repository.")
        if len(folders) > 1:
            raise PollFailed(name, "not unique across all model repositories")
        return folders[0]

    def is_ambiguous(self, name: str) -> bool:
        """Whether more than one repository has a model of that name."""
        return len(self._folders(name)) > 1

    def _folders(self, name: str) -> list[Path]:
        return [path for root in self.repositories if (path := root / name).is_dir()]

    def snapshot(self) -> dict[str, Fingerprint]:
        """Return the fingerprint of every model folder."""
        return {
            name: fingerprint(path)
            for name in self.names()
            for root in self.repositories
            if (path := root / name).is_dir()
        }
