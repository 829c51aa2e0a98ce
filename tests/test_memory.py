"""How much memory the server takes for its own."""

import os

import pytest

from inferd.memory import usable_memory
from tests.test_cgroups import write_groups

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("line", "file"),
    [("0::/pod", "pod/memory.max"), ("4:memory:/pod", "memory/memory.limit_in_bytes")],
)
def test_a_containers_limit_counts(tmp_path, line, file):
    """In both versions of control groups, of the process's group or one around it."""
    write_groups(tmp_path, line)
    path = tmp_path / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text("4096\n")
    assert usable_memory(tmp_path) == 4096


@pytest.mark.parametrize("text", ["max", "9223372036854771712"])
def test_without_a_limit_it_is_the_machines(tmp_path, text):
    """Whichever way the kernel says that there is none."""
    write_groups(tmp_path, "0::/")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(text)
    assert usable_memory(tmp_path) == MACHINE
    assert 0 < usable_memory() <= MACHINE
