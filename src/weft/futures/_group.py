"""`TaskGroup`: tasks that live and fail together, on any executor, in plain and in asyncio code.

Invariants:
- Leaving the block leaves no task of the group behind, waiting or running. The one exception is Ctrl-C:
  then a task that cannot be interrupted (it is stuck in C, or another library's executor runs it) is given
  `CTRL_C_SECONDS`, reported to the logger ``weft.futures`` and left behind (invariant 4).
- The first failure makes the group *abort*: tasks that have not begun are cancelled, running ones are
  interrupted where their future can (`weft.Future.interrupt`), new ones are refused.
- No failure is lost: all of them leave in one exception group, the block's own among them. What the abort
  itself brings about (a task or a block that is ended by `Interrupted`, by the `CancelledError` of a task it
  waited for, or because it went on submitting) is no failure.
- Nothing foreign runs while the lock is held: no submit, no cancel, no callback of a future.
- Ctrl-C, or another signal handler that raises, leaves no lock taken (`weft._locks`) and no submit under way for ever.

Threads: any thread may submit, the tasks of the group too, until the last one is done. Callbacks of the
futures run on the workers; on both builds all shared fields are guarded by the lock.

Waiting goes through the futures themselves, one after the other, not through a condition of the group: a
weft future that is waited for inside a worker lets that worker run other tasks, so that a group within a
task of a pool with one worker does not deadlock (invariant 5).

Tried for asyncio: `asyncio.wrap_future` for each task; it posts to the loop once per task where the group
needs it once. The rules for cancelling are those of `asyncio.TaskGroup`, line by line.
Pinned by tests/test_task_group.py.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from weft._live import Live
from weft._locks import let_go
from weft.config import check_executor
from weft.errors import Interrupted

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger("weft.futures")

# What is left to tasks after Ctrl-C: long enough for an interrupt to arrive, too short to be felt.
CTRL_C_SECONDS = 0.1


class _GroupAborts(RuntimeError):
    """A submit came after a failure. Where that ends the block or a task, it is the abort's doing."""


