"""What the workers are doing now, and how the actors are.

Looks at each worker's cell, then at the stacks of the threads at one moment: a task may have gone on between the two,
so that a stack can be that of the next task. Takes no lock that a task could hold, so it works while all workers are
busy, from any thread and from a signal handler.
Pinned by tests/debug/test_dump.py.
"""

from __future__ import annotations

import os
import sys
import traceback
from types import CodeType
from typing import TYPE_CHECKING, TextIO

from weft import _core

if TYPE_CHECKING:
    from weft.actors import ActorHealth

_BELOW_TASKS = os.path.join("weft", "executors", "_worker_threads.py")


def get_num_worker_threads() -> int:
    """The number of worker threads that live now, in all pools of this interpreter.

    Threads are started when they are needed, so this may be less than what the pools may have.

    Returns:
        How many; a serial executor has none.

    Example:
        >>> from weft import debug
        >>> from weft.executors import ThreadPoolExecutor
        >>> before = debug.get_num_worker_threads()
        >>> with ThreadPoolExecutor(1) as pool:
        ...     pool.submit(debug.get_num_worker_threads).result() - before
        1
    """
    return sum(workers for _, _, workers, _, _ in _core.running_tasks())


def get_worker_thread_id() -> int:
    """The number of the worker that calls this, within its pool: from 0 on.

    Returns:
        The number; -1 on a thread that is no worker of a pool.

    Example:
        >>> from weft import debug
        >>> from weft.executors import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(1) as pool:
        ...     pool.submit(debug.get_worker_thread_id).result(), debug.get_worker_thread_id()
        (0, -1)
    """
    return _core.worker_index()


def dump(file: TextIO | None = None) -> None:
    """Writes what every worker of every pool of this interpreter is running now, with its Python stack.

    How long a task has run is known to the microsecond for tasks that are traced, and else nearly so. Then it says how
    each actor is that this interpreter has started and whose nursery has not been left, as `Nursery.actors` does.

    Args:
        file: where to write; None for standard error.

    Example:
        >>> import io
        >>> from weft import debug
        >>> from weft.executors import ThreadPoolExecutor
        >>> report = io.StringIO()
        >>> with ThreadPoolExecutor(1, thread_name_prefix="fetchers") as pool:
        ...     pool.options(name="look").submit(debug.dump, report).result()
        >>> print(report.getvalue())  # doctest: +ELLIPSIS
        pool fetchers (threads): 1 worker, 1 running, 0 waiting
          worker 0, thread ... (system's id ...): look, for ... s
        ...
    """
    _write("".join(_report()), file)


def _report() -> list[str]:
    pools = _core.running_tasks()
    stacks = iter(_core.thread_stacks([row[1] for *_, rows in pools for row in rows]))
    text: list[str] = []
    for name, flavor, workers, waiting, rows in pools:
        if not rows and not workers and not waiting:
            continue
        text.append(f"pool {name} ({flavor}): {_count(workers)}, {len(rows)} running, {waiting} waiting\n")
        for worker, thread, native_id, task, seconds, exact in rows:
            where = f"worker {worker}, " if worker >= 0 else ""
            system = f" (system's id {native_id})" if native_id else ""
            bound = "" if exact else "at most "
            text.append(f"  {where}thread {thread}{system}: {task}, for {bound}{seconds:.6f} s\n")
            text += _lines_of(next(stacks))
    return (text or ["no pools\n"]) + _actors()


def _actors() -> list[str]:
    module = sys.modules.get("weft.actors._nursery")
    if module is None:  # then there are none
        return []
    actors: list[ActorHealth] = [actor for nursery in module.entered() for actor in nursery.actors()]
    if not actors:
        return []
    return [f"actors: {len(actors)}\n", *map(_line_of, actors)]


def _line_of(actor: ActorHealth) -> str:
    calls = "no call" if actor.mailbox == 0 else f"{actor.mailbox} call{'' if actor.mailbox == 1 else 's'}"
    restarts = f", restarted {actor.restarts} times" if actor.restarts else ""
    process = f", process {actor.pid}" if actor.pid not in (None, os.getpid()) else ""
    return (
        f"  {'/'.join(actor.path)} ({actor.spawn}{process}): {actor.state}, for {actor.uptime:.6f} s{restarts}, "
        f"{calls} not answered, heard of {actor.silence:.6f} s ago\n"
    )


def _count(workers: int) -> str:
    return f"{workers} worker{'' if workers == 1 else 's'}"


def _lines_of(stack: list[tuple[CodeType, int]]) -> list[str]:
    """The lines of a stack, from the task's first frame on."""
    if not stack:
        return ["      (the thread has ended)\n"]
    above: list[tuple[str, int, str, None]] = []
    for code, line in stack:  # innermost first
        if code.co_filename.endswith(_BELOW_TASKS):
            break
        above.append((code.co_filename, line, code.co_qualname, None))
    if not above:
        return ["      (in a function that is not written in Python)\n"]
    entries = traceback.StackSummary.from_list(above[::-1]).format()
    return [f"    {line}\n" for entry in entries for line in entry.splitlines()]


def _write(text: str, file: TextIO | None) -> None:
    if file is not None:
        file.write(text)
        file.flush()
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except RuntimeError:  # a signal handler, in the middle of somebody's writing there
        os.write(2, text.encode(errors="backslashreplace"))
