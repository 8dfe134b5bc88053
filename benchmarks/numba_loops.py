"""What a user of numba would write: loops over `prange`, compiled when first called.

Imported by the first sample that needs it, since numba is not installed everywhere, and starts threads. `fastmath` lets
it reorder a sum, which it needs to use vector instructions; weft's own sums are the same for any number of threads.
"""

# numba finds prange by its name in this module, and its decorators have no types.
# pyright: basic

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange


@njit(parallel=True, fastmath=True)
def sum_of(a: Any) -> Any:
    total = 0.0
    for i in prange(a.size):
        total += a[i]
    return total


@njit(parallel=True, fastmath=True)
def max_of(a: Any) -> Any:
    largest = a[0]
    for i in prange(a.size):
        largest = max(largest, a[i])
    return largest


@njit(parallel=True, fastmath=True)
def dot_of(a: Any, b: Any) -> Any:
    total = 0.0
    for i in prange(a.size):
        total += a[i] * b[i]
    return total


@njit(parallel=True)
def matmul_of(a: Any, b: Any) -> Any:
    rows, inner = a.shape
    columns = b.shape[1]
    product = np.zeros((rows, columns), a.dtype)
    for i in prange(rows):
        for j in range(columns):
            product[i, j] = 0
        for k in range(inner):
            factor = a[i, k]
            for j in range(columns):
                product[i, j] += factor * b[k, j]
    return product
