"""Instructions per task, counted by valgrind: the same on a busy machine as on a quiet one.

A side is run twice, with `size` tasks and with three times as many; the difference belongs to the tasks alone, since
start and end of the interpreter are in both. Valgrind runs one thread at a time, so this counts work and says nothing
of contention or of waiting; where a side spins or polls while it waits, it counts that too.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from benchmarks.case import Case
from benchmarks.child import ROOT, command
from benchmarks.table import aligned

SIZE = 2_000


class NoValgrind(RuntimeError):
    """valgrind is not installed."""


def _instructions(case: Case, side: str, size: int) -> int:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise NoValgrind(
            "--callgrind needs valgrind, which is not on the PATH; install it (Debian: apt install valgrind)"
        )
    tool = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*tool, *command(case.name, side, size)], cwd=ROOT, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"callgrind of {case.name} ({side}) failed:\n{done.stderr[-2000:]}")
    return int(found[1])


def instructions_per_task(case: Case, side: str, size: int = SIZE) -> float:
    """How many instructions one more task of this side costs.

    Raises:
        NoValgrind: it is not installed.
        RuntimeError: the program under it failed.
    """
    return (_instructions(case, side, 3 * size) - _instructions(case, side, size)) / (2 * size)


def table(cases: list[Case], size: int = SIZE) -> str:
    """Instructions per task of each side of some cases."""
    rows: list[tuple[str, ...]] = [("work", "side", "instructions per task", "")]
    for case in cases:
        rows += [(case.work, side, f"{instructions_per_task(case, side, size):,.0f}", "") for side in case.sides]
    return aligned(rows, left=2)
