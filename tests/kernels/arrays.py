"""What the kernels' tests work on."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

DTYPES = ["float32", "float64", "int32", "int64"]
SMALL_CHUNKS = ("dynamic", 1)
AUTO = ("auto", 0)
CHUNKS = [AUTO, ("static", 0), ("static", 10_000), ("dynamic", 0), ("dynamic", 9_000), ("guided", 0), ("guided", 5_000)]


def numbers(dtype: str, size: int, seed: int = 1) -> Any:
    """Random numbers of both signs, none of them round."""
    random = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return (random.standard_normal(size) * 1e3 / 3).astype(dtype)
    return random.integers(-(2**31), 2**31 - 1, size).astype(dtype)


def arrays(dtypes: list[str] = DTYPES, least: int = 0, most: int = 300, finite: bool = False) -> st.SearchStrategy[Any]:
    """Arrays of any length and contents: NaN, infinities, -0.0, the largest and the smallest integers."""

    def of(dtype: str) -> st.SearchStrategy[Any]:
        elements: dict[str, Any] = {}
        if dtype.startswith("float") and finite:
            elements = {"allow_nan": False, "allow_infinity": False, "min_value": -1e30, "max_value": 1e30}
            if dtype == "float32":
                elements.update(min_value=float(np.float32(-1e30)), max_value=float(np.float32(1e30)))
        return npst.arrays(dtype, st.integers(least, most), elements=elements or None)

    return st.sampled_from(dtypes).flatmap(of)
