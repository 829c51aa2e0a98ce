"""Tells whether the files of a model changed, from their names, sizes and times."""

import os
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
    found: list[tuple[str, int, int]] = []
    pending = [directory]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    status = entry.stat()
                    relative = os.path.relpath(entry.path, directory)
                    size = 0 if entry.is_dir() else status.st_size
                    found.append((relative, status.st_mtime_ns, size))
                    if entry.is_dir():
                        pending.append(Path(entry.path))
        except FileNotFoundError:
            continue
    return Fingerprint(tuple(sorted(found)))
