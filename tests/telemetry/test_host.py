"""Tests of the machine's readings."""

import pytest

from inferd.telemetry.host import (
    CpuTimes,
    HostReader,
    HostReadings,
    parse_cpu_times,
    parse_memory,
    utilization,
)

STAT = "cpu  100 10 50 800 40 0 0 0 7 7\ncpu0 1 1 1 1\nintr 5\n"
MEMORY = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n"


def write(folder, stat=STAT, memory=MEMORY):
    """Put a ``/proc`` into the folder."""
    folder.joinpath("stat").write_text(stat)
    folder.joinpath("meminfo").write_text(memory)


def test_cpu_times():
    """Idle and waiting time is not busy, and guest time is not counted twice."""
    assert parse_cpu_times(STAT) == CpuTimes(busy=160, total=1000)


def test_cpu_times_of_an_old_kernel():
    """A line that ends before the waiting time is read as far as it goes."""
    assert parse_cpu_times("cpu 1 2 3 4\n") == CpuTimes(busy=6, total=10)


@pytest.mark.parametrize("text", ["", "\n", "intr 5\ncpu0 1 2 3 4\n"])
def test_cpu_times_missing(text):
    """Without a line for all cores there is no number."""
    assert parse_cpu_times(text) is None


def test_memory_used_is_what_programs_cannot_get():
    """Caches that would be given up do not count as used."""
    assert parse_memory(MEMORY) == (1000 * 1024, 600 * 1024)


def test_memory_missing():
    """Without both numbers there is none."""
    assert parse_memory("MemTotal: 1000 kB\n") is None


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (CpuTimes(0, 0), CpuTimes(25, 100), 0.25),
        (CpuTimes(0, 0), CpuTimes(1, 1), 1.0),
        (CpuTimes(5, 100), CpuTimes(5, 100), None),
        (CpuTimes(5, 100), CpuTimes(5, 99), None),
        (CpuTimes(5, 100), CpuTimes(4, 101), 0.0),
        (CpuTimes(5, 100), CpuTimes(7, 101), 1.0),
    ],
)
def test_utilization(before, after, share):
    """The share is between 0 and 1 even when the kernel's counters step back."""
    assert utilization(before, after) == share


def test_utilization_is_since_the_scrape_before(tmp_path):
    """Each scrape tells the use since the one before."""
    write(tmp_path)
    reader = HostReader(tmp_path)
    write(tmp_path, stat="cpu 150 10 50 850 40 0 0 0\n")
    assert reader.read().cpu_utilization == 0.5
    write(tmp_path, stat="cpu 150 10 50 950 40 0 0 0\n")
    assert reader.read().cpu_utilization == 0.0


def test_scrapes_within_a_tick_agree(tmp_path):
    """Two scrapes right after each other tell the same utilization."""
    write(tmp_path)
    reader = HostReader(tmp_path)
    assert reader.read() == HostReadings(0.0, 1000 * 1024, 600 * 1024)
    write(tmp_path, stat="cpu 150 10 50 850 40 0 0 0\n")
    assert reader.read() == reader.read()


def test_no_proc(tmp_path):
    """A machine without ``/proc`` has no readings."""
    assert HostReader(tmp_path).read() == HostReadings()


def test_proc_that_appears_late(tmp_path):
    """Readings that could not be had at the start are not made up later."""
    reader = HostReader(tmp_path)
    write(tmp_path)
    assert reader.read().cpu_utilization is None
