"""
A model folder made of files that came with a load request.

The folder lives as long as the model is served from it.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from inferd.errors import InvalidRequest


class Override:
    """
    A temporary model folder.

    Attributes:
        directory: The model's folder; its name is the model's.
    """

    __slots__ = ("_root", "directory")

    def __init__(self, root: "tempfile.TemporaryDirectory[str]", name: str) -> None:
        self._root = root
        self.directory = Path(root.name) / name

    @classmethod
    def write(cls, name: str, files: Mapping[str, bytes]) -> "Override":
        """
        Write the files of a model into a new temporary folder.

        Raises:
            InvalidRequest: A path leaves the model's folder.
            OSError: The disk refuses a file.
        """
        for path in files:
            _check_path(path)
        root = tempfile.TemporaryDirectory(prefix="inferd-model-", ignore_cleanup_errors=True)
        override = cls(root, name)
        try:
            override._fill(files)
        except BaseException:
            override.remove()
            raise
        return override

    def _fill(self, files: Mapping[str, bytes]) -> None:
        self.directory.mkdir()
        for path, content in files.items():
            target = self.directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def remove(self) -> None:
        """Delete the folder."""
        self._root.cleanup()


def _check_path(path: str) -> None:
    parts: list[str] = []
    for part in PurePosixPath(path).parts:
        if part != ".." or not parts or parts[-1] == "..":
            parts.append(part)
        else:
            parts.pop()
    normalized = "/".join(parts)
    if not parts or parts[0] in ("..", "/"):
        raise InvalidRequest(
            f"Invalid file parameter 'file:{path}' with normalized path '{normalized}' must stay "
            "within model directory."
        )
