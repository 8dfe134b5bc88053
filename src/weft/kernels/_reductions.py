"""`sum`, `min` and `max`: one number from all elements, whatever the shape.

Pinned by tests/kernels/test_reductions.py.
"""

from __future__ import annotations

from collections.abc import Buffer

from weft import _core
from weft.kernels._pool import pool_for


def sum(a: Buffer, *, executor: _core.Pool | None = None) -> int | float:  # noqa: A001
    """The sum of all elements.

    Integers are added up exactly, in as many bits as it takes. Floats are added up in float64, in blocks whose order
    depends on the length alone: the result is the same bits whatever the number of threads, and its error grows with
    the logarithm of the length.

    Args:
        a: a C-contiguous buffer of float32, float64, int32 or int64, of any shape.
        executor: the `weft.executors.ThreadPoolExecutor` whose workers help; None for the default pool, and for the
            calling thread alone where `a` is less than 2 MiB.

    Returns:
        An int for integers, a float for floats; of no elements, 0 or 0.0.

    Raises:
        TypeError: `a` is not such a buffer, or `executor` is no pool of threads of weft's; the message says what to
            call.
        RuntimeError: the executor is shut down.

    Example:
        >>> from array import array
        >>> import weft.kernels
        >>> weft.kernels.sum(array("d", [0.5, 0.25, 0.25]))
        1.0
        >>> weft.kernels.sum(array("q", [2**62, 2**62, 2**62]))
        13835058055282163712
    """
    return _core.kernel_reduce(pool_for(executor, a), a, "add")


def min(a: Buffer, *, executor: _core.Pool | None = None) -> int | float:  # noqa: A001
    """The smallest element; NaN if there is one, as numpy has it.

    Args:
        a: a C-contiguous buffer of float32, float64, int32 or int64, of any shape.
        executor: as for `sum`.

    Returns:
        An int for integers, a float for floats.

    Raises:
        ValueError: `a` is empty.
        TypeError: `a` is not such a buffer, or `executor` is no pool of threads of weft's.
        RuntimeError: the executor is shut down.

    Example:
        >>> from array import array
        >>> import weft.kernels
        >>> weft.kernels.min(array("i", [3, -1, 2]))
        -1
    """
    return _core.kernel_reduce(pool_for(executor, a), a, "min")


def max(a: Buffer, *, executor: _core.Pool | None = None) -> int | float:  # noqa: A001
    """The largest element; NaN if there is one, as numpy has it.

    Args:
        a: a C-contiguous buffer of float32, float64, int32 or int64, of any shape.
        executor: as for `sum`.

    Returns:
        An int for integers, a float for floats.

    Raises:
        ValueError: `a` is empty.
        TypeError: `a` is not such a buffer, or `executor` is no pool of threads of weft's.
        RuntimeError: the executor is shut down.

    Example:
        >>> from array import array
        >>> import weft.kernels
        >>> weft.kernels.max(array("f", [0.5, float("nan")]))
        nan
    """
    return _core.kernel_reduce(pool_for(executor, a), a, "max")
