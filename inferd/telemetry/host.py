"""
Reads the machine's processor and memory use from ``/proc``.

The numbers are the machine's, not the container's, as Triton's are. Where there is no
``/proc`` there are no numbers, and no metrics.

Source: proc(5), ``/proc/stat`` and ``/proc/meminfo``.
"""

from dataclasses import dataclass
from pathlib import Path

_IDLE_FIELDS = (3, 4)  # idle, iowait
_TIME_FIELDS = 8  # guest times, which follow, are already part of user and nice


@dataclass(frozen=True, slots=True)
class HostReadings:
    """
    What the machine did at one scrape; None where it cannot be told.

    Attributes:
        cpu_utilization: Share of processor time in use since the scrape before, 0.0 to 1.0.
        memory_total_bytes: Installed memory.
        memory_used_bytes: Installed memory less what programs could still be given.
    """

    cpu_utilization: float | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Processor time of all cores since the machine started, in clock ticks."""

    busy: int
    total: int


def parse_cpu_times(text: str) -> CpuTimes | None:
    """Return the totals of a ``/proc/stat``, None when it has no ``cpu`` line."""
    for line in text.splitlines():
        fields = line.split()
        if fields[:1] == ["cpu"]:
            ticks = [int(field) for field in fields[1 : 1 + _TIME_FIELDS]]
            idle = sum(ticks[index] for index in _IDLE_FIELDS if index < len(ticks))
            return CpuTimes(sum(ticks) - idle, sum(ticks))
    return None


def parse_memory(text: str) -> tuple[int, int] | None:
    """Return total and used bytes of a ``/proc/meminfo``, None when a line is missing."""
    kibibytes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            kibibytes[name] = int(rest.split()[0])
    if len(kibibytes) != 2:
        return None
    total = kibibytes["MemTotal"]
    return total * 1024, (total - kibibytes["MemAvailable"]) * 1024


def utilization(before: CpuTimes, after: CpuTimes) -> float | None:
    """Return the busy share between two readings, None when no tick lies between them."""
    elapsed = after.total - before.total
    if elapsed <= 0:
        return None
    return min(max((after.busy - before.busy) / elapsed, 0.0), 1.0)


class HostReader:
    """
    Takes one reading per scrape and remembers the last, to tell the use in between.

    Args:
        proc: The folder to read; another one only in tests.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._times = parse_cpu_times(self._text("stat"))
        self._utilization: float | None = None if self._times is None else 0.0

    def read(self) -> HostReadings:
        """Return the readings now; two scrapes within one tick tell the same utilization."""
        memory = parse_memory(self._text("meminfo"))
        total, used = memory if memory is not None else (None, None)
        return HostReadings(self._cpu_utilization(), total, used)

    def _cpu_utilization(self) -> float | None:
        times = parse_cpu_times(self._text("stat"))
        if self._times is not None and times is not None:
            share = utilization(self._times, times)
            if share is not None:
                self._times, self._utilization = times, share
        return self._utilization

    def _text(self, name: str) -> str:
        try:
            return (self._proc / name).read_text()
        except OSError:
            return ""
