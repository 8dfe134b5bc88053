"""Chunks of `map`, in workers that share no objects with the caller: what is submitted for each.

Pinned by tests/executors/test_map.py.
"""

from contextvars import copy_context
from time import perf_counter_ns

from weft._payloads import working
from weft._payloads.main_module import is_interruption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["run_chunk", "run_one"]


def run_chunk(fn: "Callable[..., Any]", items: "list[Any]", star: bool) -> "tuple[list[Any], bytes | None, int, int]":
    """Results up to the first error, that error as `pack_failure` packs it, the number of items, nanoseconds."""
    start = perf_counter_ns()
    untouched = copy_context()
    results, error = working.call_chunk(fn, items, star)
    if error is not None and not is_interruption(error):
        # All items are worked on, whatever became of others; what comes after an error is never handed out.
        for item in items[len(results) + 1 :]:
            failed = untouched.copy().run(working.call_chunk, fn, [item], star)[1]
            if failed is not None and is_interruption(failed):
                break
    packed = None if error is None else working.pack_failure(error)
    return results, packed, len(items), perf_counter_ns() - start


def run_one(fn: "Callable[..., Any]", items: "list[Any]", star: bool) -> "tuple[list[Any], None, int, int]":
    """A chunk of one item whose error is the task's own, so that the options of a view apply to it."""
    start = perf_counter_ns()
    result = fn(*items[0]) if star else fn(items[0])
    return [result], None, 1, perf_counter_ns() - start
