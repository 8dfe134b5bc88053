"""`sum`, `min` and `max`, and the reductions under them: exact for integers, reproducible for floats, NaN as numpy has it."""

import math
import operator
from array import array
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.arrays import AUTO, CHUNKS, DTYPES, arrays, numbers
from tests.kernels.conftest import MakePool
from weft import _core, kernels
from weft.executors import ThreadPoolExecutor

OPERATORS: dict[str, Any] = {"add": operator.add, "mul": operator.mul, "min": min, "max": max}


def same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


@given(arrays(["int32", "int64"]))
def test_sums_of_integers_are_exact(a: Any) -> None:
    assert kernels.sum(a) == sum(a.tolist())


@given(arrays(["float32", "float64"], finite=True))
def test_sums_of_floats_are_close_to_exact(a: Any) -> None:
    exact, size = math.fsum(a.tolist()), math.fsum(map(abs, a.tolist()))
    assert abs(kernels.sum(a) - exact) <= 2e-15 * size


@given(arrays(least=1))
def test_min_and_max_are_those_of_numpy(a: Any) -> None:
    with np.errstate(invalid="ignore"):
        assert same(kernels.min(a), a.min().item())
        assert same(kernels.max(a), a.max().item())


@given(arrays(["float32", "float64"]))
def test_sums_with_nan_and_infinities_are_those_of_fsum(a: Any) -> None:
    try:
        expected = math.fsum(a.tolist())
    except (ValueError, OverflowError):  # inf - inf, or beyond the largest float on the way
        return
    found = kernels.sum(a)
    if not math.isfinite(expected):
        assert same(found, expected)


