"""CPUs and memory: what the machine has, and what is left of it for us."""

import math
import os
import sys

from weft import capabilities
from weft._cgroups import cgroup_memory
from weft.cli._sheet import Fact, Section
from weft.cli.demo.table import count

__all__ = ["machine"]


def machine(root: str = "/") -> Section:
    """The section.

    Args:
        root: The root of the file system, for what is read from files.
    """
    found = capabilities()
    quota = "no limit" if found.cgroup_quota is None else f"{found.cgroup_quota:g} CPUs' worth of time"
    used = f"{found.cpus:g}: pools count from {count(found.cpu_count, 'CPU')}"
    facts = [
        Fact("CPUs of the machine", str(os.cpu_count() or "not known"), os.cpu_count()),
        Fact("by affinity", str(found.affinity), found.affinity),
        Fact("by cgroup quota", quota, found.cgroup_quota),
        Fact("CPUs that weft uses", used, {"cpus": found.cpus, "cpu_count": found.cpu_count}),
    ]
    limits = _memory_limits(root)
    if not limits:
        return Section("Machine", [*facts, Fact("memory limit", "none", None)])
    by, least = min(limits.items(), key=lambda pair: pair[1])
    facts.append(Fact("memory limit", f"{least / 2**20:,.0f} MiB, by {by}", {"bytes": least, "by": by}))
    return Section("Machine", facts)


def _memory_limits(root: str) -> dict[str, int]:
    limits: dict[str, int] = {}
    if sys.platform == "linux" and (group := cgroup_memory(root)) is not None:
        limits["its control group"] = group
    if sys.platform != "win32":
        import resource

        for name, which in (("ulimit -v", resource.RLIMIT_AS), ("ulimit -d", resource.RLIMIT_DATA)):
            soft, _ = resource.getrlimit(which)
            if soft != resource.RLIM_INFINITY and soft < math.inf:
                limits[name] = soft
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits["the machine's memory"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return limits
