"""What any task, pool or setting may raise. Loaded when one of these is first asked of `weft.errors`, its home."""

from collections.abc import Iterable
from concurrent.futures import BrokenExecutor
from concurrent.futures.thread import BrokenThreadPool
from pickle import PicklingError

from weft.errors import WeftError, did_you_mean, short_repr, signal_name_and_guess

__all__ = [
    "FlavorUnavailable",
    "InitializerFailed",
    "InvalidSetting",
    "MissingDependency",
    "PayloadError",
    "PoolForked",
    "RemoteError",
    "SpawnMethodUnavailable",
    "TaskTimeout",
    "WorkerCrashed",
    "WorkerStartFailed",
]


class TaskTimeout(WeftError, TimeoutError):
    """A task took longer than the ``timeout`` of its options allows.

    Attributes:
        task: The name of the task, or None where it has none.
        timeout: The time it was given, in seconds.
        started: Whether it had begun to run. If not, it waited in the queue for all that time.

    Args:
        message: What happened; written from the attributes where it is empty.
        task: See the attribute.
        timeout: See the attribute.
        started: See the attribute.

    Example:
        >>> from weft.errors import TaskTimeout
        >>> error = TaskTimeout(task="fetch", timeout=0.5, started=False)
        >>> isinstance(error, TimeoutError), error.timeout
        (True, 0.5)
        >>> print(error)
        task 'fetch' did not begin within 0.5 s; use more workers, or raise its options(timeout=...)
    """

    __module__ = "weft.errors"

    task: str | None
    timeout: float | None
    started: bool | None

    def __init__(
        self,
        message: str = "",
        *,
        task: str | None = None,
        timeout: float | None = None,
        started: bool | None = None,
    ) -> None:
        if not message:
            who = "a task" if task is None else f"task {task!r}"
            limit = "its timeout" if timeout is None else f"{timeout:g} s"
            if started is False:
                message = f"{who} did not begin within {limit}; use more workers, or"
            else:
                message = f"{who} did not finish within {limit} and was interrupted;"
            message += " raise its options(timeout=...)"
        super().__init__(message)
        self.task = task
        self.timeout = timeout
        self.started = started


# ---- the caller's mistake --------------------------------------------------------------------------


class InvalidSetting(WeftError, ValueError):
    """An argument, a field of the configuration or an environment variable has a value that cannot be.

    Attributes:
        setting: The name of what was set, as the user wrote it (``max_workers``, ``WEFT_MAX_WORKERS``).
        value: The repr of the value that was refused.
        allowed: What would have been accepted, where that is a list.

    Args:
        message: What happened; written from the attributes where it is empty.
        setting: See the attribute.
        value: The value that was refused; only its repr is kept.
        allowed: See the attribute. The closest is suggested.
        source: Where the value came from, for the message, where ``setting`` does not say so.
        remedy: What to do instead, for the message. By default: use one of ``allowed``.

    Example:
        >>> from weft.errors import InvalidSetting
        >>> print(InvalidSetting(setting="flavor", value="thread", allowed=("threads", "processes")))
        flavor='thread' is not valid: did you mean 'threads'? Use one of 'threads', 'processes'
    """

    __module__ = "weft.errors"

    setting: str | None
    value: str | None
    allowed: tuple[str, ...]

    def __init__(
        self,
        message: str = "",
        *,
        setting: str | None = None,
        value: object = None,
        allowed: Iterable[str] = (),
        source: str | None = None,
        remedy: str | None = None,
    ) -> None:
        allowed = tuple(allowed)
        if not message:
            message = f"{setting or 'a setting'}={short_repr(value)}"
            message += f" (from {source}) is not valid" if source else " is not valid"
            guess = did_you_mean(value, allowed)
            if guess is not None:
                message += f": did you mean {guess!r}?"
            if remedy is None and allowed:
                remedy = "use one of " + ", ".join(map(repr, allowed))
            if remedy:
                message += f" {remedy[0].upper()}{remedy[1:]}" if guess is not None else f": {remedy}"
        super().__init__(message)
        self.setting = setting
        # Unpickling passes no value here and then restores the repr from the pickled ``__dict__``.
        self.value = None if setting is None else short_repr(value)
        self.allowed = allowed


