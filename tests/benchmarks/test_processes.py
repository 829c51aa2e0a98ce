"""Processor time and memory of processes."""

import os

from processes import (
    Memory,
    ProcessorTime,
    machine_seconds,
    memory,
    parse_rollup,
    parse_stat,
    processor_time,
)

STAT = "42 (a ) name) S 1 42 42 0 -1 4194304 2000 0 7 0 {user} {system} 3 4 20 0 9 0 12345 1 2"
TICKS = os.sysconf("SC_CLK_TCK")

ROLLUP = """\
55d0c0000000-7fffd0000000 ---p 00000000 00:00 0                          [rollup]
Rss:              102400 kB
Pss:               70000 kB
Pss_Dirty:         60000 kB
"""


def test_user_and_kernel_time_are_told_apart():
    """Whatever the name of the process looks like."""
    found = parse_stat(STAT.format(user=3 * TICKS, system=TICKS))

    assert found == ProcessorTime(3.0, 1.0)
    assert found - ProcessorTime(1.0, 0.5) == ProcessorTime(2.0, 0.5)


def test_resident_and_proportional_memory_are_read_in_bytes():
    """The system tells them in kibibytes."""
    assert parse_rollup(ROLLUP) == Memory(102400 * 1024, 70000 * 1024)


def test_an_unknown_process_takes_no_time():
    """So that a server of which only the ports are known can be measured."""
    assert processor_time(None) == ProcessorTime(0.0, 0.0)


def test_this_process_and_this_machine_can_be_read():
    """The texts are those of this system."""
    busy, whole = machine_seconds()

    assert processor_time(os.getpid()).user > 0
    assert memory(os.getpid()).resident >= memory(os.getpid()).proportional > 0
    assert 0 < busy < whole
