"""Which pool a kernel runs on: the one that was given, the default one, or none where that would take longer.

Pinned by tests/kernels/test_region.py.
"""

from __future__ import annotations

from collections.abc import Buffer

from weft import _core

WORTH_A_POOL = 1 << 21
"""Bytes from which on the default pool is used: what one thread goes through in about 100 µs. Below it a pool would
save less than it takes to wake a thread, and a program that only ever has small arrays is not given one."""


def pool_for(executor: _core.Pool | None, *buffers: Buffer) -> _core.Pool | None:
    """The pool for these buffers; None: the calling thread alone."""
    if executor is not None:
        return executor
    for buffer in buffers:
        if size_of(buffer) >= WORTH_A_POOL:
            return default_pool()
    return None


def default_pool() -> _core.Pool:
    """The default pool, made if there is none yet."""
    from weft.futures._default import default_executor

    return default_executor()


def size_of(buffer: Buffer) -> int:
    """Its size in bytes; 0 for what is no buffer, which the core refuses with words of its own."""
    try:
        return memoryview(buffer).nbytes
    except (BufferError, TypeError, ValueError):
        return 0
