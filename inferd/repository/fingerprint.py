"""Tells whether the files of a model changed, from their names, sizes and times."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """
    What a model folder looked like.

    Attributes:
        files: (relative path, modification time in ns, size in bytes) of every file
            and folder, sorted.
    """

    files: tuple[tuple[str, int, int], ...]

    @property
    def newest_ns(self) -> int:
        """The latest modification time in it, in nanoseconds since the epoch; 0 when empty."""
        return max((modified for _, modified, _ in self.files), default=0)


def fingerprint(directory: Path) -> Fingerprint:
    """Return the fingerprint of a folder; files that vanish meanwhile are left out."""
    return Fingerprint(tuple(sorted(_walk(directory, ""))))


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, int, int]]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            name = prefix + entry.name
            with suppress(FileNotFoundError):
                status = entry.stat()
                is_folder = entry.is_dir()
                yield name, status.st_mtime_ns, 0 if is_folder else status.st_size
                if is_folder:
                    yield from _walk(Path(entry.path), f"{name}/")
