"""
What happened in a repository between two looks at it.

A folder that is still being written is left for the next look: it counts as changed
only when nothing in it is younger than the settle time. Reads no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from inferd.repository.fingerprint import Fingerprint

SETTLE_NS: Final = 1_000_000_000
"""A model folder must have been quiet this long before it is loaded, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What to do.

    Attributes:
        load: Models that are new or changed, sorted.
        unload: Models that are gone, sorted.
        seen: What the next comparison starts from.
    """

    load: tuple[str, ...]
    unload: tuple[str, ...]
    seen: dict[str, Fingerprint]


def compare(
    before: Mapping[str, Fingerprint], after: Mapping[str, Fingerprint], now_ns: int
) -> Changes:
    """
    Return the changes from one snapshot to the next.

    Args:
        before: The snapshot that was acted on last.
        after: The snapshot now.
        now_ns: The wall-clock time of the second, in nanoseconds since the epoch.
    """
    seen = {name: found for name, found in before.items() if name in after}
    load: list[str] = []
    for name, found in sorted(after.items()):
        if before.get(name) == found or now_ns - found.newest_ns < SETTLE_NS:
            continue
        load.append(name)
        seen[name] = found
    return Changes(tuple(load), tuple(sorted(before.keys() - after.keys())), seen)
