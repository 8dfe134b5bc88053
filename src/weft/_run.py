"""`Run`: the gateway. A scope that decides where tasks run, says why, and leaves nothing behind.

What it gives is an executor, never a wrapper around one: the standard library's interface and class.

Invariants:
- A scope is entered once; it decides when it is entered, by `weft._rules`, never before.
- Every choice is recorded as a decision before the executor is handed out (invariant 9).
- A scope ends what it started (invariant 3), and only that: an executor handed in, the one of an enclosing
  scope and the default pool are left running.

How it ends. The block ended well: the tasks are waited for, as the standard library's executors do. It
raised, or Ctrl-C came while waiting: no new tasks; waiting tasks are cancelled; the running ones have
`GRACE_SECONDS` to finish, `CTRL_C_SECONDS` after Ctrl-C; then tasks of weft's threads are interrupted and
processes terminated; what runs on even so, for as long again, is reported to the logger ``weft.run`` and left
behind. So the scope always ends; only the tasks of a block that ended well may take as long as they like.
Work that arrives after the end: the executor refuses it with RuntimeError.

The enclosing scope is found through a context variable: scopes of unrelated threads and asyncio tasks do not
count as enclosing, while the tasks of a weft pool, which run in a copy of their submitter's context, know the
scope that they belong to. A nested scope that shares its parent's executor does not wait for its own tasks
at its end: the parent does.

Tried instead: a facade that forwards to whatever was chosen. It is no ThreadPoolExecutor, so asyncio
refuses it as the default executor, and each call paid for one more frame.
Pinned by tests/test_run.py.
"""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, cast

from weft._capabilities import capabilities
from weft._decisions import Decision, record, tell
from weft._ending import in_own_thread, stop
from weft._flavors import flavor_of, make_adaptive, make_executor
from weft._locks import Guard
from weft._rules import Question, decide
from weft.config import (
    FLAVORS,
    Flavor,
    RuntimeConfig,
    check_choice,
    check_config,
    check_count,
    check_executor,
    effective_config,
    read_environment,
)
from weft.errors import InvalidSetting

if TYPE_CHECKING:
    from weft.executors._router import Move

logger = logging.getLogger("weft.run")

# How long the running tasks of a scope that failed may go on. Long enough to finish a request or a
# transaction, short enough that nobody reaches for kill -9.
GRACE_SECONDS = 5.0

# After Ctrl-C somebody waits for the prompt: twice this, and the rest, is within 0.2 s (invariant 4).
CTRL_C_SECONDS = 0.05

# What the environment forces, over any configuration; what the call itself says still goes first.
_FORCES = ("force_threads", "force_process", "thread_mode", "max_workers", "prefers_subinterpreters")

_current: ContextVar["Run | None"] = ContextVar("weft.run.current", default=None)


