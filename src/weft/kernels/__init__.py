"""Kernels over contiguous buffers of numbers: `sum`, `min`, `max`, `dot` and `matmul`, on all cores, without the GIL.

They take what has a buffer of float32, float64, int32 or int64 (numpy arrays, `array.array`, `memoryview`), copy
nothing, and call no Python code. Results are those of mathematics or an error: sums of integers are exact, sums of
floats are the same bits whatever the number of threads.

Any thread may call them; the calling thread works too, and the rest are ordinary tasks of the pool. They end with the
call: no task touches a buffer after it. Ctrl-C on the main thread ends them early, as does `Future.interrupt` in a
task.
Pinned by tests/kernels/.
"""

from __future__ import annotations

from weft.kernels._linear import dot, matmul
from weft.kernels._reductions import max, min, sum  # noqa: A004

__all__ = ["dot", "matmul", "max", "min", "sum"]
