"""Checks that each invariant of CONTRIBUTING.md is named by a test.

A test names one with `@pytest.mark.invariant(4)`, or in words, in Python or C++: "invariant 4", "invariants 2 and 3".
Says with `--list` where each is pinned.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

STATED = re.compile(r"^(\d+)\. (.*)", re.MULTILINE)
NAMED = re.compile(r"invariants?(?:\s+|\()(\d+(?:(?:\s*,\s*|\s+and\s+)\d+)*)", re.IGNORECASE)


def stated() -> dict[int, str]:
    """The invariants by number, as CONTRIBUTING.md states them."""
    section = (
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The invariants")[2].partition("\n## ")[0]
    )
    return {int(number): text for number, text in STATED.findall(section)}


def pinned() -> dict[int, set[str]]:
    """For each number, the test files that name it."""
    where: dict[int, set[str]] = defaultdict(set)
    for folder in (ROOT / "tests", ROOT / "native" / "tests"):
        for path in folder.rglob("*"):
            # The conftest's check is one for every test; it pins nothing by itself.
            if path.suffix not in {".py", ".cpp", ".hpp"} or path.name == "conftest.py":
                continue
            for numbers in NAMED.findall(path.read_text(encoding="utf-8")):
                for number in re.findall(r"\d+", numbers):
                    where[int(number)].add(str(path.relative_to(ROOT)))
    return where


def main() -> int:
    invariants, tests = stated(), pinned()
    faults = [
        f"{', '.join(sorted(tests[n]))}: there is no invariant {n}" for n in sorted(tests.keys() - invariants.keys())
    ]
    for number, text in invariants.items():
        if not tests[number]:
            faults.append(f"invariant {number} is named by no test: {text}")
        if "--list" in sys.argv:
            print(f"{number}. {text}\n   {', '.join(sorted(tests[number])) or '-'}")
    if not invariants:
        faults.append("CONTRIBUTING.md states no invariants")
    for fault in faults:
        print(fault)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
