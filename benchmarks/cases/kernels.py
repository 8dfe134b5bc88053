"""Kernels over buffers, in three sizes: against numpy, numba's `prange` where it is installed, and plain Python over a
list of the same numbers.

The arrays are made before the clock starts, and a sample is as many calls as make some milliseconds. numpy is
imported by the first sample, not by this module: nobody else's samples should have its threads beside them. So is
numba, whose compiling is not timed.
"""

from __future__ import annotations

import importlib.util
import math
import operator
from array import array
from collections.abc import Callable
from functools import lru_cache, partial
from time import perf_counter
from typing import Any

from benchmarks.case import Case, Side, Unit

type Call = Callable[[], object]
type MakeCall = Callable[[int], Call]
"""Given a number of elements, makes what they need; gives what is timed."""

_ENOUGH = 4_000_000
"""Elements that a sample goes through, at least."""

_MULTIPLICATIONS = 50_000_000
"""The same for matrices."""


def seconds_a_call(make: MakeCall, size: int, enough: int = _ENOUGH) -> float:
    """Seconds for one call, over as many as make a sample worth measuring."""
    call = make(size)
    times = max(1, enough // size)
    call()
    start = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - start) / times


def _side(make: MakeCall) -> Side:
    return partial(seconds_a_call, make)


@lru_cache(1)
def _numbers(size: int) -> array[float]:
    return array("d", (i * 0.618033988749895 % 1.0 for i in range(size)))


def _as_numpy(size: int) -> Any:
    import numpy as np

    return np.frombuffer(_numbers(size))


def _weft(name: str, buffers: int) -> MakeCall:
    def make(size: int) -> Call:
        from weft import kernels

        return partial(getattr(kernels, name), *[_numbers(size)] * buffers)

    return make


def _numpy(name: str, buffers: int) -> MakeCall:
    def make(size: int) -> Call:
        import numpy as np

        return partial(getattr(np, name), *[_as_numpy(size)] * buffers)

    return make


def _numba(name: str, buffers: int) -> MakeCall:
    def make(size: int) -> Call:
        from benchmarks import numba_loops

        return partial(getattr(numba_loops, f"{name}_of"), *[_as_numpy(size)] * buffers)

    return make


def _python(function: Callable[..., object], buffers: int) -> MakeCall:
    return lambda size: partial(function, *[_numbers(size).tolist()] * buffers)


def _sort_weft(size: int) -> Call:
    from weft import _core
    from weft.futures._default import default_executor

    numbers, pool = _numbers(size), default_executor()

    def call() -> None:
        _core.buffer_sort(pool, array("d", numbers), False, False, ("auto", 0))

    return call


def _sort_numpy(size: int) -> Call:
    import numpy as np

    return partial(np.sort, _as_numpy(size))


def _sort_python(size: int) -> Call:
    return partial(sorted, _numbers(size).tolist())


def _matrix(dtype: str, size: int) -> Any:
    rows = math.isqrt(size)
    return (_as_numpy(rows * rows) * 1000).astype(dtype).reshape(rows, rows)


def _matmul_weft(dtype: str, size: int) -> Call:
    from weft import kernels
    from weft.futures._default import default_executor

    matrix = _matrix(dtype, size)
    return partial(kernels.matmul, matrix, matrix, executor=default_executor())  # weft's own, not BLAS by way of weft


def _matmul_numba(dtype: str, size: int) -> Call:
    from benchmarks import numba_loops

    matrix = _matrix(dtype, size)
    return partial(numba_loops.matmul_of, matrix, matrix)


def _matmul_numpy(dtype: str, size: int) -> Call:
    import numpy as np

    matrix = _matrix(dtype, size)
    return partial(np.matmul, matrix, matrix)


def _numba_side(side: Side) -> dict[str, Side]:
    return {"numba prange": side} if importlib.util.find_spec("numba") else {}


SIDES: dict[str, dict[str, Side]] = {
    "sum": {
        "weft": _side(_weft("sum", 1)),
        "numpy": _side(_numpy("sum", 1)),
        **_numba_side(_side(_numba("sum", 1))),
        "python": _side(_python(sum, 1)),
    },
    "max": {
        "weft": _side(_weft("max", 1)),
        "numpy": _side(_numpy("max", 1)),
        **_numba_side(_side(_numba("max", 1))),
        "python": _side(_python(max, 1)),
    },
    "dot": {
        "weft": _side(_weft("dot", 2)),
        "numpy": _side(_numpy("dot", 2)),
        **_numba_side(_side(_numba("dot", 2))),
        "python": _side(_python(lambda a, b: sum(map(operator.mul, a, b)), 2)),
    },
    "sort": {"weft": _side(_sort_weft), "numpy": _side(_sort_numpy), "python": _side(_sort_python)},
}


def _seconds_a_product(make: Callable[[str, int], Call], dtype: str, size: int) -> float:
    return seconds_a_call(partial(make, dtype), size, _MULTIPLICATIONS // math.isqrt(size))


MATMUL: dict[str, dict[str, Side]] = {
    dtype: {
        "weft": partial(_seconds_a_product, _matmul_weft, dtype),
        "numpy": partial(_seconds_a_product, _matmul_numpy, dtype),
        **_numba_side(partial(_seconds_a_product, _matmul_numba, dtype)),
    }
    for dtype in ("float64", "int64")
}


def _cases() -> list[Case]:
    sizes = {"10³": 1_000, "10⁵": 100_000, "10⁷": 10_000_000}
    found = [
        Case(
            name=f"kernel-{name}-{size}",
            work=f"{name} of {words} float64",
            unit=Unit.TIME,
            sides=sides,
            size=size,
            quick=min(size, 1_000_000),
        )
        for name, sides in SIDES.items()
        for words, size in sizes.items()
    ]
    found += [
        Case(
            name=f"kernel-matmul-{dtype}-{rows}",
            work=f"matmul of {rows}² {dtype}",
            unit=Unit.TIME,
            sides=sides,
            size=rows * rows,
            quick=rows * rows,
            note="weft's own tiles; numpy has BLAS for floats only",
        )
        for dtype, sides in MATMUL.items()
        for rows in (32, 256, 512)
    ]
    return found


CASES: tuple[Case, ...] = tuple(_cases()) if importlib.util.find_spec("numpy") else ()
