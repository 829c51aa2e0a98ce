"""Threads follow the CPUs this process may use, not those of the host."""

import os

import pytest

from inferd import backend
from inferd.cpus import usable_cpus


@pytest.fixture(name="host")
def _host(tmp_path, monkeypatch):
    """Return a function that writes files of a host with 16 usable CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)

    def write(**files: str):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_affinity_alone(host):
    """Without cgroups every CPU of the affinity mask is used."""
    assert usable_cpus(host()) == 16


def test_platform_without_affinity(tmp_path, monkeypatch):
    """Where there is no affinity mask, the number of CPUs is used."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)

    assert usable_cpus(tmp_path) == 3


def test_unknown_cpu_count(tmp_path, monkeypatch):
    """Where nothing is known, one thread is used."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)

    assert usable_cpus(tmp_path) == 1


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("100000 100000", 1),
        ("99999 100000", 1),
        ("1600000 100000", 16),
        ("1700000 100000", 16),
        ("max 100000", 16),
    ],
)
def test_cgroup_v2_quota(host, quota, expected):
    """A container's quota is rounded down, to at least one thread, and only ever lowers."""
    root = host(
        proc__self__cgroup="0::/\n",
        sys__fs__cgroup__cpu_DOT_max=quota,
    )

    assert usable_cpus(root) == expected


def test_cgroup_v2_of_a_service(host):
    """The tightest quota of the groups around a service counts."""
    root = host(
        proc__self__cgroup="0::/system.slice/app.service\n",
        sys__fs__cgroup__system_DOT_slice__app_DOT_service__cpu_DOT_max="800000 100000",
        sys__fs__cgroup__system_DOT_slice__cpu_DOT_max="300000 100000",
    )

    assert usable_cpus(root) == 3


def test_cgroup_v1_quota(host):
    """The older layout has a file each for quota and period."""
    root = host(
        proc__self__cgroup="5:memory:/x\n4:cpu,cpuacct:/docker/abc\n",
        **{
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )

    assert usable_cpus(root) == 4


def test_cgroup_v1_without_quota(host):
    """A quota of -1 is none."""
    root = host(
        proc__self__cgroup="4:cpu,cpuacct:/\n",
        **{
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )

    assert usable_cpus(root) == 16


@pytest.mark.parametrize("quota", ["50000", "99999"])
def test_cgroup_v1_of_less_than_a_cpu(host, quota):
    """At least one thread is used."""
    root = host(
        proc__self__cgroup="2:cpuset:/\n1:cpu:/kubepods/pod1\n",
        **{
            "sys/fs/cgroup/cpu/kubepods/pod1/cpu.cfs_quota_us": quota,
            "sys/fs/cgroup/cpu/kubepods/pod1/cpu.cfs_period_us": "100000",
        },
    )

    assert usable_cpus(root) == 1


def test_backends_find_it_in_their_contract():
    """A plugin needs no other module of the server."""
    assert backend.usable_cpus is usable_cpus
    assert "usable_cpus" in backend.__all__
