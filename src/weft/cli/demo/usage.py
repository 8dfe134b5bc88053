"""What this process and its children have used: CPU time, and memory at its peak.

Pinned by tests/cli/test_usage.py.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class CpuTime:
    """User and system time in seconds, of this process and of the children that it has waited for."""

    own: float
    children: float

    @classmethod
    def now(cls) -> Self:
        """The clock's reading."""
        times = os.times()  # counts in hundredths of a second, which is too coarse for our own
        return cls(time.process_time(), times.children_user + times.children_system)

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(self.own - earlier.own, self.children - earlier.children)


def peak_memory() -> int | None:
    """Peak resident memory of this process and all its descendants, in bytes; None if unknown.

    The sum of each process's own peak: pages that processes share count once for each of them. Processes that
    have ended are not in it, so ask before a pool shuts down. Where there is no /proc, processes other than this
    one can't be asked, and the answer is None if there are any.
    """
    if sys.platform == "linux":
        # Not ru_maxrss: exec does not reset it, so a child begins with the peak of whoever started it.
        return sum(_high_water_mark(pid) for pid in _family(os.getpid()))
    if sys.platform == "win32":
        return None
    import multiprocessing
    import resource

    if multiprocessing.active_children():
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _family(root: int) -> list[int]:
    """A process, its children, theirs and so on. Not its group: weft's worker processes have one of their own."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                status = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue  # it has ended meanwhile
            parent = int(status.rpartition(")")[2].split()[1])  # after the name, which may hold anything
            children.setdefault(parent, []).append(int(entry))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def _high_water_mark(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    # A zombie has no memory, and no such line.
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
