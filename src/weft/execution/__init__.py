"""Execution policies: how an algorithm of `weft.parallel` runs, and where.

A policy is the first argument of every algorithm: `seq`, `par`, `par_unseq` or `unseq`. Calling it with the tag `task`
gives one that makes the algorithm return a future; `with_` says in which pieces the range is cut; `on` says on which
executor. Each of these returns a new policy, in any order: policies never change.
"""

from __future__ import annotations

from weft.execution._chunk_sizes import (
    ChunkSize,
    auto_chunk_size,
    dynamic_chunk_size,
    guided_chunk_size,
    static_chunk_size,
)
from weft.execution._policies import Policy, TaskPolicy, TaskTag, par, par_unseq, seq, task, unseq

__all__ = [
    "ChunkSize",
    "Policy",
    "TaskPolicy",
    "TaskTag",
    "auto_chunk_size",
    "dynamic_chunk_size",
    "guided_chunk_size",
    "par",
    "par_unseq",
    "seq",
    "static_chunk_size",
    "task",
    "unseq",
]