class PayloadError(WeftError, PicklingError, TypeError):
    """A task, its arguments or its result cannot cross to a worker that shares no objects with the caller.

    ``__cause__`` is what went wrong there. It is a `pickle.PicklingError` and a `TypeError`, since the stdlib's
    pools raise the one or the other here, depending on the object: ``cannot pickle '_thread.lock' object`` is a
    `TypeError`, ``Can't pickle <function <lambda>>`` a `PicklingError`.

    Attributes:
        path: The expression that leads to the culprit, such as ``args[1].config['sock']``; None where it was not
            found.
        task: The name of the task, or None where it has none.
        ran: Whether the task's function had been called: its result then is what cannot cross, or what it raised
            itself. False: the task can be run somewhere else.

    Args:
        message: What happened; written from the attributes where it is empty.
        path: See the attribute.
        task: See the attribute.

    Example:
        >>> from weft.errors import PayloadError
        >>> error = PayloadError(path="args[1].config['sock']", task="fetch")
        >>> isinstance(error, TypeError), error.path
        (True, "args[1].config['sock']")
        >>> print(error)
        args[1].config['sock'] of task 'fetch' cannot be pickled; make it inside the task, or leave it out
    """

    __module__ = "weft.errors"

    path: str | None
    task: str | None
    ran: bool

    def __init__(self, message: str = "", *, path: str | None = None, task: str | None = None) -> None:
        if not message:
            what = "something" if path is None else path
            who = "" if task is None else f" of task {task!r}"
            message = f"{what}{who} cannot be pickled; make it inside the task, or leave it out"
        super().__init__(message)
        self.path = path
        self.task = task
        self.ran = False


# ---- the world does not have it --------------------------------------------------------------------


class FlavorUnavailable(WeftError, RuntimeError):
    """This Python cannot run workers of the flavor that was asked for.

    Attributes:
        flavor: The flavor that was asked for.
        needs: What it would take, such as ``"Python 3.14 or newer"``.

    Args:
        message: What happened; written from the attributes where it is empty.
        flavor: See the attribute.
        needs: See the attribute.

    Example:
        >>> from weft.errors import FlavorUnavailable
        >>> print(FlavorUnavailable(flavor="interpreters", needs="Python 3.14 or newer"))
        flavor 'interpreters' is not available here: it needs Python 3.14 or newer; use flavor="auto"
    """

    __module__ = "weft.errors"

    flavor: str | None
    needs: str | None

    def __init__(self, message: str = "", *, flavor: str | None = None, needs: str | None = None) -> None:
        if not message:
            what = "that flavor" if flavor is None else f"flavor {flavor!r}"
            why = "" if needs is None else f": it needs {needs}"
            message = f'{what} is not available here{why}; use flavor="auto"'
        super().__init__(message)
        self.flavor = flavor
        self.needs = needs


class SpawnMethodUnavailable(WeftError, RuntimeError):
    """This Python cannot start actors by the method that was asked for.

    Attributes:
        method: The spawn method that was asked for.
        needs: What it would take, such as ``"Python 3.14 or newer"``.

    Args:
        message: What happened; written from the attributes where it is empty.
        method: See the attribute.
        needs: See the attribute.

    Example:
        >>> from weft.errors import SpawnMethodUnavailable
        >>> print(SpawnMethodUnavailable(method="interpreter", needs="Python 3.14 or newer"))
        spawn method 'interpreter' is not available here: it needs Python 3.14 or newer; use spawn="process"
    """

    __module__ = "weft.errors"

    method: str | None
    needs: str | None

    def __init__(self, message: str = "", *, method: str | None = None, needs: str | None = None) -> None:
        if not message:
            what = "that spawn method" if method is None else f"spawn method {method!r}"
            why = "" if needs is None else f": it needs {needs}"
            instead = "thread" if method == "process" else "process"
            message = f'{what} is not available here{why}; use spawn="{instead}"'
        super().__init__(message)
        self.method = method
        self.needs = needs


class MissingDependency(WeftError, ImportError):
    """A package is not installed that an optional part of weft is built on.

    Attributes:
        extra: The extra of weft that brings it.
        package: The package that is missing.

    Args:
        message: What happened; written from the attributes where it is empty.
        extra: See the attribute.
        package: See the attribute.

    Example:
        >>> from weft.errors import MissingDependency
        >>> print(MissingDependency(extra="closures", package="cloudpickle"))
        cloudpickle is not installed; run: pip install "weft[closures]"
    """

    __module__ = "weft.errors"

    extra: str | None
    package: str | None

    def __init__(self, message: str = "", *, extra: str | None = None, package: str | None = None) -> None:
        if not message:
            message = f"{package or 'an optional package'} is not installed; run: pip install "
            message += f'"weft[{extra}]"' if extra else (package or "it")
        super().__init__(message)
        self.extra = extra
        self.package = package


# ---- something of ours cannot go on ----------------------------------------------------------------


