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
from typing import Any

from weft._payloads.isolation import EXPLAINED, refusing_extension
from weft.errors import FlavorUnavailable, InvalidSetting

__all__ = ["check_importable"]

_known: set[str] = set()

_IMPORT = f"""
import sys
sys.path[:] = path.split("\\0")
from {refusing_extension.__module__} import {refusing_extension.__name__}
for name in names.split():
    try:
        __import__(name)
    except ImportError as error:
        extension = {refusing_extension.__name__}(error)
        if extension is not None:
            answers.put((name, extension))
            break
    except BaseException:
        pass  # a worker says what is wrong with it
"""


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
        _try_in_scratch_interpreter(modules)


def _try_in_scratch_interpreter(modules: Sequence[str]) -> None:
    interpreters: Any = importlib.import_module("concurrent.interpreters")  # 3.14 has it
    answers = interpreters.create_queue()
    scratch = interpreters.create()
    try:
        scratch.prepare_main(
            path="\0".join(entry for entry in sys.path if type(entry) is str), names=" ".join(modules), answers=answers
        )
        scratch.exec(_IMPORT)
        if answers.empty():
            _known.update(modules)
            return
        name, extension = answers.get_nowait()
    finally:
        scratch.close()
    raise FlavorUnavailable(f"module {name!r} cannot be imported there: {EXPLAINED.format(extension)}")
