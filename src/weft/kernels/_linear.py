"""`dot` and `matmul`.

`matmul` has two ways to go. Its own tiles are exact for integers and give the same bits on any number of threads;
numpy's BLAS is faster for large matrices of floats. So BLAS gets those, if the program has imported numpy already,
unless an executor was named: that is a wish to run there.
Pinned by tests/kernels/test_linear.py.
"""

from __future__ import annotations

import sys
from collections.abc import Buffer
from typing import Any

from weft import _core
from weft.kernels._pool import default_pool, pool_for

WORTH_A_POOL = 1 << 20
"""Multiplications from which on the default pool is used: some 30 µs of one thread's time."""

WORTH_BLAS = 1 << 28
"""Multiplications from which on numpy's BLAS is used for floats (a matrix of 645 rows times itself). Below it the
difference is small, and a BLAS of several threads is slow on a machine that has other things to do."""


def dot(a: Buffer, b: Buffer, *, executor: _core.Pool | None = None) -> int | float:
    """The sum of `a[i] * b[i]`.

    Integers are exact, in as many bits as it takes. Floats are multiplied and added up in float64, in blocks whose
    order depends on the length alone: the same bits whatever the number of threads.

    Args:
        a: a contiguous one-dimensional buffer of float32, float64, int32 or int64.
        b: another of the same type and length.
        executor: the `weft.executors.ThreadPoolExecutor` whose workers help; None for the default pool, and for the
            calling thread alone where the buffers are less than 2 MiB each.

    Returns:
        An int for integers, a float for floats.

    Raises:
        ValueError: the lengths differ, or a buffer has more than one dimension.
        TypeError: a buffer is of another type or not contiguous, or the types differ; the message says what to call.
        RuntimeError: the executor is shut down.

    Example:
        >>> from array import array
        >>> import weft.kernels
        >>> weft.kernels.dot(array("d", [1, 2, 3]), array("d", [4, 5, 6]))
        32.0
    """
    return _core.kernel_dot(pool_for(executor, a, b), a, b)


def matmul(a: Buffer, b: Buffer, out: Any = None, *, executor: _core.Pool | None = None) -> Any:
    """The product of two matrices.

    Integers are exact. Floats are added up in their own type, as BLAS does. The bits do not depend on the number of
    threads, except where numpy's BLAS does the work: for floats and 2²⁸ multiplications or more, if numpy is imported
    and no executor is given.

    Args:
        a: a C-contiguous buffer of float32, float64, int32 or int64, of shape (m, k).
        b: another of the same type, of shape (k, n).
        out: where the result goes: a writable C-contiguous buffer of the same type, of shape (m, n), that shares no
            memory with `a` and `b`; None for a new one.
        executor: the `weft.executors.ThreadPoolExecutor` whose workers help; None for the default pool, or BLAS, and
            for the calling thread alone where the matrices are small.

    Returns:
        `out` if it was given; else a numpy array if `a` or `b` is one, else a memoryview of shape (m, n).

    Raises:
        ValueError: the shapes do not fit, or are not those of matrices; or the result is empty and not of numpy.
        TypeError: a buffer is of another type or not contiguous, or the types differ; the message says what to call.
        OverflowError: an element of an integer product does not fit the type; `out` then holds rubbish.
        RuntimeError: the executor is shut down.

    Example:
        >>> from array import array
        >>> import weft.kernels
        >>> a = memoryview(array("q", [1, 2, 3, 4])).cast("B").cast("q", (2, 2))
        >>> weft.kernels.matmul(a, a).tolist()
        [[7, 10], [15, 22]]
    """
    rows, columns, terms, code = _core.kernel_matmul_shape(a, b)
    numpy: Any = sys.modules.get("numpy")
    work = rows * columns * terms
    if out is None:
        out = _new_matrix(rows, columns, code, numpy if _is_array(numpy, a) or _is_array(numpy, b) else None)
    else:
        _core.kernel_matmul_check(a, b, out)  # numpy would convert and cast where we refuse
    if executor is None and _has_blas(numpy) and code in "fd" and work >= WORTH_BLAS:
        numpy.matmul(numpy.asarray(a), numpy.asarray(b), out=numpy.asarray(out))
        return out
    pool = executor if executor is not None or work < WORTH_A_POOL else default_pool()
    _core.kernel_matmul(pool, a, b, out)
    return out


def _is_array(numpy: Any, value: object) -> bool:
    return hasattr(numpy, "ndarray") and isinstance(value, numpy.ndarray)


def _has_blas(numpy: Any) -> bool:
    # While numpy is being imported, by another thread or by an import that led here, it has no names yet.
    return hasattr(numpy, "matmul")


def _new_matrix(rows: int, columns: int, code: str, numpy: Any) -> Any:
    if numpy is not None:
        return numpy.empty((rows, columns), dtype={"f": "f4", "d": "f8", "i": "i4", "q": "i8"}[code])
    if rows == 0 or columns == 0:
        shape = f"({rows}, {columns})"
        raise ValueError(f"the product has shape {shape}, which no memoryview can have; pass numpy arrays")
    memory: Any = memoryview(bytearray(rows * columns * (4 if code in "fi" else 8)))
    return memory.cast(code, (rows, columns))
