"""Where the limits of a process are found."""

from inferd import cgroups


def write_groups(root, *lines):
    """Write what the kernel says of a process."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_the_second_version_has_one_tree(tmp_path):
    """The process's group comes first, then those around it, up to the root."""
    write_groups(tmp_path, "0::/a/b")
    tree = tmp_path / "sys/fs/cgroup"
    assert list(cgroups.folders(tmp_path, "memory")) == [
        (True, tree / "a/b"),
        (True, tree / "a"),
        (True, tree),
    ]


def test_the_first_version_has_a_tree_per_controller(tmp_path):
    """Others are not looked at."""
    write_groups(tmp_path, "3:cpu,cpuacct:/a", "2:memory:/")
    tree = tmp_path / "sys/fs/cgroup"
    assert list(cgroups.folders(tmp_path, "memory")) == [(False, tree / "memory")]
    assert list(cgroups.folders(tmp_path, "cpu")) == [
        (False, tree / "cpu,cpuacct/a"),
        (False, tree / "cpu,cpuacct"),
    ]


def test_a_system_without_groups_has_none(tmp_path):
    """Say, one that is not Linux."""
    assert list(cgroups.folders(tmp_path, "cpu")) == []
