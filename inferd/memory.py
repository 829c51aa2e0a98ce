"""
How much memory this process may use.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from inferd import cgroups


def usable_memory(root: Path = Path("/")) -> int:
    """
    Return the bytes of the machine's memory, or its cgroup's limit if that is less.

    Args:
        root: Where ``/proc`` and ``/sys`` are.
    """
    return min([_physical(), *_limits(root)])


def _physical() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits(root: Path) -> Iterator[int]:
    for is_second, folder in cgroups.folders(root, "memory"):
        file = folder / ("memory.max" if is_second else "memory.limit_in_bytes")
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            yield int(text)
