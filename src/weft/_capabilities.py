"""What this Python, on this machine, can do: the GIL, interpreters, and the CPUs that are ours to use.

Plain data, measured once and kept until `weft.reset()`; whether the GIL is on is looked at each time,
since importing an extension module can turn it on in the middle of a run. Everything may be called from
any thread on both builds: two threads that come first at the same time both measure, and find the same.
Pinned by tests/test_capabilities.py.
"""

import math
import os
import sys
from dataclasses import dataclass, replace

from weft._cgroups import cgroup_quota

INTERPRETERS_SINCE = (3, 14)  # 3.13 has the module under another name, and wedges silently: not used


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What this Python, on this machine, can do.

    Attributes:
        python_version: Such as "3.14.0".
        implementation: Such as "cpython".
        gil_enabled: Whether threads take turns running Python code, now.
        free_threaded_build: Whether this Python is built so that they need not.
        interpreters: Whether workers can be sub-interpreters, each with its own GIL.
        interpreters_needs: What that would take, if not; else None.
        cpus: CPUs that this process may use, by affinity and by quota; may be a fraction, such as 1.5.
        cpu_count: The same, rounded up to a whole number: what pools are sized by. At least 1.
        affinity: CPUs that this process may be scheduled on.
        cgroup_quota: CPUs' worth of time that its control groups grant; None where there is no limit.
        platform: Such as "linux".
    """

    python_version: str
    implementation: str
    gil_enabled: bool
    free_threaded_build: bool
    interpreters: bool
    interpreters_needs: str | None
    cpus: float
    cpu_count: int
    affinity: int
    cgroup_quota: float | None
    platform: str


_measured: Capabilities | None = None


def capabilities() -> Capabilities:
    """Tells what this Python, on this machine, can do.

    Measured at the first call and kept until `weft.reset()`.

    Returns:
        The capabilities.

    Example:
        >>> import weft
        >>> found = weft.capabilities()
        >>> 1 <= found.cpu_count <= found.affinity
        True
    """
    global _measured
    found = _measured  # read once: `forget` in another thread may clear it
    if found is None:
        found = measure()
    elif found.gil_enabled != (gil_enabled := _gil_enabled()):
        found = replace(found, gil_enabled=gil_enabled)
    _measured = found
    return found


def usable_cpus() -> int:
    """The CPUs that this process may use, at least 1: what a pool's default size counts from."""
    found = _measured
    return (capabilities() if found is None else found).cpu_count


def forget() -> None:
    """Makes the next call measure again."""
    global _measured
    _measured = None


def measure(root: str = "/") -> Capabilities:
    """Measures afresh.

    Args:
        root: The root of the file system, for what is read from files.

    Returns:
        The capabilities.
    """
    # Affinity, or what the user said instead with -X cpu_count or PYTHON_CPU_COUNT.
    affinity = os.process_cpu_count() or 1
    quota = cgroup_quota(root) if sys.platform == "linux" else None
    cpus = float(affinity) if quota is None else min(float(affinity), quota)
    interpreters_needs = flavor_needs("interpreters")
    return Capabilities(
        python_version=sys.version.partition(" ")[0],
        implementation=sys.implementation.name,
        gil_enabled=_gil_enabled(),
        free_threaded_build=_free_threaded_build(),
        interpreters=interpreters_needs is None,
        interpreters_needs=interpreters_needs,
        cpus=cpus,
        cpu_count=max(1, math.ceil(cpus)),
        affinity=affinity,
        cgroup_quota=quota,
        platform=sys.platform,
    )


def _gil_enabled() -> bool:
    return sys._is_gil_enabled()  # pyright: ignore[reportPrivateUsage]  # documented, for all its underscore


def _free_threaded_build() -> bool:
    from sysconfig import get_config_var  # here: it costs more than the rest of this module

    return bool(get_config_var("Py_GIL_DISABLED"))


def flavor_needs(flavor: str) -> str | None:
    """What it takes to have workers of this kind; None if that is here."""
    if flavor == "interpreters":
        if sys.implementation.name != "cpython":
            return "CPython"
        if sys.version_info < INTERPRETERS_SINCE:
            return "Python {}.{} or newer".format(*INTERPRETERS_SINCE)
    if flavor == "processes" and sys.platform == "win32":
        return "a system with fork: Linux, macOS"
    return None
