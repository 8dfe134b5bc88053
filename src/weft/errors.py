"""Every error that weft raises, and nothing else: plain data, no threads, no imports from weft.

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
- Every error survives pickling with its attributes and notes. They live in ``__dict__`` for that: the
  stdlib's own ``__reduce__`` carries ``args`` and ``__dict__``, also for `OSError` and `ImportError`,
  so that none of these classes needs one of its own. ``__cause__`` is not carried, as nowhere in Python.

The C++ core imports four of these by name and calls them with one positional message and keywords.
Pinned by tests/test_errors.py.
"""

import builtins
from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor
from concurrent.futures.thread import BrokenThreadPool
from pickle import PicklingError

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


# ---- pipelines -------------------------------------------------------------------------------------


class _PipelineRefused(WeftError, ValueError):
    pipeline: str | None
    problems: tuple[str, ...]
    _cannot: str

    def __init__(self, message: str = "", *, pipeline: str | None = None, problems: Iterable[str] = ()) -> None:
        problems = tuple(problems)
        super().__init__(message or f"{_pipeline_named(pipeline)} cannot {self._cannot}: {_listed(problems)}")
        self.pipeline = pipeline
        self.problems = problems


class InvalidPipeline(_PipelineRefused):
    """A pipeline cannot be built as it was written down.

    Attributes:
        pipeline: The pipeline's name, or None where it has none.
        problems: What is wrong, one sentence each.

    Args:
        message: What happened; written from the attributes where it is empty.
        pipeline: See the attribute.
        problems: See the attribute.

    Example:
        >>> from weft.errors import InvalidPipeline
        >>> print(InvalidPipeline(pipeline="docs", problems=["nodes 'a' and 'b' both give 'x': rename one"]))
        pipeline 'docs' cannot be built: nodes 'a' and 'b' both give 'x': rename one
    """

    _cannot = "be built"


class InvalidInputs(_PipelineRefused):
    """A pipeline was given inputs that it does not have, or not those that it needs. Nothing has run.

    Attributes:
        pipeline: The pipeline's name, or None where it has none.
        problems: What is wrong, one sentence each.

    Args:
        message: What happened; written from the attributes where it is empty.
        pipeline: See the attribute.
        problems: See the attribute.

    Example:
        >>> from weft.errors import InvalidInputs
        >>> print(InvalidInputs(pipeline="docs", problems=["input 'text' is missing"]))
        pipeline 'docs' cannot run: input 'text' is missing
    """

    _cannot = "run"


class PipelineError(WeftError, RuntimeError):
    """A node of a pipeline raised. The exception itself is ``__cause__``.

    Attributes:
        node: The node, with the nested pipelines that it is in, and the items of theirs: ``"pages[3]/clean"``.
        pipeline: The name of the pipeline that was run, or None where it has none.
        item: The number of the item of `map`, or None.
        inputs: The reprs of what the node was given, shortened, by name.
        type_name: The name of the exception's class.
        attempts: How often the node was tried.

    Args:
        message: What happened; written from the attributes where it is empty.
        node: See the attribute.
        pipeline: See the attribute.
        item: See the attribute.
        inputs: See the attribute.
        error: The exception, for the message.
        attempts: See the attribute.

    Example:
        >>> from weft.errors import PipelineError
        >>> print(PipelineError(node="clean", item=3, inputs={"text": "None"}, error=TypeError("no text")))
        node 'clean' failed on item 3: TypeError: no text; it was given text=None
    """

    node: str | None
    pipeline: str | None
    item: int | None
    inputs: dict[str, str]
    type_name: str | None
    attempts: int

    def __init__(
        self,
        message: str = "",
        *,
        node: str | None = None,
        pipeline: str | None = None,
        item: int | None = None,
        inputs: Mapping[str, str] | None = None,
        error: BaseException | None = None,
        attempts: int = 1,
    ) -> None:
        inputs = dict(inputs or {})
        if not message:
            message = "a node" if node is None else f"node {node!r}"
            message += "" if pipeline is None else f" of pipeline {pipeline!r}"
            message += " failed" if item is None else f" failed on item {item}"
            message += "" if attempts == 1 else f", {attempts} times"
            message += "" if error is None else f": {type(error).__name__}: {_first_line(error)}"
            message += "; it was given " + (", ".join(f"{name}={text}" for name, text in inputs.items()) or "nothing")
        super().__init__(message)
        self.node = node
        self.pipeline = pipeline
        self.item = item
        self.inputs = inputs
        self.type_name = None if error is None else type(error).__name__
        self.attempts = attempts


def _pipeline_named(name: str | None) -> str:
    return "a pipeline" if name is None else f"pipeline {name!r}"


def _listed(problems: tuple[str, ...]) -> str:
    if len(problems) < 2:
        return problems[0] if problems else "no reason was given"
    return f"{len(problems)} problems" + "".join(f"\n  - {problem}" for problem in problems)


