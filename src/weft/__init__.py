"""weft runs Python code in parallel, wherever that pays; the place where it runs is a setting.

This module is the table of contents: every name below is a shortcut to the module that is its home.

Invariants:
- Lazy (PEP 562): a name's home is imported when the name is first used. `import weft` itself imports no
  module at all, so that a program which only might go parallel pays next to nothing (invariant 10).
- A shortcut is the same object as the one in its home, and is public in one home only.
- Nothing here starts a thread, reads the environment or touches a file.

`typing.TYPE_CHECKING` is spelled out as a plain constant, which checkers treat alike: importing `typing`
would cost more than all the rest of this file.
Pinned by tests/test_public_names.py.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weft import (
        actors,
        aio,
        compat,
        config,
        debug,
        errors,
        execution,
        executors,
        futures,
        kernels,
        parallel,
        pipelines,
        testing,
        viz,
    )
    from weft._capabilities import capabilities
    from weft._decisions import (
        Decision,
        add_decision_listener,
        last_decision,
        observe_decisions,
        remove_decision_listener,
    )
    from weft._reset import reset
    from weft._run import Run
    from weft.aio import to_interpreter, to_process, to_thread
    from weft.config import (
        RuntimeConfig,
        get_default_config,
        set_default_config,
    )
    from weft.futures import (
        Future,
        TaskGroup,
        async_,
        dataflow,
        init,
        is_running,
        ready_future,
        shared_future,
        shutdown,
        when_all,
        when_any,
    )

    __version__: str

__all__ = [
    "Decision",
    "Future",
    "Run",
    "RuntimeConfig",
    "TaskGroup",
    "actors",
    "add_decision_listener",
    "aio",
    "async_",
    "capabilities",
    "compat",
    "config",
    "dataflow",
    "debug",
    "errors",
    "execution",
    "executors",
    "futures",
    "get_default_config",
    "init",
    "is_running",
    "kernels",
    "last_decision",
    "observe_decisions",
    "parallel",
    "pipelines",
    "ready_future",
    "remove_decision_listener",
    "reset",
    "set_default_config",
    "shared_future",
    "shutdown",
    "testing",
    "to_interpreter",
    "to_process",
    "to_thread",
    "viz",
    "when_all",
    "when_any",
]

_HOMES = {
    "Decision": "weft._decisions",
    "Future": "weft.futures",
    "Run": "weft._run",
    "RuntimeConfig": "weft.config",
    "TaskGroup": "weft.futures",
    "add_decision_listener": "weft._decisions",
    "async_": "weft.futures",
    "capabilities": "weft._capabilities",
    "dataflow": "weft.futures",
    "get_default_config": "weft.config",
    "init": "weft.futures",
    "is_running": "weft.futures",
    "last_decision": "weft._decisions",
    "observe_decisions": "weft._decisions",
    "ready_future": "weft.futures",
    "remove_decision_listener": "weft._decisions",
    "reset": "weft._reset",
    "set_default_config": "weft.config",
    "shared_future": "weft.futures",
    "shutdown": "weft.futures",
    "to_interpreter": "weft.aio",
    "to_process": "weft.aio",
    "to_thread": "weft.aio",
    "when_all": "weft.futures",
    "when_any": "weft.futures",
}
_SUBMODULES = frozenset(
    {
        "actors",
        "aio",
        "compat",
        "config",
        "debug",
        "errors",
        "execution",
        "executors",
        "futures",
        "kernels",
        "parallel",
        "pipelines",
        "testing",
        "viz",
    }
)

# Hidden from type checkers: they would take it as leave to accept any name at all.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "__version__":
            from importlib.metadata import version

            value = version("weft")
        elif name in _SUBMODULES:
            value = _load(f"weft.{name}")
        elif (home := _HOMES.get(name)) is not None:
            value = getattr(_load(home), name)
        else:
            # With the module in it, the interpreter can add "Did you mean".
            raise AttributeError(f"module 'weft' has no attribute {name!r}", name=name, obj=_load("weft"))
        globals()[name] = value  # from now on found without coming here
        return value


def _load(module: str) -> object:
    """Imports a module: `importlib.import_module`, but for the three modules that it would load."""
    from sys import modules

    __import__(module)
    return modules[module]


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__")), "__version__"})
