"""One sample in an interpreter of its own: for memory, for instruction counts, for whatever a used process would hide.

`python -m benchmarks.child CASE SIDE SIZE` prints the figure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def command(case: str, side: str, size: int) -> list[str]:
    """The command line of a child."""
    return [sys.executable, "-m", "benchmarks.child", case, side, str(size)]


def sample(case: str, side: str, size: int) -> float:
    """The figure of one side, measured in a child.

    Raises:
        RuntimeError: the child failed; with the end of what it wrote.
    """
    done = subprocess.run(command(case, side, size), cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the child that measures {case} ({side}) failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def main() -> None:
    from benchmarks.cases import CASES

    case, side, size = sys.argv[1:]
    print(repr(CASES[case].sides[side](int(size))), flush=True)
    os._exit(0)  # what is stuck by intention is left behind, and no failure


if __name__ == "__main__":
    main()