def _first_line(error: BaseException) -> str:
    try:
        lines = str(error).strip().splitlines()
    except Exception as another:
        return f"<whose str raises {type(another).__name__}>"
    text = lines[0] if lines else ""
    return text if len(text) <= 300 else text[:297] + "..."


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
                what = "was killed by " + _signal_name_and_guess(signal)
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


def _signal_name_and_guess(number: int) -> str:
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

    type_name: str | None
    traceback: str | None

    def __init__(self, message: str = "", *, type_name: str | None = None, traceback: str | None = None) -> None:
        super().__init__(message or f"a task raised {type_name or 'an exception'}, which cannot be rebuilt here")
        self.type_name = type_name
        self.traceback = traceback


# ---- actors ----------------------------------------------------------------------------------------


class RemoteActorError(WeftError, RuntimeError):
    """Something raised in an actor. The exception itself, with its traceback there, is ``__cause__``.

    Attributes:
        path: The names of the actor and of those above it, the outermost first: ``("root", "service", "parser")``.
        type_name: The module and name of the exception's class.
        traceback: The traceback as text, as the actor would have printed it.

    Args:
        message: What happened; written from the attributes where it is empty.
        path: See the attribute.
        type_name: See the attribute.
        traceback: See the attribute.

    Example:
        >>> from weft.errors import RemoteActorError
        >>> error = RemoteActorError(path=("root", "parser"), type_name="ValueError", traceback="Traceback ...")
        >>> print(error)
        actor 'root/parser' raised ValueError; its traceback there is the cause of this error
    """

    path: tuple[str, ...]
    type_name: str | None
    traceback: str | None

    def __init__(
        self,
        message: str = "",
        *,
        path: Iterable[str] = (),
        type_name: str | None = None,
        traceback: str | None = None,
    ) -> None:
        path = tuple(path)
        if not message:
            who = f"actor {'/'.join(path)!r}" if path else "an actor"
            message = f"{who} raised {type_name or 'an exception'}; its traceback there is the cause of this error"
        super().__init__(message)
        self.path = path
        self.type_name = type_name
        self.traceback = traceback

    @property
    def type(self) -> builtins.type[BaseException] | None:
        """The class of the exception, where it could be rebuilt here; else None."""
        cause = self.__cause__
        return None if cause is None or isinstance(cause, RemoteError) else cause.__class__


class ActorDied(RemoteActorError):
    """An actor ended without having been asked to, or gave no sign of life for too long.

    Attributes:
        pid: The process id that it had, or None where it was no process.
        signal: The number of the signal that killed it, or None.
        exit_code: The status it exited with, or None.
        why: What else is known, or None.

    Args:
        message: What happened; written from the attributes where it is empty.
        path: See `RemoteActorError`.
        pid: See the attribute.
        signal: See the attribute.
        exit_code: See the attribute.
        why: See the attribute.

    Example:
        >>> from weft.errors import ActorDied
        >>> print(ActorDied(path=("root", "parser"), pid=1234, exit_code=3))
        actor 'root/parser' (process 1234) exited with status 3; start it again, or use strategy="one_for_one"
    """

    pid: int | None
    signal: int | None
    exit_code: int | None
    why: str | None

    def __init__(
        self,
        message: str = "",
        *,
        path: Iterable[str] = (),
        pid: int | None = None,
        signal: int | None = None,
        exit_code: int | None = None,
        why: str | None = None,
    ) -> None:
        path = tuple(path)
        if not message:
            who = f"actor {'/'.join(path)!r}" if path else "an actor"
            who += "" if pid is None else f" (process {pid})"
            if signal is not None:
                what = "was killed by " + _signal_name_and_guess(signal)
            elif exit_code is not None:
                what = f"exited with status {exit_code}"
            else:
                what = why or "died"
            message = f'{who} {what}; start it again, or use strategy="one_for_one"'
        super().__init__(message, path=path)
        self.pid = pid
        self.signal = signal
        self.exit_code = exit_code
        self.why = why


class ChannelClosed(WeftError, ConnectionError):
    """The channel to an actor is closed: it has ended, or the connection has.

    Attributes:
        path: The names of the actor and of those above it, where it is known.

    Args:
        message: What happened.

    Example:
        >>> from weft.errors import ChannelClosed
        >>> issubclass(ChannelClosed, ConnectionError)
        True
    """

    path: tuple[str, ...]

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the channel to the actor is closed; the actor has ended")
        self.path = ()


class ChannelFault(ChannelClosed):
    """A channel was closed since what came in was none of weft's: garbage, half a message, or a stranger's.

    Args:
        message: What came.

    Example:
        >>> from weft.errors import ChannelClosed, ChannelFault
        >>> issubclass(ChannelFault, ChannelClosed)
        True
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "what came in on the channel is not weft's; the channel is closed")
