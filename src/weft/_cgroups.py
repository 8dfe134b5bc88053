"""Reads what the control groups (cgroups) of Linux leave to this process: CPUs' worth of time, memory, processes.

A container usually limits the CPU by quota, not by hiding cores: `os.cpu_count()` and the affinity still
say 64 where the kernel grants 2 and stops everybody for the rest of each period. Pools sized by the former
only queue up behind that limit.

How it is found: ``proc/self/cgroup`` says which group this process is in, ``proc/self/mountinfo`` where
that hierarchy is mounted. A limit on a group holds for all below it, so the quota is the least over the
group and its ancestors up to the mount. Both versions may be mounted at once; the least of all counts.
- version 2: ``cpu.max``, "quota period" or "max period";
- version 1, controller ``cpu``: ``cpu.cfs_quota_us`` (-1: none) over ``cpu.cfs_period_us``.
Memory (``memory.max``, ``memory.limit_in_bytes``) and processes (``pids.max``, with those that there are in
``pids.current``) likewise.

Invariants: only reads; anything missing or malformed counts as no limit there, never as an error, for no
program should fail to start over a file that it has no say in.

The root of the file system is an argument, so that tests build real trees of files elsewhere.
Pinned by tests/test_capabilities.py.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

_UNLIMITED = 1 << 60  # version 1 says so with the largest number of pages there is


class _Mount(NamedTuple):
    point: str  # where it is mounted
    root: str  # which group of the hierarchy is at that point
    version: int  # 1 or 2; of version 1, only the hierarchy that has the controller


def cgroup_quota(root: str = "/") -> float | None:
    """The CPU quota of this process's control groups.

    Args:
        root: The root of the file system.

    Returns:
        CPUs' worth of time, such as 1.5; None where there is no limit, or no control groups.
    """
    limits = (_limit(root, directory, version) for directory, version in _directories(root, "cpu"))
    return min((limit for limit in limits if limit is not None), default=None)


def cgroup_memory(root: str = "/") -> int | None:
    """The bytes of memory that this process's control groups may have; None where there is no limit."""
    found: list[int] = []
    for directory, version in _directories(root, "memory"):
        text = _read(root, directory, "memory.max" if version == 2 else "memory.limit_in_bytes").strip()
        if text.isdecimal() and int(text) < _UNLIMITED:
            found.append(int(text))
    return min(found, default=None)


def cgroup_processes(root: str = "/") -> tuple[int, int] | None:
    """How many processes and threads this process's control groups may have, and how many there are.

    Returns:
        Of the group with the least room; None where there is no limit.
    """
    found: list[tuple[int, int]] = []
    for directory, _ in _directories(root, "pids"):
        most, now = (_read(root, directory, f"pids.{name}").strip() for name in ("max", "current"))
        if most.isdecimal() and now.isdecimal():
            found.append((int(most), int(now)))
    return min(found, key=lambda pair: pair[0] - pair[1], default=None)


def _directories(root: str, controller: str) -> Iterator[tuple[str, int]]:
    """The directories of the groups that limit this process, and the version of each."""
    groups = dict(_groups(_read(root, "proc/self/cgroup"), controller))
    for mount in _mounts(_read(root, "proc/self/mountinfo"), controller):
        group = groups.get(mount.version)
        if group is not None:
            for directory in _group_and_ancestors(mount, group):
                yield directory, mount.version


def _limit(root: str, directory: str, version: int) -> float | None:
    """The limit set on one group, if any."""
    if version == 2:
        quota, _, period = _read(root, directory, "cpu.max").strip().partition(" ")
        period = period or "100000"  # the kernel's default, which old kernels leave out
    else:
        quota = _read(root, directory, "cpu.cfs_quota_us")
        period = _read(root, directory, "cpu.cfs_period_us")
    try:
        quota_us, period_us = int(quota), int(period)
    except ValueError:  # "max", or no such file, or nothing that we know how to read
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _groups(text: str, controller: str) -> Iterator[tuple[int, str]]:
    """Which group this process is in, by version. Lines are "id:controllers:path"."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator and number == "0" and not controllers:
            yield 2, path
        elif separator and controller in controllers.split(","):
            yield 1, path


def _mounts(text: str, controller: str) -> Iterator[_Mount]:
    """Where hierarchies are mounted that have a controller.

    Lines are "id parent major:minor root point options [optional ...] - type source super-options".
    """
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if not separator or len(left) < 5 or len(right) < 3:
            continue
        root, point = _unescape(left[3]), _unescape(left[4])
        if right[0] == "cgroup2":
            yield _Mount(point, root, 2)
        elif right[0] == "cgroup" and controller in right[2].split(","):
            yield _Mount(point, root, 1)


def _unescape(path: str) -> str:
    r"""Undoes what the kernel does to blanks in a path: ``\040`` and its like."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(octal, character)
    return path


def _group_and_ancestors(mount: _Mount, group: str) -> Iterator[str]:
    """The directories of a group and its ancestors, the deepest first, down from the mount point.

    In a container the mount may show a part of the hierarchy only: ``mount.root`` then is that part's
    name, which the group's path begins with. A group that lies outside it cannot be seen, but the mount
    point is still an ancestor, or is the group itself under another name.
    """
    inside = mount.root.rstrip("/")
    if group == inside or group.startswith(f"{inside}/"):
        group = group[len(inside) :]
    parts = [part for part in group.split("/") if part]
    if ".." in parts:  # outside the namespace of this process
        parts = []
    for depth in range(len(parts), -1, -1):
        yield "/".join([mount.point, *parts[:depth]])


def _read(root: str, *path: str) -> str:
    """The text of a small file; empty where it cannot be read."""
    name = os.path.join(root, *(part.lstrip("/") for part in path))
    try:
        with open(name, encoding="ascii", errors="replace") as file:
            return file.read(1 << 20)
    except (OSError, ValueError):  # ValueError: a path with a null character
        return ""