class TaskGroup:
    """Runs tasks that live and fail together: leaving the block waits for all of them.

    If one fails, the rest are cancelled, running ones are interrupted, and the failures leave the block as
    an `ExceptionGroup`. Works with ``with`` and ``async with``; in asyncio, a failure also cancels the block,
    and cancelling the block cancels the tasks, as with `asyncio.TaskGroup`.

    Args:
        executor: Where the tasks run: any `concurrent.futures.Executor`. It is left running. None: weft's
            default thread pool.

    Raises:
        ExceptionGroup: On leaving: tasks, or the block itself, raised. A `BaseExceptionGroup` if one of the
            tasks' exceptions is no `Exception`.
        RuntimeError: The group is entered twice.
        weft.errors.InvalidSetting: `executor` is no executor.

    Example:
        >>> from weft import TaskGroup
        >>> with TaskGroup() as group:
        ...     future = group.submit(pow, 2, 10)
        ...     squares = group.map(lambda x: x * x, [1, 2, 3])
        >>> future.result(), list(squares)
        (1024, [1, 4, 9])
    """

    def __init__(self, executor: Executor | None = None) -> None:
        check_executor("executor", executor)
        self._executor = executor
        self._make_locks()
        self._entered = False
        self._closed = False
        self._aborting = False
        self._unsettled: dict[Future[Any], None] = {}  # a set that keeps the order of submission
        self._submitting: dict[object, int] = {}  # calls that are between the test and the future, and their threads
        self._failures: list[BaseException] = []
        # Only where the block is asynchronous, and only touched on its loop after being set:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._body: asyncio.Task[Any] | None = None
        self._body_cancelled = False
        self._leaving = False
        self._all_done: asyncio.Event | None = None

    def _make_locks(self) -> None:
        self._lock = threading.RLock()
        self._brought = threading.Condition(self._lock)

    def __repr__(self) -> str:
        state = "open" if self._entered else "not entered"
        state = "closed" if self._closed else "aborting" if self._aborting else state
        return f"<weft.TaskGroup {state}, {len(self._unsettled)} tasks unfinished>"

    # ---- tasks ---------------------------------------------------------------------------------------

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Starts a task in the group.

        Args:
            fn: What to call.
            *args: With these arguments,
            **kwargs: and these.

        Returns:
            The executor's future.

        Raises:
            RuntimeError: The group has not been entered, is closed, or aborts after a failure.

        Example:
            >>> from weft import TaskGroup
            >>> with TaskGroup() as group:
            ...     future = group.submit(divmod, 7, 2)
            >>> future.result()
            (3, 1)
        """
        call = object()
        try:
            with self._lock:
                self._check_open_lock_held()
                self._submitting[call] = threading.get_ident()
                executor = self._executor
            assert executor is not None  # set on entry
            future = executor.submit(fn, *args, **kwargs)
            with self._lock:
                del self._submitting[call]
                self._unsettled[future] = None
                abort = self._aborting  # which may have begun meanwhile, without seeing this future
                self._brought.notify_all()
        except BaseException:
            let_go(self._lock)
            with self._lock:
                self._submitting.pop(call, None)
                self._brought.notify_all()
            self._post_if_done()
            raise
        future.add_done_callback(self._settle)
        if abort and not future.cancel():
            _interrupt(future)
        return future

    def map[T](self, fn: Callable[..., T], *iterables: Iterable[Any]) -> Iterator[T]:
        """Starts a task in the group for each item.

        Args:
            fn: What to call with one item of each iterable.
            *iterables: The items; the shortest ends it.

        Returns:
            An iterator over the results, in order. It blocks for what is not there yet, so in asyncio code
            use it after the block.

        Raises:
            RuntimeError: As `submit`.

        Example:
            >>> from weft import TaskGroup
            >>> with TaskGroup() as group:
            ...     powers = group.map(pow, [2, 3], [10, 4])
            >>> list(powers)
            [1024, 81]
        """
        futures = [self.submit(fn, *items) for items in zip(*iterables, strict=False)]
        futures.reverse()  # so that a result that has been taken is not kept alive

        def results() -> Iterator[T]:
            while futures:
                yield futures.pop().result()

        return results()

    def _check_open_lock_held(self) -> None:
        if self._closed:
            raise RuntimeError("cannot submit: this TaskGroup has closed; submit inside its with block")
        if self._aborting:
            raise _GroupAborts("cannot submit: this TaskGroup ends after a failure; leave its with block")
        if not self._entered:
            raise RuntimeError("cannot submit: this TaskGroup has not been entered; use it with `with`")

    # ---- settling and aborting -----------------------------------------------------------------------

    def _settle(self, future: Future[Any]) -> None:
        """Takes note of a future that is done. On a worker, or on the thread that waits: both come here."""
        failure = None if future.cancelled() else future.exception()
        with self._lock:
            if future not in self._unsettled:
                return
            known = any(failure is one for one in self._failures)
            if failure is not None and not known and not self._is_consequence_lock_held(failure):
                self._failures.append(failure)
                known = True
        # The future counts as unfinished until its failure has had its effect. Where the waiting thread came first,
        # the worker sees to that too: once it returns from here it takes the next task.
        if known:
            self._abort()
        with self._lock:
            self._unsettled.pop(future, None)
            self._brought.notify_all()
        self._post_if_done()

    def _is_consequence_lock_held(self, failure: BaseException) -> bool:
        """Whether an exception only says that its task was asked to stop."""
        if isinstance(failure, Interrupted):
            return True
        return self._aborting and isinstance(failure, (CancelledError, _GroupAborts))

    def _abort(self) -> None:
        """Refuses new tasks, and cancels those that have not begun; the first time, interrupts those that run."""
        with self._lock:
            first = not self._aborting
            self._aborting = True
            unfinished = list(self._unsettled)
            loop = self._loop
        # The latest first: nothing that has not begun should begin because a worker is freed here.
        for future in reversed(unfinished):
            if not future.cancel() and first:
                _interrupt(future)
        if first and loop is not None:
            _post(loop, self._cancel_body)

    def after_fork_in_child(self) -> None:
        """Its tasks run in the parent; leaving the block here says so."""
        self._make_locks()
        self._submitting = {}

    # ---- plain code ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._enter()
        return self

    def _enter(self) -> None:
        with self._lock:
            if self._entered:
                raise RuntimeError("this TaskGroup has been entered before; make a new one for each `with`")
            self._entered = True
            _live.add(self)
            if self._executor is None:
                from weft.futures._default import default_executor

                self._executor = default_executor()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        let_go(self._lock)
        if error is not None:
            self._abort()
        try:
            # After Ctrl-C in the block, its user does not want to wait for anything.
            self._wait(CTRL_C_SECONDS if isinstance(error, KeyboardInterrupt) else None)
        except BaseException as interruption:  # Ctrl-C, or a task that this group is part of is interrupted
            let_go(self._lock)
            self._abort()
            if isinstance(interruption, KeyboardInterrupt):
                self._wait(CTRL_C_SECONDS)
            raise
        finally:
            self._closed = True
            let_go(self._lock)
        self._raise_failures(error)

    def _wait(self, seconds: float | None) -> None:
        """Waits until all tasks are done, or the time is over."""
        deadline = None if seconds is None else time.monotonic() + seconds
        me = threading.get_ident()
        with self._lock:  # a submit of this thread's that was interrupted brings none
            self._submitting = {call: thread for call, thread in self._submitting.items() if thread != me}
        while True:
            with self._lock:
                future = next(iter(self._unsettled), None)
                if future is None:
                    if not self._submitting:
                        self._closed = True  # in the same breath: no submit can slip in between
                        return
                    # Another thread is about to bring a future.
                    self._brought.wait(_left(deadline))
            if deadline is not None and time.monotonic() >= deadline:
                logger.warning("%r: Ctrl-C; tasks that could not be interrupted are left behind", self)
                return
            if future is not None:
                with suppress(CancelledError, TimeoutError):  # it is cancelled; the time is over
                    future.exception(_left(deadline))
                if future.done():
                    self._settle(future)  # its callback may be late, and this loop would spin until it comes

    def _raise_failures(self, error: BaseException | None) -> None:
        """Raises what went wrong, unless the block's own exception has to leave as it is."""
        failures, self._failures = self._failures, []
        if error is not None and not isinstance(error, Exception):
            return  # KeyboardInterrupt, SystemExit, Interrupted: the with statement lets it go on
        # The block repeats a task's failure, or was ended by the abort: waited for a cancelled task, or
        # went on submitting.
        repeated = any(error is known for known in failures)
        aborted = bool(failures) and isinstance(error, (CancelledError, _GroupAborts))
        if error is not None and not repeated and not aborted:
            failures.append(error)
        if not failures:
            return
        count = f"{len(failures)} failures" if len(failures) > 1 else "a failure"
        try:
            raise BaseExceptionGroup(f"{count} in a TaskGroup", failures) from None
        finally:
            del failures, error  # else they and this frame keep each other alive

    # ---- asyncio code --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        import asyncio

        body = asyncio.current_task()
        if body is None:
            raise RuntimeError("async with TaskGroup() needs an asyncio task around it; use asyncio.run(...)")
        self._enter()
        self._all_done = asyncio.Event()
        self._body = body
        self._loop = asyncio.get_running_loop()  # the last: it is what makes other threads post here
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        body, all_done = self._body, self._all_done
        assert body is not None
        assert all_done is not None
        self._leaving = True
        cancelled = error if isinstance(error, asyncio.CancelledError) else None
        if error is not None:
            self._abort()
        while not self._close_if_done():
            try:
                await all_done.wait()
            except asyncio.CancelledError as cancellation:
                if not self._aborting:
                    cancelled = cancellation
                    self._abort()
            all_done.clear()
        self._loop = None
        if self._body_cancelled and body.uncancel() == 0:
            cancelled = None  # it was only us who cancelled the block
        if cancelled is not None and not self._failures:
            try:
                raise cancelled
            finally:
                del cancelled, error
        if body.cancelling() and self._failures:
            # Also cancelled from outside: the failures go first, the next await will see the cancellation.
            body.uncancel()
            body.cancel()
        self._raise_failures(None if isinstance(error, asyncio.CancelledError) else error)

    def _close_if_done(self) -> bool:
        with self._lock:
            self._closed = not self._unsettled and not self._submitting
            return self._closed

    def _cancel_body(self) -> None:
        """On the loop: a task has failed, so the block is not worth going on with."""
        if not self._leaving and not self._body_cancelled and self._body is not None:
            self._body_cancelled = True
            self._body.cancel()

    def _post_if_done(self) -> None:
        """Wakes the loop if the last task is done. Any thread."""
        with self._lock:
            loop, all_done = self._loop, self._all_done
            if loop is None or all_done is None or self._unsettled or self._submitting:
                return
        _post(loop, all_done.set)


_live = Live[TaskGroup]()


def _interrupt(future: Future[Any]) -> None:
    """Interrupts a task that runs, if its future can."""
    if (interrupt := getattr(future, "interrupt", None)) is not None:
        interrupt()


def _post(loop: "asyncio.AbstractEventLoop", callback: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop has been closed: nobody is waiting there
        loop.call_soon_threadsafe(callback)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
