"""The algorithms under weft.parallel, over buffers: against numpy and plain Python, in the caller and on a pool."""

import itertools
import math
import operator
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.arrays import AUTO, CHUNKS, DTYPES, arrays, numbers
from tests.kernels.conftest import MakePool
from weft import _core
from weft.executors import ThreadPoolExecutor

OPERATORS: dict[str, Any] = {"add": operator.add, "mul": operator.mul, "min": min, "max": max}
UFUNCS: dict[str, Any] = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
COMPARES = {name: getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")}
SIZES = [0, 1, 2, 255, 257, 8192, 8193, 65_537, 300_000]


def bits(a: Any) -> bytes:
    return np.asarray(a).tobytes()


# ---- sort --------------------------------------------------------------------------------------------------


def sorted_by_python(values: list[float], reverse: bool) -> list[float]:
    return [*sorted((x for x in values if x == x), reverse=reverse), *(x for x in values if x != x)]


@given(arrays(most=600), st.booleans())
def test_sort_is_pythons_with_nan_last(a: Any, reverse: bool) -> None:
    expected = np.array(sorted_by_python(a.tolist(), reverse), dtype=a.dtype)
    _core.buffer_sort(None, a, reverse, True, AUTO)
    np.testing.assert_array_equal(a, expected)
    if a.dtype.kind == "f":  # stable: zeros of both signs stay in their order
        zeros = expected == 0
        assert (np.signbit(a[zeros]) == np.signbit(expected[zeros])).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sort_of_any_size(executor: ThreadPoolExecutor | None, dtype: str, size: int) -> None:
    random = np.random.default_rng(size)
    for a in (
        numbers(dtype, size),
        random.integers(0, 3, size).astype(dtype),  # nearly all of them equal
        np.arange(size).astype(dtype),
        (random.random(size) ** 30 * 1e9).astype(dtype),  # most of them small
        np.where(random.random(size) < 0.5, 7, random.random(size) * 1e6).astype(dtype),
    ):
        expected = np.sort(a)
        _core.buffer_sort(executor, a, False, False, AUTO)
        assert bits(a) == bits(expected)
        _core.buffer_sort(executor, a, True, True, AUTO)
        assert bits(a) == bits(expected[::-1])


def test_sort_of_ten_million(executor: ThreadPoolExecutor | None) -> None:
    a = np.random.default_rng(5).standard_normal(10_000_000)
    a[::1000] = math.nan
    expected = np.sort(a)
    _core.buffer_sort(executor, a, False, False, AUTO)
    np.testing.assert_array_equal(a, expected)


@pytest.mark.parametrize("size", [100, 5_000, 100_000])
def test_sort_against_what_it_hopes_for(size: int) -> None:
    """Keys that agree in their upper bits and are backwards in the lower: what insertion must give up on."""
    a = np.arange(size, 0, -1, dtype="int64")
    a[0], a[1] = 2**62, -(2**62)
    expected = np.sort(a)
    _core.buffer_sort(None, a, False, False, AUTO)
    assert bits(a) == bits(expected)


# ---- scan --------------------------------------------------------------------------------------------------


@given(
    arrays(["int32", "int64"], most=60), st.sampled_from(list(OPERATORS)), st.booleans(), st.none() | st.integers(-9, 9)
)
def test_scans_of_integers_are_exact_or_say_so(a: Any, op: str, inclusive: bool, init: int | None) -> None:
    values, limits = a.tolist(), np.iinfo(a.dtype)
    neutral = {"add": 0, "mul": 1, "min": limits.max, "max": limits.min}[op]
    start = neutral if init is None else init
    expected = list(itertools.accumulate(values, OPERATORS[op], initial=start))
    expected = expected[1:] if inclusive else expected[:-1]
    to = np.empty_like(a)
    if all(limits.min <= x <= limits.max for x in expected):
        _core.buffer_scan(None, a, to, op, inclusive, init, AUTO)
        assert to.tolist() == expected
    else:
        with pytest.raises(OverflowError, match=f"an element of the scan does not fit {a.dtype}"):
            _core.buffer_scan(None, a, to, op, inclusive, init, AUTO)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("op", ["add", "min", "max"])
def test_scans_of_floats(make_pool: MakePool, op: str, size: int) -> None:
    a = numbers("float64", size)
    expected = UFUNCS[op].accumulate(a)
    alone = np.empty_like(a)
    _core.buffer_scan(None, a, alone, op, True, None, AUTO)
    np.testing.assert_allclose(alone, expected, rtol=1e-9, atol=1e-6)
    pool = make_pool(4)
    for chunk in CHUNKS:
        here = a.copy()
        _core.buffer_scan(pool, here, here, op, True, None, chunk)
        assert bits(here) == bits(alone)  # the same bits whatever the workers and chunks
    if size:
        shifted = np.empty_like(a)
        _core.buffer_scan(pool, a, shifted, op, False, 5.0, AUTO)
        assert shifted[0] == 5.0
        np.testing.assert_allclose(shifted[1:], UFUNCS[op](5.0, expected[:-1]), rtol=1e-9, atol=1e-6)


def test_a_scan_with_nan(executor: ThreadPoolExecutor | None) -> None:
    a = np.ones(50_000)
    a[30_000] = math.nan
    for op in OPERATORS:
        to = np.empty_like(a)
        _core.buffer_scan(executor, a, to, op, True, None, ("dynamic", 1))
        np.testing.assert_array_equal(to, UFUNCS[op].accumulate(a))


def test_a_scan_that_overflows_far_from_the_beginning(executor: ThreadPoolExecutor | None) -> None:
    a, to = np.full(100_000, 30_000, dtype="int32"), np.empty(100_000, dtype="int32")
    with pytest.raises(OverflowError, match="convert the buffers to int64"):
        _core.buffer_scan(executor, a, to, "add", True, None, ("dynamic", 1))
    _core.buffer_scan(executor, a[:70_000], to[:70_000], "add", True, None, ("dynamic", 1))
    assert to[69_999] == 2_100_000_000
    wide, far = np.full(100_000, 2**50, dtype="int64"), np.empty(100_000, dtype="int64")
    with pytest.raises(OverflowError, match="convert the buffers to float64, which rounds"):
        _core.buffer_scan(executor, wide, far, "add", False, 0, ("dynamic", 1))


# ---- transform ---------------------------------------------------------------------------------------------


@given(arrays(), st.sampled_from(list(OPERATORS)), st.data())
def test_transforms_are_those_of_numpy(a: Any, op: str, data: st.DataObject) -> None:
    b = data.draw(arrays([str(a.dtype)], least=len(a), most=len(a)))
    to = np.empty_like(a)
    if a.dtype.kind == "i":
        exact = [OPERATORS[op](x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        limits = np.iinfo(a.dtype)
        if not all(limits.min <= x <= limits.max for x in exact):
            with pytest.raises(OverflowError, match="an element of the transform does not fit"):
                _core.buffer_transform(None, a, b, to, op, AUTO)
            return
    with np.errstate(all="ignore"):
        expected = UFUNCS[op](a, b)
    _core.buffer_transform(None, a, b, to, op, AUTO)
    np.testing.assert_array_equal(to, expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_transforms_in_place_and_by_a_number(executor: ThreadPoolExecutor | None, dtype: str, size: int) -> None:
    a, b = numbers(dtype, size), numbers(dtype, size, seed=2)
    if dtype == "int32":
        a, b = a // 2, b // 2
    for op in ("add", "min", "max"):
        here, there = a.copy(), b.copy()
        _core.buffer_transform(executor, here, b, here, op, ("dynamic", 1000))
        assert bits(here) == bits(UFUNCS[op](a, b))
        _core.buffer_transform(executor, a, there, there, op, ("guided", 1000))
        assert bits(there) == bits(here)
        _core.buffer_transform(executor, a, 3, there, op, AUTO)
        assert bits(there) == bits(UFUNCS[op](a, np.array(3, dtype=dtype)))
        _core.buffer_transform(executor, a, np.dtype(dtype).type(3), there, op, AUTO)  # a number of numpy's
        assert bits(there) == bits(UFUNCS[op](a, np.array(3, dtype=dtype)))


def test_transforms_refuse_what_does_not_match() -> None:
    a, to = array("q", [1, 2]), array("q", [0, 0])
    with pytest.raises(TypeError, match="b must be a whole number for a buffer of int64, not 1.5"):
        _core.buffer_transform(None, a, 1.5, to, "add", AUTO)
    with pytest.raises(TypeError, match="a is int64 and b is float64"):
        _core.buffer_transform(None, a, array("d", [1, 2]), to, "add", AUTO)
    with pytest.raises(ValueError, match="a has 2 elements and b has 3"):
        _core.buffer_transform(None, a, array("q", [1, 2, 3]), to, "add", AUTO)
    with pytest.raises(ValueError, match="a has 2 elements and dst has 3"):
        _core.buffer_transform(None, a, 1, array("q", [1, 2, 3]), "add", AUTO)


# ---- count and find ----------------------------------------------------------------------------------------

ANY_NUMBER = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from([2**53 + 1, -(2**53) - 1, 2**63, -(2**63), 2**31, 0.5, -0.5, 1e300]),
)


@given(arrays(), st.sampled_from(list(COMPARES)), ANY_NUMBER, st.data())
def test_comparisons_are_pythons(a: Any, compare: Any, value: float, data: st.DataObject) -> None:
    """Exactly, also between integers and floats that are not each other's."""
    if len(a) and data.draw(st.booleans()):
        value = data.draw(st.sampled_from(a.tolist()))
    holds = [COMPARES[compare](x, value) for x in a.tolist()]
    assert _core.buffer_count(None, a, compare, value, AUTO) == sum(holds)
    assert _core.buffer_find(None, a, compare, value, AUTO) == (holds.index(True) if True in holds else -1)


@pytest.mark.parametrize("where", [[], [0], [299_999], [100_000, 200_000], [65_535, 65_536]])
@pytest.mark.parametrize("dtype", DTYPES)
def test_find_gives_the_lowest_index(executor: ThreadPoolExecutor | None, dtype: str, where: list[int]) -> None:
    a = np.zeros(300_000, dtype=dtype)
    a[where] = 5
    for chunk in CHUNKS:
        assert _core.buffer_find(executor, a, "eq", 5, chunk) == (min(where) if where else -1)
        assert _core.buffer_count(executor, a, "gt", 4, chunk) == len(where)


# ---- fill, copy, iota --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_fill_copy_and_iota(executor: ThreadPoolExecutor | None, dtype: str, size: int) -> None:
    a, to = numbers(dtype, size), np.zeros(size, dtype=dtype)
    for chunk in CHUNKS:
        _core.buffer_copy(executor, a, to, chunk)
        assert bits(to) == bits(a)
        _core.buffer_copy(executor, to, to, chunk)
        assert bits(to) == bits(a)
        _core.buffer_fill(executor, to, 7, chunk)
        assert (to == 7).all()
        _core.buffer_iota(executor, to, -5, 3, chunk)
        assert bits(to) == bits((np.arange(size) * 3 - 5).astype(dtype))


def test_iota_says_what_does_not_fit() -> None:
    a = array("i", [9] * 5)
    _core.buffer_iota(None, a, 2**31 - 5, 1, AUTO)
    assert a[-1] == 2**31 - 1
    _core.buffer_iota(None, a, 2**31 - 1, -(2**30) + 1, AUTO)  # from one end of the range nearly to the other
    assert a[-1] == 2**31 - 1 - 4 * (2**30 - 1)
    with pytest.raises(OverflowError, match="the last number does not fit int32"):
        _core.buffer_iota(None, a, 2**31 - 4, 1, AUTO)
    _core.buffer_iota(None, array("i"), 0, 2**40, AUTO)
    with pytest.raises(OverflowError, match="int64"):
        _core.buffer_iota(None, array("q", [0, 0]), 2**62, 2**62, AUTO)
