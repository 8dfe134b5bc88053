"""The caller's ``__main__`` in a worker: what to find it by, and running it there when a task first needs it.

As in multiprocessing: the script (or the module of ``python -m``) runs once more in the worker under the name
``__mp_main__``, so that code under ``if __name__ == "__main__":`` does not, and ``__main__`` is an alias for it. Unlike
there it runs late: a worker whose tasks are all from importable modules never runs it.

A ``__main__`` that cannot be run again has no information (`main_info` is None), and its functions go by value: a
notebook, the prompt, ``-c``, and ``__main__.py`` of a package, folder or zip, which runs its main code unguarded.

A worker runs one task at a time, so nothing here is locked. A script that raises is not run again in that worker:
each task that needs it fails with the same cause.
Pinned by tests/payloads/test_main_module.py.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import TypedDict

    class MainInfo(TypedDict):
        """Plain data, so that `marshal` can carry it."""

        kind: str  # "path", "name", or "" where there is nothing to run
        where: str
        argv: list[str]
        path: list[str]


__all__ = [
    "code_of",
    "ensure_main",
    "is_interruption",
    "main_can_be_found",
    "main_info",
    "main_is_pending",
    "prepare_main",
    "preparing_main",
]

ALIAS = "__mp_main__"

_prepared: "MainInfo | None" = None
_pending = False
_running = False
_scripts: dict[str, str] = {}  # by what `__file__` says: the absolute path, or "" where there is no such file
_failure: BaseException | None = None


def main_info() -> "MainInfo":
    """What a worker needs in order to find modules as this interpreter does, and its ``__main__`` when asked for.

    Called by the caller's side. Also lets this interpreter know ``__mp_main__``, which is what workers call the
    module that the caller calls ``__main__``.
    """
    import os

    if _prepared is not None:  # a worker that has workers of its own: they are to find what it has found
        return _prepared
    main = sys.modules.get("__main__")
    if main is not None:
        sys.modules[ALIAS] = main
    kind, where = _whereabouts(main)
    here = os.getcwd()
    path = [here if entry == "" else entry for entry in sys.path]
    return {"kind": kind, "where": where, "argv": list(getattr(sys, "argv", ())), "path": path}


def main_can_be_found() -> bool:
    """Whether workers can find what is defined in the ``__main__`` of this interpreter."""
    return bool(_prepared["kind"] if _prepared is not None else _whereabouts(sys.modules.get("__main__"))[0])


def _whereabouts(main: "ModuleType | None") -> tuple[str, str]:
    """How a worker can run a main module again: by ``("path", file)``, ``("name", module)``, or ``("", "")``."""
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is not None:
        return ("", "") if name == "__main__" or name.endswith(".__main__") else ("name", name)
    file = getattr(main, "__file__", None)
    # The launcher of IPython is a script without a guard.
    if not isinstance(file, str) or file.endswith(("/ipython", "\\ipython.exe")):
        return "", ""
    path = _scripts.get(file)
    if path is None:
        import os

        path = os.path.abspath(file)
        path = _scripts[file] = path if os.path.isfile(path) else ""
    return ("path", path) if path else ("", "")


def prepare_main(info: "MainInfo") -> None:
    """Lets modules of the caller be found here from now on, and its ``__main__`` when a task first needs it."""
    global _pending, _prepared
    _prepared = info
    _pending = bool(info["kind"])
    sys.path[:] = info["path"]
    sys.argv = list(info["argv"])


def main_is_pending() -> bool:
    """Whether the ``__main__`` of the caller is still to be run here, should something of it be needed."""
    return _pending


def preparing_main() -> bool:
    """Whether the script of the caller is being run here.

    A pool made or used at that moment belongs to a script without ``if __name__ == "__main__":``.
    """
    return _running


def ensure_main() -> None:
    """Runs the caller's ``__main__`` here, if that has not been done.

    Raises:
        RuntimeError: It raised something, now or earlier.
    """
    global _failure, _pending, _running
    if _failure is not None:
        raise _cannot_run(_failure) from _failure
    if not _pending or _running or _prepared is None:
        return
    before = {name: sys.modules.get(name) for name in (ALIAS, "__main__")}
    _running = True
    try:
        _run(_prepared["kind"], _prepared["where"])
    except BaseException as error:
        _put_back(before)
        if is_interruption(error):
            raise
        _failure = error
        raise _cannot_run(error) from error
    finally:
        _running = False
    _pending = False


def is_interruption(error: BaseException) -> bool:
    """Whether it asks to stop, or is want of memory: no fault of what was being done, and not to be hidden."""
    from weft.errors import Interrupted

    return isinstance(error, KeyboardInterrupt | MemoryError | Interrupted)


def _cannot_run(error: BaseException) -> RuntimeError:
    name = "" if _prepared is None else _prepared["where"].replace("\\", "/").rpartition("/")[2]
    return RuntimeError(
        f"__main__ ({name}) could not be run in the worker, which needs a function or class of it: it raised "
        f"{type(error).__name__}; put what only the program itself is to do under `if __name__ == '__main__':`"
    )


def _put_back(modules: "dict[str, ModuleType | None]") -> None:
    for name, module in modules.items():
        if module is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = module


def _run(kind: str, where: str) -> None:
    """Executes a script or module as ``__mp_main__``.

    Not by `runpy`: it costs a fifth of a worker's start, and copies the namespace at the end, so that the functions
    of the script would see other globals than its module has.
    """
    main = type(sys)(ALIAS)
    if kind == "name":
        from importlib.util import find_spec

        spec = find_spec(where)
        loader = None if spec is None else spec.loader
        get_code = getattr(loader, "get_code", None)
        code: CodeType | None = None if get_code is None else get_code(where)
        if spec is None or code is None:
            raise ImportError(f"no module named {where!r} that could be run")
        main.__spec__, main.__loader__, main.__package__ = spec, loader, spec.parent
        if spec.origin is not None:
            main.__file__ = spec.origin
    else:
        code = code_of(where)
        main.__file__ = where
    # Before it runs: dataclasses and pickle look a class's module up while it does.
    sys.modules[ALIAS] = sys.modules["__main__"] = main
    exec(code, main.__dict__)


def code_of(path: str) -> "CodeType":
    """The code of a script, or of a compiled one."""
    from _io import open_code

    with open_code(path) as file:
        data = file.read()
    if path.endswith(".pyc"):
        import marshal

        return marshal.loads(data[16:])  # after the header: magic number, flags, and two words about the source
    return compile(data, path, "exec", dont_inherit=True)
