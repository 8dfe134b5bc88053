"""A worker process from its fork to its end: one call of the core, with a beginning and an end as any program has.

Runs in the worker's main thread. Before the call: signals as in a fresh interpreter, nothing of the template's left
open, the caller's surroundings. After it what an interpreter does at its end, each step bounded or the caller's to
kill: threads are waited for, `atexit` handlers run, streams are flushed. Then `os._exit`: to take apart what was
shared with the template would copy its pages only to free them.

`atexit` handlers from before the fork belong to the template, which runs them at its own end: a folder that a preloaded
module made for its lifetime is not to be deleted by the first worker that ends.
Pinned by tests/executors/test_template.py.
"""

import atexit
import os
import signal
import sys
from contextlib import suppress

from weft.executors._template.surroundings import settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

    from weft.executors._template.surroundings import Surroundings

__all__ = ["become_worker"]

THREADS_END_WITHIN = 1.0
"""Seconds that non-daemon threads get at a worker's end."""


def become_worker(
    run: str,
    kind: int,
    descriptors: "Sequence[int]",
    setup: bytes,
    surroundings: "Surroundings | None",
    handed: "Sequence[int]",
    go: int,
    signals: "Mapping[int, Any]",
) -> "NoReturn":
    """Is the worker.

    Args:
        run: ``module:function``, what to run; its module has been imported.
        kind: For that function.
        descriptors: For that function.
        setup: For that function.
        surroundings: The caller's, where they are no longer the template's.
        handed: More descriptors, of which `setup` says what they are.
        go: Where the word comes that the caller knows of this worker; its end means that it never will.
        signals: Handlers as they are to be here.
    """
    status = 1
    try:
        for number, handler in signals.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if not os.read(go, 1):
            os._exit(0)
        os.close(go)
        _leave_to_template()
        if surroundings is not None:
            settle(surroundings)
        if handed:
            from weft._payloads.handed import descriptors as known

            known += handed
        module, _, name = run.partition(":")
        function: Callable[[int, Sequence[int], bytes], object] = getattr(sys.modules[module], name)
        function(kind, descriptors, setup)
        status = 0
    except SystemExit as error:
        status = _status(error)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        _end(status)


def _status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _leave_to_template() -> None:
    """Forgets what was to happen at the template's end, and draws random numbers of this worker's own."""
    atexit._clear()  # pyright: ignore[reportPrivateUsage]
    weakref: Any = sys.modules.get("weakref")
    if weakref is not None:
        for finalizer in list(weakref.finalize._registry):
            finalizer.atexit = False
        # It registers itself once, which has just been undone.
        weakref.finalize._registered_with_atexit = False
    logging = sys.modules.get("logging")
    if logging is not None:
        atexit.register(logging.shutdown)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:  # has queues send what was put into them
        atexit.register(util._exit_function)
    random = sys.modules.get("numpy.random")
    if random is not None:  # the standard library's seeds itself anew after a fork; numpy's global generator does not
        random.seed()


def _end(status: int) -> "NoReturn":
    try:
        _wait_for_threads()
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed, None, or its reader has gone
                stream.flush()
        os._exit(status)


def _wait_for_threads() -> None:
    threading: Any = sys.modules.get("threading")
    if threading is None or (threading.active_count() == 1 and not threading._threading_atexits):
        return
    import _thread

    # It has no timeout, so another thread waits.
    ended = _thread.allocate_lock()
    ended.acquire()

    def shut_down() -> None:
        try:
            threading._shutdown()
        finally:
            ended.release()

    _thread.start_new_thread(shut_down, ())
    ended.acquire(timeout=THREADS_END_WITHIN)