class InitializerFailed(WeftError, BrokenThreadPool):
    """The ``initializer`` of a pool raised, so its workers cannot run tasks.

    ``__cause__`` is the initializer's own exception. Fix the initializer and make a new pool.

    Args:
        message: What happened, and what the initializer raised.

    Example:
        >>> from concurrent.futures import BrokenExecutor
        >>> from weft.errors import InitializerFailed
        >>> issubclass(InitializerFailed, BrokenExecutor)
        True
    """

    __module__ = "weft.errors"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the pool's initializer raised; fix it and make a new pool")


class PoolForked(WeftError, BrokenExecutor):
    """A pool of the parent process was used in a child made by `os.fork`, where its workers do not exist.

    Make a new pool in the child.

    Args:
        message: What happened.

    Example:
        >>> from weft.errors import PoolForked
        >>> print(PoolForked())
        this pool is the parent process's, its workers did not survive the fork; make a new one in the child
    """

    __module__ = "weft.errors"

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "this pool is the parent process's, its workers did not survive the fork; make a new one in the child"
        )


class WorkerCrashed(WeftError, BrokenExecutor):
    """A worker process died while it ran a task. The pool goes on with a new one, and no other task has failed.

    Attributes:
        pid: The process id that the worker had.
        signal: The number of the signal that killed it, or None if it exited.
        exit_code: The status it exited with, or None if a signal killed it.
        task: The name of the task that it was running, or None where it has none.

    Args:
        message: What happened; written from the attributes where it is empty.
        pid: See the attribute.
        signal: See the attribute.
        exit_code: See the attribute.
        task: See the attribute.

    Example:
        >>> from weft.errors import WorkerCrashed
        >>> print(WorkerCrashed(pid=1234, exit_code=3, task="resize"))
        worker process 1234, which ran task 'resize', exited with status 3; the pool goes on with a new worker
    """

    __module__ = "weft.errors"

    pid: int | None
    signal: int | None
    exit_code: int | None
    task: str | None

    def __init__(
        self,
        message: str = "",
        *,
        pid: int | None = None,
        signal: int | None = None,
        exit_code: int | None = None,
        task: str | None = None,
    ) -> None:
        if not message:
            worker = "a worker process" if pid is None else f"worker process {pid}"
            which = "" if task is None else f", which ran task {task!r},"
            if signal is not None:
                what = "was killed by " + signal_name_and_guess(signal)
            elif exit_code is not None:
                what = f"exited with status {exit_code}"
            else:
                what = "died"
            message = f"{worker}{which} {what}; the pool goes on with a new worker"
        super().__init__(message)
        self.pid = pid
        self.signal = signal
        self.exit_code = exit_code
        self.task = task


class WorkerStartFailed(WeftError, BrokenExecutor):
    """A worker process could not be started: there is no interpreter for it, or no room.

    ``__cause__`` is the system's `OSError`, where there is one.

    Attributes:
        why: What went wrong, or None.

    Args:
        message: What happened; written from the attributes where it is empty.
        why: See the attribute.
        remedy: What to do about it, for the message.

    Example:
        >>> from weft.errors import WorkerStartFailed
        >>> print(WorkerStartFailed(why="OSError: [Errno 24] Too many open files", remedy="raise `ulimit -n`"))
        a worker process could not be started: OSError: [Errno 24] Too many open files; raise `ulimit -n`
    """

    __module__ = "weft.errors"

    why: str | None

    def __init__(self, message: str = "", *, why: str | None = None, remedy: str | None = None) -> None:
        if not message:
            message = "a worker process could not be started" + (f": {why}" if why else "")
            message += f"; {remedy}" if remedy else ""
        super().__init__(message)
        self.why = why


# ---- what a task raised, far away ------------------------------------------------------------------


class RemoteError(WeftError, RuntimeError):
    """What a task raised in another interpreter, process or machine, where that cannot be rebuilt here.

    An exception arrives as itself wherever it can. This one stands for a class that only the worker has, an
    attribute that cannot be pickled, or a constructor that fails.

    Attributes:
        type_name: The module and name of the exception's class.
        traceback: The traceback as text, as the worker would have printed it.

    Args:
        message: What happened; written from the attributes where it is empty.
        type_name: See the attribute.
        traceback: See the attribute.

    Example:
        >>> from weft.errors import RemoteError
        >>> error = RemoteError("app.BadRow: row 3", type_name="app.BadRow", traceback="Traceback ...")
        >>> isinstance(error, RuntimeError), error.type_name
        (True, 'app.BadRow')
    """

    __module__ = "weft.errors"

    type_name: str | None
    traceback: str | None

    def __init__(self, message: str = "", *, type_name: str | None = None, traceback: str | None = None) -> None:
        super().__init__(message or f"a task raised {type_name or 'an exception'}, which cannot be rebuilt here")
        self.type_name = type_name
        self.traceback = traceback