@pytest.mark.parametrize("size", [0, 1, 2, 31, 32, 33, 8191, 8192, 8193, 500_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_size(executor: ThreadPoolExecutor | None, dtype: str, size: int) -> None:
    a = numbers(dtype, size)
    exact = math.fsum(a.tolist()) if dtype.startswith("float") else sum(a.tolist())
    assert kernels.sum(a, executor=executor) == pytest.approx(exact, rel=0 if isinstance(exact, int) else 1e-12)
    assert type(kernels.sum(a, executor=executor)) is (float if dtype.startswith("float") else int)
    if size:
        assert kernels.min(a, executor=executor) == a.min()
        assert kernels.max(a, executor=executor) == a.max()


def test_ten_million(executor: ThreadPoolExecutor | None) -> None:
    a = np.arange(10_000_000, dtype="int64") * 300_000_000_000
    n = len(a)
    assert kernels.sum(a, executor=executor) == 300_000_000_000 * n * (n - 1) // 2 > 2**63
    assert kernels.max(a, executor=executor) == 300_000_000_000 * (n - 1)
    assert kernels.sum(a.astype("float64") / 2**20, executor=executor) == pytest.approx(
        300_000_000_000 * n * (n - 1) / 2**21, rel=1e-15
    )


def test_sums_that_no_64_bits_hold() -> None:
    assert kernels.sum(array("q", [2**63 - 1] * 10_000)) == (2**63 - 1) * 10_000
    assert kernels.sum(array("q", [-(2**63)] * 10_000)) == -(2**63) * 10_000
    assert kernels.sum(array("i", [-(2**31)] * 10_000)) == -(2**31) * 10_000


@pytest.mark.parametrize("where", [0, 1, 40_000, 99_999])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_wins_wherever_it_is(executor: ThreadPoolExecutor | None, dtype: str, where: int) -> None:
    a = numbers(dtype, 100_000)
    a[where] = math.nan
    a[where // 2 + 7] = -math.inf
    assert math.isnan(kernels.min(a, executor=executor))
    assert math.isnan(kernels.max(a, executor=executor))
    assert math.isnan(kernels.sum(a, executor=executor))


def test_signed_zeros_and_infinities() -> None:
    assert math.copysign(1, kernels.sum(array("d", [0.0, -0.0]))) == 1
    assert kernels.min(array("d", [math.inf, math.inf])) == math.inf
    assert kernels.max(array("f", [-math.inf])) == -math.inf
    assert kernels.sum(array("d", [math.inf, 1.0])) == math.inf
    assert math.isnan(kernels.sum(array("d", [math.inf, -math.inf])))


def test_float32_is_added_up_in_float64() -> None:
    assert kernels.sum(array("f", [2.0**24, 1.0, 1.0])) == 2.0**24 + 2
    assert kernels.sum(array("f", [3e38, 3e38])) > 3.5e38  # where numpy says inf


@pytest.mark.parametrize("size", [1, 5, 8192, 8193, 400_001])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_whatever_the_workers_and_chunks(make_pool: MakePool, dtype: str, size: int) -> None:
    a, b = numbers(dtype, size), numbers(dtype, size, seed=2)
    total, product = _core.kernel_reduce(None, a, "add"), _core.kernel_dot(None, a, b)
    for workers in range(1, 9):
        pool = make_pool(workers)
        assert kernels.sum(a, executor=pool) == total
        assert kernels.dot(a, b, executor=pool) == product
        for chunk in CHUNKS:
            assert _core.buffer_reduce(pool, a, "add", None, chunk) == total
            assert _core.buffer_transform_reduce(pool, a, b, "mul", "add", None, chunk) == product


@given(arrays(["int32", "int64"], most=6), st.sampled_from(list(OPERATORS)), st.none() | st.integers(-(2**70), 2**70))
def test_reduce_is_functools_reduce(a: Any, op: str, init: int | None) -> None:
    values = a.tolist()
    if init is None and not values:
        with pytest.raises(ValueError, match="src is empty"):
            _core.buffer_reduce(None, a, op, init, AUTO)
        return
    expected = reduce(OPERATORS[op], values) if init is None else reduce(OPERATORS[op], values, init)
    if op == "mul" and values and abs(reduce(operator.mul, values)) >= 2**128:
        with pytest.raises(OverflowError, match="128 bits"):
            _core.buffer_reduce(None, a, op, init, AUTO)
        return
    assert _core.buffer_reduce(None, a, op, init, AUTO) == expected


def test_a_product_with_a_zero_is_zero(executor: ThreadPoolExecutor | None) -> None:
    a = np.full(50_000, 2**40, dtype="int64")
    with pytest.raises(OverflowError, match=r"128 bits; .* math\.prod"):
        _core.buffer_reduce(executor, a, "mul", 1, ("dynamic", 1))
    a[49_000] = 0
    assert _core.buffer_reduce(executor, a, "mul", 1, ("dynamic", 1)) == 0


def test_init_of_floats() -> None:
    a = array("d", [1.5, 2.5])
    assert _core.buffer_reduce(None, a, "add", 10, AUTO) == 14.0
    assert _core.buffer_reduce(None, a, "mul", 2.0, AUTO) == 7.5
    assert _core.buffer_reduce(None, a, "min", 0.5, AUTO) == 0.5
    assert math.isnan(_core.buffer_reduce(None, a, "max", math.nan, AUTO))
    assert _core.buffer_reduce(None, array("d"), "max", 3, AUTO) == 3.0


@pytest.mark.parametrize(("call", "what"), [(kernels.min, "smallest"), (kernels.max, "largest")])
def test_nothing_has_no_extremes(call: Any, what: str) -> None:
    with pytest.raises(ValueError, match=f"a is empty: it has no {what}"):
        call(array("d"))
    assert kernels.sum(array("q")) == 0
    assert isinstance(kernels.sum(array("d")), float)


def test_any_shape_is_seen_flat() -> None:
    assert kernels.sum(np.ones((3, 4, 5))) == 60
    assert kernels.max(np.arange(12, dtype="int32").reshape(3, 4)) == 11


@given(arrays(["int32"], least=1, most=40), st.data())
def test_transform_reduce_is_exact_or_says_so(a: Any, data: st.DataObject) -> None:
    b = data.draw(st.integers(-(2**31), 2**31 - 1) | arrays(["int32"], least=len(a), most=len(a)))
    first, second = data.draw(st.sampled_from(list(OPERATORS))), data.draw(st.sampled_from(["add", "min", "max"]))
    values = b.tolist() if not isinstance(b, int) else [b] * len(a)
    mapped = [OPERATORS[first](x, y) for x, y in zip(a.tolist(), values, strict=True)]
    if (first, second) != ("mul", "add") and not all(-(2**31) <= x < 2**31 for x in mapped):
        with pytest.raises(OverflowError, match="transform does not fit int32"):
            _core.buffer_transform_reduce(None, a, b, first, second, None, AUTO)
        return
    assert _core.buffer_transform_reduce(None, a, b, first, second, None, AUTO) == reduce(OPERATORS[second], mapped)