class Run:
    """A scope with an executor in it, of the flavor asked for or of the one that suits.

    ``with`` and ``async with`` give the executor. When the block ends well, its tasks are waited for; when
    it raises, waiting tasks are cancelled, and the running ones interrupted after 5 seconds. An executor handed
    in is left running. Nested scopes reuse the enclosing scope's executor where it would do.

    Args:
        flavor: The kind of worker. "auto" decides by the configuration and by what this Python can do; "none"
            makes no pool but uses the process's default thread pool; "serial" runs each task at `submit`, in
            the caller, for debugging. "interpreters" takes threads where there are none, with a
            `RuntimeWarning`.
        executor: An executor to use as it is.
        max_workers: How many workers, at most. None: by the configuration, else by the CPUs that this
            process may use.
        name: For decisions and the names of worker threads.
        config: The configuration for this scope, in place of the one that counts here.
        trace: True: log the decision to ``weft.run`` at level INFO. A function: call it with the decision. A
            `Decision`: come to the same flavor and number of workers again, where nothing else is said here.

    Raises:
        InvalidSetting: An argument has a value that cannot be. A `ValueError`.
        RuntimeError: The scope is entered twice.

    Example:
        >>> from weft import Run
        >>> with Run(max_workers=2) as executor:
        ...     list(executor.map(abs, [-1, 2, -3]))
        [1, 2, 3]

        The same, for debugging, where ``breakpoint()`` works:

        >>> with Run(flavor="serial", name="debug") as executor:
        ...     executor.submit(pow, 2, 10).result()
        1024
    """

    def __init__(
        self,
        *,
        flavor: Flavor = "auto",
        executor: Executor | None = None,
        max_workers: int | None = None,
        name: str | None = None,
        config: RuntimeConfig | None = None,
        trace: bool | Callable[[Decision], object] | Decision | None = None,
    ) -> None:
        check_choice("flavor", flavor, FLAVORS)
        check_executor("executor", executor)
        if config is not None:
            check_config("config", config)
        if name is not None and not isinstance(cast("object", name), str):
            raise InvalidSetting(setting="name", value=name, remedy="give a string, or nothing")
        if not (trace is None or isinstance(trace, (bool, Decision)) or callable(trace)):
            remedy = "give True, a function that takes a Decision, or a Decision to repeat"
            raise InvalidSetting(setting="trace", value=trace, remedy=remedy)
        self._flavor: str = flavor
        self._given = executor
        self._max_workers = check_count("max_workers", max_workers)
        self._name = name
        self._config = config
        self._trace_to = trace
        self._check_agreement()

        self._entering = threading.Lock()  # taken at the first entry and never given back
        self._decision: Decision | None = None
        self._deciding = Guard()
        self._resolved = ""  # the flavor of the executor, whatever it moves elsewhere
        self._executor: Executor | None = None
        self._told = False  # whether the executor is one that knows that tasks compute, and chooses for each function
        self._ours = False  # whether the executor is ours to end
        self._open = False
        self._pid = 0
        self._token: Token[Run | None] | None = None

    def _check_agreement(self) -> None:
        """Refuses arguments of which one would have to be ignored (`serial` takes `max_workers`, and needs none)."""
        if self._given is not None:
            if self._max_workers is not None:
                remedy = "leave it out: the executor that is handed in has its own"
                raise InvalidSetting(setting="max_workers", value=self._max_workers, remedy=remedy)
            found = flavor_of(self._given)
            if self._flavor not in ("auto", found) and found != "other":
                remedy = f"leave it out: the executor that is handed in runs {found}"
                raise InvalidSetting(setting="flavor", value=self._flavor, remedy=remedy)
        if self._flavor == "none" and self._max_workers is not None:
            remedy = "leave it out: flavor 'none' uses the default thread pool, which has its own"
            raise InvalidSetting(setting="max_workers", value=self._max_workers, remedy=remedy)
        if isinstance(self._trace_to, Decision) and self._trace_to.resolved not in FLAVORS:
            remedy = "a decision for an executor that was handed in cannot be repeated: hand it in again"
            raise InvalidSetting(setting="trace", value=self._trace_to.resolved, remedy=remedy)

    @property
    def trace(self) -> Decision | None:
        """The decision of this scope; None before it is entered."""
        return self._decision

    def __repr__(self) -> str:
        name = "" if self._name is None else f" {self._name!r}"
        state = "not entered" if self._decision is None else "open" if self._open else "ended"
        resolved = "" if self._decision is None else f" -> {self._decision.resolved}"
        return f"<weft.Run{name} {self._flavor}{resolved}, {state}>"

    # ---- entering ----------------------------------------------------------------------------------

    def __enter__(self) -> Executor:
        return self._enter()

    async def __aenter__(self) -> Executor:
        return self._enter()

    def _enter(self) -> Executor:
        # Not a test and a set: two threads may try at once, without a GIL at the same instant.
        if not self._entering.acquire(blocking=False):
            raise RuntimeError(f"{self!r} has been entered before; make a new Run for each with statement")
        config, evidence = self._effective_config()
        max_workers = self._max_workers
        if max_workers is None and isinstance(self._trace_to, Decision) and self._flavor == "auto":
            max_workers = self._trace_to.max_workers
        parent = _enclosing_scope()
        shared = None if parent is None else parent.executor  # None: it is being left this moment
        if parent is not None and (shared is None or not parent.suits(max_workers)):
            parent = None
        question = self._question(config, None if parent is None else parent.flavor)
        verdict = decide(question)
        code, reason = verdict.code, verdict.reason
        if code == "interpreters_unavailable":
            # Before anything is started: where warnings are errors, this raises.
            warnings.warn(reason, RuntimeWarning, stacklevel=3)

        told = code == "cpu_bound" and verdict.flavor == "interpreters"  # each function goes where it can
        if code == "executor_given":
            executor = self._given
        elif code == "config_executor":
            executor = config.executor
        elif code == "default_pool":
            from weft.futures._default import default_executor

            executor = default_executor()
        elif parent is not None and parent.flavor == verdict.flavor and (code == "nested" or parent._told is told):
            executor = shared
            if code != "nested":
                evidence["rule"] = code
                code, reason = "nested", f"{reason}; the enclosing scope has such workers, and shares them"
        else:
            if max_workers is None and verdict.flavor != "serial":
                max_workers = config.max_workers
            if code == "measuring" or told:
                executor = make_adaptive(
                    max_workers, self._name, self._found_out, inner_threads=config.inner_threads, told=told
                )
                self._told = told
            else:
                executor, remark = make_executor(
                    verdict.flavor, max_workers, self._name, inner_threads=config.inner_threads
                )
                if remark:
                    reason = f"{reason} ({remark})"
            self._ours = True
        assert executor is not None
        try:
            decision = Decision(
                requested=self._flavor,
                resolved=verdict.flavor,
                reason=reason,
                code=code,
                evidence=evidence,
                name=self._name,
                max_workers=workers_of(executor),
                thread_mode="nogil" if question.nogil else "gil",
            )
            self._resolved = verdict.flavor
            self._decision = decision
            self._say(decision)
        except BaseException:  # Ctrl-C in a listener: nobody else would end what has been started
            if self._ours:
                executor.shutdown(wait=False, cancel_futures=True)
            raise
        self._executor = executor
        self._open = True
        self._pid = os.getpid()
        self._token = _current.set(self)
        return executor

    def _say(self, decision: Decision) -> None:
        record(decision)
        if self._trace_to is True:
            logger.info("%s", decision)
        elif callable(self._trace_to):
            tell(self._trace_to, decision)

    def _found_out(self, move: "Move") -> None:
        """The executor has measured, and perhaps moved, something. Any thread."""
        decision = self._deciding(self._decide_lock_held, move)
        if decision is not None:
            self._say(decision)

    def _decide_lock_held(self, move: "Move") -> Decision | None:
        first = self._decision
        if first is None:
            return None
        evidence = {**first.evidence, **move.evidence}
        self._decision = replace(first, resolved=move.flavor, code=move.code, reason=move.reason, evidence=evidence)
        return self._decision

    def _effective_config(self) -> tuple[RuntimeConfig, dict[str, object]]:
        """The configuration that counts, with the environment's forces in it, and where all that is from."""
        config, source = effective_config(self._config)
        evidence: dict[str, object] = {"config_from": source}
        if source != "environment":
            environment = read_environment(os.environ)
            forced = {field: environment[field] for field in _FORCES if field in environment}
            for one, other in (("force_threads", "force_process"), ("force_process", "force_threads")):
                if forced.get(one):
                    forced.setdefault(other, False)  # the configuration may say the opposite
            config = replace(config, **forced)
            evidence["forced_by_environment"] = [field for field in _FORCES if field in environment]
        found = capabilities()
        evidence |= {
            "gil_enabled": found.gil_enabled,
            "free_threaded_build": found.free_threaded_build,
            "interpreters": found.interpreters,
            "cpus": found.cpus,
            "python_version": found.python_version,
        }
        if found.free_threaded_build and found.gil_enabled and sys.flags.gil != 1:
            evidence["gil_turned_on"] = True
            _warn_of_gil()
        for field in ("cpu_bound", "io_bound", "prefers_subinterpreters", *_FORCES):
            if (value := getattr(config, field)) not in (None, False, "auto"):
                evidence[field] = value
        return config, evidence

    def _question(self, config: RuntimeConfig, parent: str | None) -> Question:
        found = capabilities()
        replayed = self._trace_to.resolved if isinstance(self._trace_to, Decision) else None
        workers = self._max_workers if self._max_workers is not None else config.max_workers
        return Question(
            requested=self._flavor,
            config=config,
            watches=_can_measure(),
            several=found.cpus > 1 and workers != 1 and _can_measure(),
            nogil=not found.gil_enabled if config.thread_mode == "auto" else config.thread_mode == "nogil",
            interpreters=found.interpreters,
            interpreters_needs=found.interpreters_needs,
            given=None if self._given is None else flavor_of(self._given),
            replayed=replayed,
            configured=None if config.executor is None else flavor_of(config.executor),
            parent=parent,
        )

    # ---- as an enclosing scope ------------------------------------------------------------------------

    @property
    def flavor(self) -> str:
        """The flavor that this scope came to, or was asked for as long as it has not been entered."""
        return self._resolved or self._flavor

    @property
    def executor(self) -> Executor | None:
        """The executor; None outside the block."""
        return self._executor

    def suits(self, max_workers: int | None) -> bool:
        """Whether a nested scope that asks for so many workers may share this one's executor."""
        if max_workers is None or self.flavor == "serial":
            return True
        return self._decision is not None and self._decision.max_workers == max_workers

    @property
    def usable(self) -> bool:
        """Whether the scope is open, in this very process: its workers do not survive a fork."""
        return self._open and self._pid == os.getpid()

    # ---- ending ------------------------------------------------------------------------------------

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        executor = self._leave()
        if executor is None:
            return False
        if error is None:
            try:
                executor.shutdown(wait=True)
            except BaseException as interruption:  # Ctrl-C while waiting
                self._stop(executor, interruption)
                raise
        else:
            self._stop(executor, error)
        return False

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        from weft.aio._library import shielded

        executor = self._leave()
        if executor is None:
            return False
        if error is None:
            try:
                await in_own_thread(partial(executor.shutdown, wait=True))
                return False
            except BaseException as cancellation:  # asyncio's or trio's
                await shielded(in_own_thread(partial(self._stop, executor, cancellation)))
                raise
        await shielded(in_own_thread(partial(self._stop, executor, error)))
        return False

    def _leave(self) -> Executor | None:
        """Closes the scope; gives the executor if it has to be ended."""
        self._open = False  # first: what is not usable is not asked for its executor
        executor, self._executor = self._executor, None
        if self._token is not None:
            # ValueError: left in another context than entered, by a generator; `usable` keeps others away.
            with suppress(ValueError):
                _current.reset(self._token)
            self._token = None
        return executor if self._ours and self._pid == os.getpid() else None

    def _stop(self, executor: Executor, error: BaseException) -> None:
        """Ends an executor whose tasks have lost their purpose, within a bound."""
        grace = CTRL_C_SECONDS if isinstance(error, KeyboardInterrupt) else GRACE_SECONDS
        left = stop(executor, grace)
        if left is not None:
            which = ", ".join(left) or "tasks"
            logger.warning("%r: still running %g s after its block failed, left behind: %s", self, 2 * grace, which)


def _can_measure() -> bool:
    """Whether there can be a thread that does: the end of an isolated sub-interpreter would wait for it."""
    from weft import _core

    return _core.in_main_interpreter()


_warned_of_gil = False


def _warn_of_gil() -> None:
    """Once in a process: somebody paid for a Python without a GIL, and has one."""
    global _warned_of_gil
    if not _warned_of_gil:
        _warned_of_gil = True
        warnings.warn(
            "this free-threaded Python runs with the GIL on: it was turned on to import an extension module that does "
            "not support free threading (Python named it when it did). Threads take turns now; PYTHON_GIL=0 keeps it "
            "off, at the risk of that extension",
            RuntimeWarning,
            stacklevel=5,
        )


def workers_of(executor: Executor) -> int | None:
    """How many workers an executor has at most, where it tells."""
    count = getattr(executor, "_max_workers", None)
    return count if isinstance(count, int) else None


def _enclosing_scope() -> Run | None:
    scope = _current.get()
    return scope if scope is not None and scope.usable else None
