"""`weft.capabilities`, and the cgroup quota: read from real trees of files like those that the kernel shows."""

import dataclasses
import os
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
from weft import _capabilities
from weft._cgroups import cgroup_memory, cgroup_processes, cgroup_quota

V2_MOUNT = "31 23 0:28 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "32 31 0:29 {root} {point} rw,relatime shared:9 master:1 - cgroup cgroup rw,{controllers}"


class Tree:
    """A root of a file system with nothing in it but what a test puts there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounts: list[str] = ["22 1 8:1 / / rw - ext4 /dev/sda1 rw"]
        self.groups: list[str] = []

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def v2(self, group: str, *, root: str = "/", point: str = "/sys/fs/cgroup", **limits: str) -> None:
        self.mounts.append(V2_MOUNT.format(root=root, point=point))
        self.groups.append(f"0::{group}")

    def v1(
        self, group: str, *, root: str = "/", point: str = "/sys/fs/cgroup/cpu", controllers: str = "cpu,cpuacct"
    ) -> None:
        self.mounts.append(V1_MOUNT.format(root=root, point=point, controllers=controllers))
        self.groups.append(f"{len(self.groups) + 1}:{controllers}:{group}")

    def v1_limit(self, directory: str, quota: object, period: object = 100_000) -> None:
        self.write(f"{directory}/cpu.cfs_quota_us", f"{quota}\n")
        self.write(f"{directory}/cpu.cfs_period_us", f"{period}\n")

    def quota(self) -> float | None:
        self.write("proc/self/mountinfo", "\n".join(self.mounts) + "\n")
        self.write("proc/self/cgroup", "\n".join(self.groups) + "\n")
        return cgroup_quota(str(self.root))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


# ---- version 2 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("150000 100000\n", 1.5),
        ("200000 100000", 2.0),
        ("5000 10000\n", 0.5),
        ("300000\n", 3.0),  # old kernels leave the period out
        ("max 100000\n", None),
        ("max\n", None),
    ],
)
def test_v2_quota(tree: Tree, text: str, expected: float | None) -> None:
    tree.v2("/app")
    tree.write("sys/fs/cgroup/app/cpu.max", text)
    assert tree.quota() == expected


def test_v2_least_of_the_ancestors_counts(tree: Tree) -> None:
    tree.v2("/machine/pod/container")
    tree.write("sys/fs/cgroup/machine/cpu.max", "800000 100000")
    tree.write("sys/fs/cgroup/machine/pod/cpu.max", "200000 100000")
    tree.write("sys/fs/cgroup/machine/pod/container/cpu.max", "400000 100000")
    assert tree.quota() == 2.0


def test_v2_unlimited_child_of_a_limited_parent(tree: Tree) -> None:
    tree.v2("/pod/container")
    tree.write("sys/fs/cgroup/pod/cpu.max", "50000 100000")
    tree.write("sys/fs/cgroup/pod/container/cpu.max", "max 100000")
    assert tree.quota() == 0.5


def test_v2_namespace_of_a_container_has_its_limit_at_the_mount(tree: Tree) -> None:
    tree.v2("/")
    tree.write("sys/fs/cgroup/cpu.max", "250000 100000")
    assert tree.quota() == 2.5


def test_v2_mount_that_shows_a_part_of_the_hierarchy(tree: Tree) -> None:
    tree.v2("/docker/abc/worker", root="/docker/abc")
    tree.write("sys/fs/cgroup/cpu.max", "300000 100000")
    tree.write("sys/fs/cgroup/worker/cpu.max", "100000 100000")
    assert tree.quota() == 1.0


def test_v2_group_outside_what_is_mounted(tree: Tree) -> None:
    tree.v2("/../../elsewhere")
    tree.write("sys/fs/cgroup/cpu.max", "300000 100000")
    tree.write("sys/elsewhere/cpu.max", "1000 100000")  # would be read if .. were followed
    assert tree.quota() == 3.0


def test_siblings_do_not_count(tree: Tree) -> None:
    tree.v2("/app")
    tree.write("sys/fs/cgroup/application/cpu.max", "1000 100000")
    tree.write("sys/fs/cgroup/app/child/cpu.max", "1000 100000")
    assert tree.quota() is None


# ---- version 1 -------------------------------------------------------------------------------------


def test_v1_quota(tree: Tree) -> None:
    tree.v1("/docker/abc")
    tree.v1_limit("sys/fs/cgroup/cpu/docker/abc", 150_000)
    assert tree.quota() == 1.5


def test_v1_unlimited(tree: Tree) -> None:
    tree.v1("/")
    tree.v1_limit("sys/fs/cgroup/cpu", -1)
    assert tree.quota() is None


def test_v1_least_of_the_ancestors_counts(tree: Tree) -> None:
    tree.v1("/kubepods/pod/container")
    tree.v1_limit("sys/fs/cgroup/cpu", -1)
    tree.v1_limit("sys/fs/cgroup/cpu/kubepods", 350_000)
    tree.v1_limit("sys/fs/cgroup/cpu/kubepods/pod", 30_000, 20_000)
    tree.v1_limit("sys/fs/cgroup/cpu/kubepods/pod/container", -1)
    assert tree.quota() == 1.5


def test_v1_other_controllers_are_not_the_cpu(tree: Tree) -> None:
    tree.v1("/limited", point="/sys/fs/cgroup/cpuset", controllers="cpuset")
    tree.v1("/limited", point="/sys/fs/cgroup/cpuacct", controllers="cpuacct")
    tree.v1_limit("sys/fs/cgroup/cpuset/limited", 1000)
    tree.v1_limit("sys/fs/cgroup/cpuacct/limited", 1000)
    assert tree.quota() is None


def test_v1_mount_point_with_a_blank(tree: Tree) -> None:
    tree.v1("/", point="/mnt/my\\040groups")
    tree.v1_limit("mnt/my groups", 100_000)
    assert tree.quota() == 1.0


def test_both_versions_at_once(tree: Tree) -> None:
    tree.v1("/a")
    tree.v2("/b", point="/sys/fs/cgroup/unified")
    tree.v1_limit("sys/fs/cgroup/cpu/a", 400_000)
    tree.write("sys/fs/cgroup/unified/b/cpu.max", "300000 100000")
    assert tree.quota() == 3.0


# ---- what is missing or malformed --------------------------------------------------------------------


def test_no_control_groups_at_all(tmp_path: Path) -> None:
    assert cgroup_quota(str(tmp_path)) is None


@pytest.mark.parametrize(
    "text", ["", "\n", "fast", "max max", "-1 100000", "100000 0", "0 100000", "1e5 100000", "100000 100000 7"]
)
def test_v2_garbage_is_no_limit(tree: Tree, text: str) -> None:
    tree.v2("/app")
    tree.write("sys/fs/cgroup/app/cpu.max", text)
    assert tree.quota() is None


@pytest.mark.parametrize(("quota", "period"), [("", ""), ("many", 100_000), (100_000, 0), (100_000, "")])
def test_v1_garbage_is_no_limit(tree: Tree, quota: object, period: object) -> None:
    tree.v1("/app")
    tree.v1_limit("sys/fs/cgroup/cpu/app", quota, period)
    assert tree.quota() is None


def test_garbage_on_one_level_does_not_hide_the_others(tree: Tree) -> None:
    tree.v2("/pod/app")
    tree.write("sys/fs/cgroup/pod/cpu.max", "200000 100000")
    tree.write("sys/fs/cgroup/pod/app/cpu.max", "\0\xff")
    assert tree.quota() == 2.0


def test_malformed_lines_are_passed_over(tree: Tree) -> None:
    tree.groups += ["", "nonsense", "0", "::", "x:y"]
    tree.mounts += ["", "-", " - ", "a b c - cgroup2", "1 2 3 / /sys/fs/cgroup rw - cgroup2"]
    tree.v2("/app")
    tree.write("sys/fs/cgroup/app/cpu.max", "100000 100000")
    assert tree.quota() == 1.0


def test_a_directory_in_place_of_a_file(tree: Tree) -> None:
    tree.v2("/app")
    (tree.root / "sys/fs/cgroup/app/cpu.max").mkdir(parents=True)
    assert tree.quota() is None


@given(mountinfo=st.text(), cgroup=st.text(), limit=st.text(alphabet=st.characters(codec="utf-8")))
def test_nothing_that_files_say_raises(
    tmp_path_factory: pytest.TempPathFactory, mountinfo: str, cgroup: str, limit: str
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "proc/self").mkdir(parents=True)
    (root / "sys/fs/cgroup").mkdir(parents=True)
    for path, text in (
        ("proc/self/mountinfo", f"{V2_MOUNT.format(root='/', point='/sys/fs/cgroup')}\n{mountinfo}"),
        ("proc/self/cgroup", f"{cgroup}\n0::/"),
        ("sys/fs/cgroup/cpu.max", limit),
    ):
        (root / path).write_bytes(text.encode("utf-8", "surrogatepass"))
    quota = cgroup_quota(str(root))
    assert quota is None or quota > 0


# ---- capabilities ----------------------------------------------------------------------------------


def test_what_this_python_is() -> None:
    found = weft.capabilities()
    assert found.python_version == ".".join(map(str, sys.version_info[:3]))
    assert found.implementation == sys.implementation.name
    assert found.gil_enabled == sys._is_gil_enabled()
    assert found.free_threaded_build == ("free-threading" in sys.version)
    assert found.interpreters == (sys.version_info >= (3, 14))
    assert (found.interpreters_needs is None) == found.interpreters
    assert found.platform == sys.platform
    assert 1 <= found.cpu_count <= found.affinity
    assert 0 < found.cpus <= found.cpu_count
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.cpus = 1.0  # type: ignore[misc]


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
@pytest.mark.parametrize(
    ("quota", "cpus", "count"), [("max 1000", None, None), ("50000 100000", 0.5, 1), ("99900000 100000", None, None)]
)
def test_quota_and_affinity_together(tree: Tree, quota: str, cpus: float | None, count: int | None) -> None:
    affinity = os.process_cpu_count() or 1
    tree.v2("/")
    tree.write("sys/fs/cgroup/cpu.max", quota)
    tree.quota()
    found = _capabilities.measure(str(tree.root))
    assert found.affinity == affinity
    assert found.cpus == (affinity if cpus is None else cpus)
    assert found.cpu_count == (affinity if count is None else count)


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_a_fraction_of_a_cpu_is_rounded_up(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64)
    tree.v2("/")
    tree.write("sys/fs/cgroup/cpu.max", "150000 100000")
    tree.quota()
    found = _capabilities.measure(str(tree.root))
    assert (found.cpus, found.cpu_count, found.affinity, found.cgroup_quota) == (1.5, 2, 64, 1.5)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_counts_after_reset() -> None:
    before = os.sched_getaffinity(0)
    weft.capabilities()
    try:
        os.sched_setaffinity(0, {min(before)})
        weft.reset()
        assert weft.capabilities().cpu_count == 1
        assert _capabilities.usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)
        weft.reset()


def test_kept_until_reset() -> None:
    weft.reset()
    first = weft.capabilities()
    assert weft.capabilities() is first
    weft.reset()
    assert weft.capabilities() is not first
    assert weft.capabilities() == first


def test_the_first_call_from_many_threads() -> None:
    weft.reset()
    barrier = threading.Barrier(8)
    found: list[object] = []

    def look() -> None:
        barrier.wait(10)
        found.append((weft.capabilities(), _capabilities.usable_cpus()))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


# ---- memory and processes --------------------------------------------------------------------------


def test_memory_and_processes_of_v2(tree: Tree) -> None:
    tree.v2("/pod/container")
    tree.quota()
    assert cgroup_memory(str(tree.root)) is None
    assert cgroup_processes(str(tree.root)) is None
    tree.write("sys/fs/cgroup/pod/memory.max", "2000000\n")
    tree.write("sys/fs/cgroup/pod/container/memory.max", "max\n")
    tree.write("sys/fs/cgroup/pod/pids.max", "100\n")
    tree.write("sys/fs/cgroup/pod/pids.current", "90\n")
    tree.write("sys/fs/cgroup/pod/container/pids.max", "50\n")
    tree.write("sys/fs/cgroup/pod/container/pids.current", "3\n")
    assert cgroup_memory(str(tree.root)) == 2_000_000
    assert cgroup_processes(str(tree.root)) == (100, 90)


def test_memory_and_processes_of_v1(tree: Tree) -> None:
    tree.v1("/app", point="/cg/memory", controllers="memory")
    tree.v1("/app", point="/cg/pids", controllers="pids")
    tree.quota()
    tree.write("cg/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert cgroup_memory(str(tree.root)) is None
    tree.write("cg/memory/app/memory.limit_in_bytes", "1048576\n")
    tree.write("cg/pids/app/pids.max", "7\n")
    tree.write("cg/pids/app/pids.current", "7\n")
    assert cgroup_memory(str(tree.root)) == 1_048_576
    assert cgroup_processes(str(tree.root)) == (7, 7)
