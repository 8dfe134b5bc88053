"""What it costs a task to be traced: CPU time of a task with tracing on, beside that with it off.

Of the threads that submit and run tasks. What the thread that writes the file takes is not in the path of any task, and
on a machine with a core to spare nobody waits for it.
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from benchmarks.case import Case, Unit
from benchmarks.judge import Added
from benchmarks.peers import WORKERS
from benchmarks.workloads import empty
from weft import debug
from weft.executors import ThreadPoolExecutor

LIMIT = 200e-9  # seconds a task, of invariant 8
BATCH = 10_000


def cpu_of(idents: list[int]) -> float:
    """CPU time of these threads, in seconds."""
    return sum(time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in idents)


def per_task(file: str | None, count: int) -> float:
    """CPU seconds a task: submit a batch, take its results, and so on; traced to a file of this name, if one is given.

    In batches, since what a trace costs is meant, and not what it costs to have a million futures.
    """
    with nullcontext() if file is None else tempfile.TemporaryDirectory() as folder:
        if file is not None:
            debug.enable_tracing(Path(str(folder)) / file)
        all_run = threading.Barrier(WORKERS)
        with ThreadPoolExecutor(WORKERS) as pool:
            for future in [pool.submit(all_run.wait) for _ in range(WORKERS)]:
                future.result()
            idents = [
                thread.ident for thread in (threading.current_thread(), *pool._threads) if thread.ident is not None
            ]
            start = cpu_of(idents)
            for first in range(0, count, BATCH):
                futures = [pool.submit(empty) for _ in range(min(BATCH, count - first))]
                for future in futures:
                    future.result()
            took = cpu_of(idents) - start
        debug.disable_tracing()
    return took / count


CASES = (
    tuple(
        Case(
            name=name,
            work=f"CPU of an empty task, traced ({words})",
            unit=Unit.TIME,
            sides={"tracing on": partial(per_task, file), "tracing off": partial(per_task, None)},
            size=200_000,
            quick=50_000,
            judge=Added(LIMIT, "200 ns"),
            in_child=True,
        )
        for name, file, words in (("tracing", "trace.jsonl", "JSON lines"), ("tracing-chrome", "trace.json", "Chrome"))
    )
    if hasattr(time, "pthread_getcpuclockid")
    else ()
)
