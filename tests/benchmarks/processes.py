"""
What Linux says of processes: their processor time and memory, and how busy the machine is.

Source: proc(5).
"""

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """
    Processor time of all threads of a process so far, in seconds.

    Attributes:
        user: In its own code.
        system: In the kernel on its behalf.
    """

    user: float
    system: float

    def __sub__(self, earlier: "ProcessorTime") -> "ProcessorTime":
        return ProcessorTime(self.user - earlier.user, self.system - earlier.system)


@dataclass(frozen=True, slots=True)
class Memory:
    """
    Memory of a process, in bytes.

    Attributes:
        resident: All of its pages that are in memory.
        proportional: The same with shared pages divided among those who share them.
    """

    resident: int
    proportional: int


def processor_time(process: int | None) -> ProcessorTime:
    """Return a process's processor time; zeros for an unknown process."""
    if process is None:
        return ProcessorTime(0.0, 0.0)
    return parse_stat(Path(f"/proc/{process}/stat").read_text())


def parse_stat(text: str) -> ProcessorTime:
    """Read the processor time in the text of ``/proc/PID/stat``."""
    fields = text.rpartition(")")[2].split()
    return ProcessorTime(int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)


def memory(process: int) -> Memory:
    """Return a process's memory."""
    return parse_rollup(Path(f"/proc/{process}/smaps_rollup").read_text())


def parse_rollup(text: str) -> Memory:
    """Read the memory in the text of ``/proc/PID/smaps_rollup``."""
    fields = dict(line.split()[:2] for line in text.splitlines()[1:])
    return Memory(int(fields["Rss:"]) * 1024, int(fields["Pss:"]) * 1024)


def children_seconds() -> float:
    """Return the processor time of the ended processes that were started here."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def machine_seconds() -> tuple[float, float]:
    """Return the processor time of the whole machine: busy, and in all."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    ticks = [int(field) for field in fields]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / _TICKS, sum(ticks) / _TICKS
