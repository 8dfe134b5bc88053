"""`python -m weft.compat script.py`: a program that knows nothing of weft, on weft's executors.

As if it were run plainly: the script is a new ``__main__`` with its absolute path in ``__file__``, by which worker
processes find it; ``sys.argv`` and ``sys.path[0]`` are its own; its exit status is that of the process; and a traceback
begins with the program. Nothing is put back at the end: threads, `atexit` callbacks and pools that are still busy
are the program, too.

``-m module`` and folders are run by what the interpreter itself calls for them, `runpy._run_module_as_main`. `run_path`
and `run_module` would take ``__main__`` away while work of it goes on.
Worker processes and interpreters, and what the program starts besides, have the standard library's names.
Pinned by tests/compat/test_program.py.
"""

import importlib.machinery
import os
import pkgutil
import runpy
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType, TracebackType

from weft._payloads.main_module import code_of
from weft.compat._mode import MODES, VARIABLE, is_managed
from weft.errors import InvalidSetting

USAGE = f"""\
usage: python -m weft.compat script.py [argument ...]
       python -m weft.compat -m module [argument ...]

Runs an unchanged Python program with weft's executors in the place of those of concurrent.futures and asyncio.

{VARIABLE}={MODES[1]} runs it with the standard library's, as if weft were not there; the default is {MODES[0]}.
"""
WRONG_USE = 2


def main(arguments: Sequence[str]) -> int:
    """Runs the program that the arguments name, in this process.

    Args:
        arguments: What follows ``python -m weft.compat``.

    Returns:
        The exit status: 0 if the program has come to its end, 2 if it cannot be started.
    """
    first, *rest = arguments or [""]
    if first in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    try:
        run = _module(rest) if first == "-m" else _script(first, rest)
        is_managed()
    except (_WrongUse, InvalidSetting) as error:
        print(f"weft.compat: {error}", file=sys.stderr)
        return WRONG_USE
    from weft.compat._patching import install

    install()
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    try:
        run()
    except SystemExit:
        raise
    except BaseException as error:
        _show_the_program_only(error)
        raise
    return 0


class _WrongUse(Exception):
    """What is wrong with the arguments."""


def _module(arguments: Sequence[str]) -> Callable[[], object]:
    """What runs a module that can be imported, as ``python -m`` does."""
    if not arguments:
        raise _WrongUse("-m needs the name of a module; see `python -m weft.compat --help`")
    sys.argv = ["-m", *arguments[1:]]
    return partial(_run_as_main, arguments[0], True)


def _script(name: str, arguments: Sequence[str]) -> Callable[[], object]:
    """What runs a file, or a folder or archive with a ``__main__.py``, as ``python`` does."""
    if name.startswith("-") or not name:
        wrong = f"no option {name!r}" if name else "give the script to run"
        raise _WrongUse(f"{wrong}; see `python -m weft.compat --help`")
    path = os.path.join(os.getcwd(), name)
    holds_modules = pkgutil.get_importer(path) is not None
    if holds_modules:
        first, run = os.path.abspath(path), partial(_run_as_main, "__main__", False)
    else:
        try:
            open(path, "rb").close()
        except OSError as error:
            raise _WrongUse(f"cannot open {path!r}: {error.strerror}") from None
        first, run = os.path.dirname(os.path.realpath(path)), partial(_run_file, path)
    sys.argv = [name, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = first  # where `python -m` has put the current folder
    elif holds_modules:
        sys.path.insert(0, first)
    return run


def _run_file(path: str) -> None:
    main = sys.modules["__main__"]
    loaders = importlib.machinery
    loader = loaders.SourcelessFileLoader if path.endswith(".pyc") else loaders.SourceFileLoader
    main.__dict__.update(__file__=path, __cached__=None, __loader__=loader("__main__", path))
    exec(code_of(path), main.__dict__)


def _run_as_main(name: str, alter_argv: bool) -> None:
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]  # what `python -m` calls


def _show_the_program_only(error: BaseException) -> None:
    """Has the interpreter show the traceback of an exception without the frames that are not the program's."""
    hook = sys.excepthook

    def show(kind: type[BaseException], value: BaseException, traceback: TracebackType | None) -> None:
        if value is error:
            traceback = _of_the_program(traceback)
            sys.last_traceback = value.__traceback__ = traceback
        hook(kind, value, traceback)

    sys.excepthook = show


def _of_the_program(traceback: TracebackType | None) -> TracebackType | None:
    """What comes after the last frame of this module, and of what compiles the script."""
    program, step = traceback, traceback
    while step is not None:
        code = step.tb_frame.f_code
        step = step.tb_next
        if code.co_filename == __file__ or code is code_of.__code__:
            program = step
    return program
