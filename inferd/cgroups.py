"""
Where the kernel says what this process may use: the files of its control groups.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def folders(root: Path, controller: str) -> Iterator[tuple[bool, Path]]:
    """
    Yield the folders of this process's groups of a controller and of the groups around them.

    Args:
        root: Where ``/proc`` and ``/sys`` are.
        controller: Say ``cpu`` or ``memory``.

    Yields:
        Whether the hierarchy is of version 2, and the folder, which may not exist.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        # Version 2 has one hierarchy without a name, version 1 one per set of controllers.
        if controllers and controller not in controllers.split(","):
            continue
        group = PurePosixPath(path.lstrip("/"))
        base = root / "sys/fs/cgroup" / controllers
        # Inside a container the group's own path may not be mounted, but its root is.
        for folder in (group, *group.parents):
            yield not controllers, base / folder
