"""How pools end: in steps, each bounded in time, and with a word about what was still running.

At the end of the interpreter a pool that nobody has shut down still does its work, as with the stdlib's; but only for
as long as something gets done. When nothing has finished for `WEFT_EXIT_GRACE` seconds (5 by default) what is queued
is cancelled, what runs is interrupted, and what cannot be interrupted is left behind: its thread is a daemon, and the
process ends without it. After Ctrl-C the first step is left out.

An interpreter that is left behind cannot be: Python would end it under the thread that is in it, and crash. So what a
block has left there for being late is waited for once more. If that does not help, the process does the rest of what it
does at exit, the `atexit` callbacks and the flushing of streams, and leaves with status 1 (130 after Ctrl-C) without
taking Python apart.

`leave_now` is the same without the first step, for a `with` block that is left by Ctrl-C or `sys.exit`.

Registered with `threading._register_atexit`, as `concurrent.futures` itself does: it runs before the interpreter
waits for threads and before `atexit` callbacks, when everything still works.
Pinned by tests/executors/test_exit.py.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from weft import _core

_DEFAULT_GRACE = 5.0  # seconds without progress
_STOP_WITHIN = 0.7  # seconds that an interrupted task gets: with what else there is to do, exit takes the grace and 1 s
_STOP_WITHIN_CTRL_C = 0.1  # the same for a `with` block that Ctrl-C ends, which is to be felt at once (invariant 4)
_CLOSE_WITHIN = 1.0  # seconds for interpreters and processes to close, once nothing runs in them
_ASK_AGAIN = 0.1  # seconds between interrupts of the same task
_SHOWN = 5  # tasks named in the message

_logger = logging.getLogger("weft")

_left_behind: list[_core.Pool] = []  # given up already, with a task that could not be stopped: exit does not wait again


def exit_grace() -> float:
    """Seconds that exit waits while nothing gets done: `WEFT_EXIT_GRACE`, else 5.

    Returns:
        Seconds; `inf` for as long as it takes.
    """
    text = os.environ.get("WEFT_EXIT_GRACE")
    if text is None:
        return _DEFAULT_GRACE
    try:
        grace = float(text)
    except ValueError:
        grace = math.nan
    if not grace >= 0:
        _logger.warning("WEFT_EXIT_GRACE=%r is not a number of seconds >= 0 (or 'inf'); using %g", text, _DEFAULT_GRACE)
        return _DEFAULT_GRACE
    return grace


def _progress(pools: Iterable[_core.Pool]) -> list[tuple[int, int]]:
    return [(stats["finished"], stats["queued"]) for stats in (pool._stats() for pool in pools)]


def _all_left(pools: Iterable[_core.Pool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    return all(pool._wait_left(max(0.0, end - time.monotonic())) for pool in pools)


def _drain(pools: Sequence[_core.Pool], grace: float) -> bool:
    """Wait until all work is done, for as long as it goes on. False if it stalled for `grace` seconds."""
    seen = _progress(pools)
    since = time.monotonic()
    while not _all_left(pools, min(0.1, max(grace, 0.001))):
        now = _progress(pools)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since >= grace:
            return False
    return True


def _stop(pools: Sequence[_core.Pool], seconds: float) -> list[str]:
    """Cancel what is queued, interrupt what runs. The names of the tasks that could not be stopped."""
    for pool in pools:
        pool._close(True)
    end = time.monotonic() + seconds
    while True:
        running = [row for pool in pools for row in pool._running()]
        for future, _, _ in running:
            future.interrupt()
        left = end - time.monotonic()
        if _all_left(pools, min(_ASK_AGAIN, max(left, 0))):
            return []
        if left <= 0:
            return [name for pool in pools for _, name, _ in pool._running()]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def leave_now(pools: Sequence[_core.Pool], why: str, *, ctrl_c: bool = False) -> None:
    """Stop pools within a second: cancel, interrupt, leave behind what is stuck, and say so.

    Args:
        pools: the pools to stop.
        why: the occasion, for the message.
        ctrl_c: somebody waits at the keyboard, so within a tenth of that.
    """
    queued = sum(pool._queued() for pool in pools)
    running = [name for pool in pools for _, name, _ in pool._running()]
    try:
        stuck = _stop(pools, _STOP_WITHIN_CTRL_C if ctrl_c else _STOP_WITHIN)
    finally:  # a second Ctrl-C too
        _left_behind[:] = [pool for pool in (*_left_behind, *pools) if pool._running()]
    if queued or running:
        _logger.warning(
            "%s: %d queued task%s cancelled, %d running interrupted%s%s",
            why,
            queued,
            "" if queued == 1 else "s",
            len(running),
            f" ({_listed(running)})" if running else "",
            f"; could not be stopped and left behind: {_listed(stuck)}" if stuck else "",
        )


def _end_interpreter() -> None:
    # Nothing is imported here: to run source, as the making of a named tuple does, has Python 3.13 forget that it is to
    # leave with Ctrl-C's status.
    interrupted = isinstance(getattr(sys, "last_exc", None), KeyboardInterrupt)
    maps = sys.modules.get("weft.executors._map")
    try:
        if maps is not None:
            maps.flush_all()
    except KeyboardInterrupt:  # what they have left is refused from here on
        interrupted = True
    _core.close_interpreter()
    every = _core.live_pools()
    for pool in every:
        pool._close(False)
    pools = [pool for pool in every if not any(pool._same_pool(left) for left in _left_behind)]
    try:
        # A block that Ctrl-C ends waits a moment only; the interpreters of what is late there are worth another.
        _stop([pool for pool in _left_behind if pool._worker_threads().hold_interpreters], _STOP_WITHIN)
        grace = 0.0 if interrupted else exit_grace()
        if not (interrupted and not _all_left(pools, 0)) and _drain(pools, grace):
            return
        why = "exit after Ctrl-C" if interrupted else f"exit, after {grace:g} s in which no task finished"
        leave_now(pools, f"{why} (shut pools down with a `with` block, or set WEFT_EXIT_GRACE, to wait longer)")
    except KeyboardInterrupt:
        leave_now(pools, "exit after Ctrl-C")
    finally:
        for pool in every:
            pool._finish()
        _close_workers(every)
        spares = sys.modules.get("weft.executors._spares")
        if spares is not None:
            spares.spares.close()
        _leave_if_stuck(every)
        templates = sys.modules.get("weft.executors._template.template")
        if templates is not None:
            templates.end_interpreter()


def _close_workers(pools: Iterable[_core.Pool]) -> None:
    """Wait until the threads of pools that have left have closed their interpreters or processes."""
    end = time.monotonic() + _CLOSE_WITHIN
    for pool in pools:
        if pool._wait_left(0):
            pool._worker_threads().join(max(0.0, end - time.monotonic()))


def _leave_if_stuck(pools: Iterable[_core.Pool]) -> None:
    """Where an interpreter is left behind, has the process leave right after the `atexit` callbacks."""
    left = [name.name for pool in pools if (its := pool._worker_threads()).hold_interpreters for name in its.alive()]
    if left and _core.in_main_interpreter():
        leave_at_exit(left)


def leave_at_exit(left: Sequence[str]) -> None:
    """Has the process leave right after the `atexit` callbacks: called while Python ends, by who leaves one behind.

    Args:
        left: The names of the interpreters that cannot be ended.
    """
    _logger.warning(
        "interpreters that cannot be ended are left behind (%s): the process leaves with exit status %d once the "
        "atexit callbacks have run",
        _listed(left),
        _status_of_leaving(),
    )
    atexit.register(_leave)


def _status_of_leaving() -> int:
    # Which status the program has asked for, nobody can know here. It has not ended in order.
    return 130 if isinstance(getattr(sys, "last_exc", None), KeyboardInterrupt) else 1


def _leave() -> None:
    """The first of the `atexit` callbacks, as it was registered last: calls all others, and ends the process."""
    atexit.unregister(_leave)
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  # the only way to have them run once
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, or None, or nobody reads it; there is nobody left to tell
            stream.flush()
    os._exit(_status_of_leaving())


threading._register_atexit(_end_interpreter)  # type: ignore[attr-defined]  # the stdlib's own hook for this


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.after_fork_in_child)
