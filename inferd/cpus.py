"""
How many CPUs this process may really use.

Frameworks start one thread per core of the host, which in a container with a quota of two
CPUs on a machine of 64 means 62 threads that only get each other throttled. Backends ask
here instead of reading cgroups themselves.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from inferd import cgroups

_NO_LIMIT: Final = ("max", "-1")


def usable_cpus(root: Path = Path("/")) -> int:
    """
    Return the CPUs in this process's affinity mask, or its cgroup's quota if that is less.

    A quota is rounded down: a thread for the fraction would use up the quota of the others.

    Args:
        root: Where ``/proc`` and ``/sys`` are.
    """
    quotas = [max(1, int(quota)) for quota in _quotas(root)]
    return min([_affinity(), *quotas])


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quotas of this process's cgroups and of the groups around them."""
    for is_second, folder in cgroups.folders(root, "cpu"):
        names = ["cpu.max"] if is_second else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        yield from _quota([folder / name for name in names])


def _quota(files: list[Path]) -> Iterator[float]:
    try:
        words = " ".join(file.read_text() for file in files).split()
    except OSError:
        return
    if words[0] not in _NO_LIMIT:
        yield int(words[0]) / int(words[1])
