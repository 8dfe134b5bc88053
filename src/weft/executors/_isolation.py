"""Which modules an interpreter of its own can import: tried in a scratch interpreter, before a pool has tasks.

An extension module says whether it supports more than one interpreter in its process; one that does not (numpy's, for
one) cannot be imported in an interpreter with a GIL of its own, and neither can what imports it.

The scratch interpreter is gone when this returns. What imported well is not asked for again while this process lives.
Pinned by tests/executors/test_isolation.py.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from weft._payloads.isolation import EXPLAINED
from weft.errors import FlavorUnavailable, InvalidSetting

__all__ = ["Problem", "check_importable", "try_in_scratch_interpreter"]

_known: set[str] = set()

_TRY = """
import sys
sys.path[:] = path.split("\\0")
from weft._payloads import isolation
problems = [isolation.try_import(name) for name in names.split()]
if definition:
    problems.append(isolation.try_load(definition))
for problem in problems:
    if problem is not None:
        answers.put(problem)
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """What an interpreter of its own cannot have.

    Attributes:
        module: The module that was to be imported; empty for a function that was to be made.
        extension: The extension module that refuses; None if something else is wrong.
        error: What was raised, in one line.
        chain: The modules that were being imported then, the outermost first.
    """

    module: str
    extension: str | None
    error: str
    chain: tuple[str, ...]


def check_importable(modules: Sequence[str], *, isolated: bool) -> None:
    """Checks the modules that workers are to import before their first task.

    Args:
        modules: Their names.
        isolated: Whether that is to be in interpreters with a GIL of their own.

    Raises:
        weft.errors.InvalidSetting: There is no such module.
        weft.errors.FlavorUnavailable: An extension refuses; says which, and which module imports it.
    """
    for name in modules:
        top = name.partition(".")[0]
        if top not in sys.modules and importlib.util.find_spec(top) is None:
            raise InvalidSetting(
                setting="preload", value=name, remedy=f"there is no module {top!r}: install it, or take it out"
            )
    if isolated and not _known.issuperset(modules):
        for problem in try_in_scratch_interpreter(modules):
            if problem.extension is not None:
                explained = EXPLAINED.format(problem.extension)
                raise FlavorUnavailable(f"module {problem.module!r} cannot be imported there: {explained}")
        _known.update(modules)


def try_in_scratch_interpreter(modules: Sequence[str], definition: bytes = b"") -> list[Problem]:
    """Imports modules, and makes a function, in an interpreter that is there for nothing else.

    Args:
        modules: Their names.
        definition: What a worker would make the function of; empty: none.

    Returns:
        What went wrong, in that order. There is no time limit: who imports what may hang has a process for it.
    """
    interpreters: Any = importlib.import_module("concurrent.interpreters")  # 3.14 has it
    answers = interpreters.create_queue()
    scratch = interpreters.create()
    try:
        scratch.prepare_main(
            path="\0".join(entry for entry in sys.path if type(entry) is str),
            names=" ".join(modules),
            definition=definition,
            answers=answers,
        )
        scratch.exec(_TRY)
        return [Problem(*answers.get_nowait()) for _ in range(answers.qsize())]
    finally:
        scratch.close()
