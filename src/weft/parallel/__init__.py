"""Parallel algorithms: loops, reductions, searches, sorts and scans, with a policy as their first argument.

Two tracks. With Python callables, chunks of the range are tasks of a thread pool: on a free-threaded build they run in
parallel; with a GIL one thread runs Python code at a time, and nothing is gained unless the calls wait for something
or let go of the GIL. Over buffers (numpy arrays, `array.array`, `memoryview`) of `float32 float64 int32 int64`, and
with operators that the core knows, no Python runs, and all cores do on every build.

Under every policy the exception that a sequential loop would have met (that of the lowest index) is raised, and the
rest of the range is abandoned.
"""

from __future__ import annotations

from weft.parallel._fills import copy, copy_if, fill, fill_n, iota
from weft.parallel._folds import reduce, transform_reduce
from weft.parallel._loops import for_each, for_loop, transform
from weft.parallel._scans import exclusive_scan, inclusive_scan
from weft.parallel._searches import all_of, any_of, count, count_if, find, find_if, none_of
from weft.parallel._sorts import sort, stable_sort

__all__ = [
    "all_of",
    "any_of",
    "copy",
    "copy_if",
    "count",
    "count_if",
    "exclusive_scan",
    "fill",
    "fill_n",
    "find",
    "find_if",
    "for_each",
    "for_loop",
    "inclusive_scan",
    "iota",
    "none_of",
    "reduce",
    "sort",
    "stable_sort",
    "transform",
    "transform_reduce",
]
