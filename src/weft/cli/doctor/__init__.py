"""`weft doctor`: what weft finds here, what it would do with it, and what is wrong.

Each section is a module beside this one. Nothing of it is kept, and nothing is started but child processes that
import packages, each with a time limit, and one that only tells that there is room for it.
Pinned by tests/cli/test_doctor.py.
"""

import sys
from collections.abc import Sequence

from weft.cli._sheet import Section, as_json, print_sheet
from weft.cli.doctor.engines import engines
from weft.cli.doctor.environment import environment
from weft.cli.doctor.extras import extras
from weft.cli.doctor.machine import machine
from weft.cli.doctor.packages import packages
from weft.cli.doctor.python import python, title
from weft.cli.doctor.workers import auto, workers

__all__ = ["run_doctor"]

OK = 0
WRONG = 1


def run_doctor(*, names: Sequence[str] | None = None, ask_packages: bool = True, json: bool = False) -> int:
    """Looks around and prints what it finds.

    Args:
        names: The packages to ask about; None: all that are installed and have extension modules.
        ask_packages: Whether to ask about packages at all.
        json: Print JSON.

    Returns:
        The exit status: 0; 1 if there is something that the user should mend.
    """
    sections: list[Section] = [python(), machine(), workers(), auto(), environment(), extras()]
    if ask_packages:
        if sys.stderr.isatty():
            print("weft doctor: importing packages, each in a process of its own ...", file=sys.stderr)
        sections.append(packages(names))
    sections.append(engines())
    problems = [problem for section in sections for problem in section.problems]
    if json:
        print(as_json(sections, problems=problems))
    else:
        mend = ["To mend:", *(f"- {problem}" for problem in problems)]
        print_sheet(f"weft doctor: {title()}", sections, mend if problems else ["Nothing here needs mending."])
    return WRONG if problems else OK
