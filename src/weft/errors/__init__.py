"""Every error that weft raises, and nothing else: plain data, no threads, no imports from the rest of weft.

    here          the root, and `Interrupted`
    _tasks        what any task, pool or setting may raise; this and what follows is loaded when it is first asked for
    _actors       what actors raise
    _pipelines    what pipelines raise

One root, `WeftError`. Each error also derives from the standard library's class that a caller would
already catch (`TimeoutError`, `BrokenExecutor`, `ValueError`, ...), so `except Exception` and the
handlers of existing code go on working. The one exception to that is `Interrupted`: like
`asyncio.CancelledError` and `KeyboardInterrupt` it is deliberately not an `Exception`, so that a task
which says ``except Exception: pass`` cannot swallow the request to stop. This is why the root derives
from `BaseException`.

Invariants:
- A message says what happened, to which task, and what to do next, in that order. An error built from
  its attributes alone writes that message itself.
- Attributes are plain data (a name, a number, a repr), never the caller's live objects: an error may be
  kept for long, and travels between interpreters, processes and machines.
- This module imports nothing: an interpreter that spins has it loaded beside what spins, to be interrupted, where each
  file that is opened costs a turn of its GIL. `Interrupted` is here for that.
- Every error survives pickling with its attributes and notes. They live in ``__dict__`` for that: the
  stdlib's own ``__reduce__`` carries ``args`` and ``__dict__``, also for `OSError` and `ImportError`,
  so that none of these classes needs one of its own. ``__cause__`` is not carried, as nowhere in Python.

The C++ core imports four of these by name and calls them with one positional message and keywords.
Pinned by tests/test_errors.py.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weft.errors._actors import ActorDied, ChannelClosed, ChannelFault, RemoteActorError
    from weft.errors._pipelines import InvalidInputs, InvalidPipeline, PipelineError
    from weft.errors._tasks import (
        FlavorUnavailable,
        InitializerFailed,
        InvalidSetting,
        MissingDependency,
        PayloadError,
        PoolForked,
        RemoteError,
        SpawnMethodUnavailable,
        TaskTimeout,
        WorkerCrashed,
        WorkerStartFailed,
    )

__all__ = [
    "ActorDied",
    "ChannelClosed",
    "ChannelFault",
    "FlavorUnavailable",
    "InitializerFailed",
    "Interrupted",
    "InvalidInputs",
    "InvalidPipeline",
    "InvalidSetting",
    "MissingDependency",
    "PayloadError",
    "PipelineError",
    "PoolForked",
    "RemoteActorError",
    "RemoteError",
    "SpawnMethodUnavailable",
    "TaskTimeout",
    "WeftError",
    "WorkerCrashed",
    "WorkerStartFailed",
]


class WeftError(BaseException):
    """The root of all errors that weft raises.

    Catch it to tell weft's own errors from those of your tasks. It also catches `Interrupted`, which
    ``except Exception`` does not.

    Args:
        message: What happened, to which task, and what to do next.

    Example:
        >>> from weft.errors import TaskTimeout, WeftError
        >>> try:
        ...     raise TaskTimeout(task="resize", timeout=1.5, started=True)
        ... except WeftError as error:
        ...     print(error)
        task 'resize' did not finish within 1.5 s and was interrupted; raise its options(timeout=...)
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)


# ---- asked to stop ---------------------------------------------------------------------------------


class Interrupted(WeftError):
    """Raised inside a task that is asked to stop, at its next bytecode.

    Not an `Exception`: clean up in ``finally``, and let it pass.

    Args:
        message: Why the task is asked to stop.

    Example:
        >>> from weft.errors import Interrupted
        >>> issubclass(Interrupted, Exception)
        False
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the task was asked to stop; let this pass and clean up in `finally`")


# ---- words for the others' messages ------------------------------------------------------------------


def short_repr(value: object) -> str:
    """The repr of a value, bounded in length, which survives a ``__repr__`` that raises."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= 200 else text[:197] + "..."


def did_you_mean(value: object, allowed: tuple[str, ...]) -> str | None:
    """The allowed value closest to the one given, if any is close."""
    if not isinstance(value, str) or not allowed:
        return None
    from difflib import get_close_matches  # here, since only a mistake needs it

    by_lower = {name.lower(): name for name in allowed}
    close = get_close_matches(value.strip().lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def signal_name_and_guess(number: int) -> str:
    """The name of a signal and, for those that rarely come from a person, what is most often behind it."""
    from signal import Signals  # here, since only a crash needs it

    try:
        name = Signals(number).name
    except ValueError:
        return f"signal {number}"
    guesses = {
        "SIGKILL": "out of memory? Give each task less, or use fewer workers",
        "SIGSEGV": "a crash in an extension module? Run the task alone under `python -X faulthandler`",
        "SIGBUS": "no room left for shared memory or a mapped file? Free some, or use fewer workers",
        "SIGABRT": "an extension module gave up? Its last words are on the worker's stderr",
        "SIGXCPU": "its limit of CPU time? See `ulimit -t`",
    }
    return f"{name}: {guesses[name]}" if name in guesses else name


# ---- what only some need ---------------------------------------------------------------------------

_HOMES = {
    "ActorDied": "_actors",
    "ChannelClosed": "_actors",
    "ChannelFault": "_actors",
    "FlavorUnavailable": "_tasks",
    "InitializerFailed": "_tasks",
    "InvalidInputs": "_pipelines",
    "InvalidPipeline": "_pipelines",
    "InvalidSetting": "_tasks",
    "MissingDependency": "_tasks",
    "PayloadError": "_tasks",
    "PipelineError": "_pipelines",
    "PoolForked": "_tasks",
    "RemoteActorError": "_actors",
    "RemoteError": "_tasks",
    "SpawnMethodUnavailable": "_tasks",
    "TaskTimeout": "_tasks",
    "WorkerCrashed": "_tasks",
    "WorkerStartFailed": "_tasks",
}

# Hidden from type checkers: they would take it as leave to accept any name at all.
if not TYPE_CHECKING:

    def __getattr__(name):
        if (home := _HOMES.get(name)) is None:
            raise AttributeError(f"module 'weft.errors' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"weft.errors.{home}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
