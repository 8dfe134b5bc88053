"""What the pools whose workers share no objects with the caller have in common, on the caller's side."""

from __future__ import annotations

import concurrent.futures.process
from collections.abc import Iterable
from types import SimpleNamespace
from typing import cast

from weft import _core
from weft._payloads import calling, chunks, context, receiving, starting
from weft.errors import InitializerFailed, WorkerCrashed
from weft.executors._options import checked_string
from weft.executors._pool import checked_max_workers


class WorkerCrashedInPool(WorkerCrashed, concurrent.futures.process.BrokenProcessPool):
    """`WorkerCrashed`, also for programs that catch what the stdlib's pool raises."""


class InitializerFailedInProcess(InitializerFailed, concurrent.futures.process.BrokenProcessPool):
    """`InitializerFailed`, likewise."""


def worker_crashed(what: bytes, task: str) -> WorkerCrashed:
    """The error of a task whose process died: the core gives its pid and its exit status, as Python has them."""
    pid, _, status = what.decode().partition(" ")
    code = None if status == "?" else int(status)
    if code is not None and code < 0:
        return WorkerCrashedInPool(pid=int(pid), signal=-code, task=task)
    return WorkerCrashedInPool(pid=int(pid), exit_code=code, task=task)


def payloads(initializer_failed: type[InitializerFailed]) -> SimpleNamespace:
    """What the core calls on the caller's side, for a pool that raises this when its initializer fails."""
    return SimpleNamespace(
        pack_call=calling.pack_call,
        unpack_result=calling.unpack_result,
        unpack_failure=calling.unpack_failure,
        pack_context=context.pack_context,
        worker_crashed=worker_crashed,
        greeting=starting.greeting,
        receive=receiving.receive,
        initializer_failed=initializer_failed,
    )


CHUNK_RUNNERS = chunks.run_chunk, chunks.run_one
"""What `map` submits to such pools."""

for _runner in CHUNK_RUNNERS:  # in traces, the tasks bear the name of what they run
    _core.name_by_first_argument(_runner)


def checked_inner_threads(value: object) -> int:
    """`inner_threads` as workers are told it: 0 for None.

    Raises:
        ValueError: it is less than 1 (as `weft.errors.InvalidSetting`).
        TypeError: it is not a whole number.
    """
    return 0 if value is None else checked_max_workers(value, "inner_threads")


def checked_preload(preload: object) -> list[str]:
    """`preload` as a list of names.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(preload, str) or not isinstance(preload, Iterable):
        raise TypeError(f"preload must be a list of names of modules, not {preload!r}")
    return [checked_string("preload", name) for name in cast("Iterable[object]", preload)]
