"""`dot` and `matmul`: against exact integers and numpy, what they return, and what they refuse."""

import math
from array import array
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executors.child import run_child
from tests.kernels.arrays import DTYPES, arrays, numbers
from tests.kernels.conftest import MakePool
from weft import kernels
from weft.executors import ThreadPoolExecutor
from weft.kernels import _linear


@given(arrays(["int32", "int64"]), st.randoms(use_true_random=False))
def test_dots_of_integers_are_exact(a: Any, random: Any) -> None:
    b = a.copy()
    random.shuffle(b)
    assert kernels.dot(a, b) == sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


@given(arrays(["float32", "float64"], finite=True))
def test_dots_of_floats_are_close_to_exact(a: Any) -> None:
    b = a[::-1].copy()
    products = [Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    size = sum(map(abs, products))
    assert abs(Fraction(kernels.dot(a, b)) - sum(products)) <= size * Fraction(4e-15) + len(a) * Fraction(5e-324)


def test_a_dot_that_no_128_bits_hold(executor: ThreadPoolExecutor | None) -> None:
    least = np.full(300_000, -(2**63), dtype="int64")
    assert kernels.dot(least, least, executor=executor) == 2**126 * 300_000


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 3, 4), (1, 70, 50), (70, 1, 50), (70, 50, 1), (193, 129, 257), (50, 700, 300)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_those_of_numpy(
    executor: ThreadPoolExecutor | None, dtype: str, shape: tuple[int, int, int]
) -> None:
    m, k, n = shape
    random = np.random.default_rng(7)
    a, b = (random.integers(-99, 99, size).astype(dtype) for size in ((m, k), (k, n)))
    found = kernels.matmul(a, b, executor=executor)
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    assert (found == a @ b).all()  # whole numbers: every sum is exact
    if dtype.startswith("float"):
        a, b = a / 7, b / 7
        exact, size = (
            a.astype("float64") @ b.astype("float64"),
            np.abs(a).astype("float64") @ np.abs(b).astype("float64"),
        )
        assert (abs(kernels.matmul(a, b, executor=executor) - exact) <= size * k * np.finfo(dtype).eps).all()


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 5), st.sampled_from([3, 2**20, 2**31, 2**62]), st.data())
def test_integer_products_are_exact_or_say_so(m: int, k: int, n: int, most: int, data: st.DataObject) -> None:
    whole = st.integers(-most, most)
    a = data.draw(st.lists(st.lists(whole, min_size=k, max_size=k), min_size=m, max_size=m))
    b = data.draw(st.lists(st.lists(whole, min_size=n, max_size=n), min_size=k, max_size=k))
    exact = [[sum(a[i][t] * b[t][j] for t in range(k)) for j in range(n)] for i in range(m)]
    left, right = np.array(a, dtype="int64"), np.array(b, dtype="int64")
    if all(-(2**63) <= x < 2**63 for row in exact for x in row):
        assert kernels.matmul(left, right).tolist() == exact
    else:
        with pytest.raises(OverflowError, match="an element of the product does not fit int64"):
            kernels.matmul(left, right)


def test_an_int32_product_that_does_not_fit(executor: ThreadPoolExecutor | None) -> None:
    a = np.full((40, 40), 2**16, dtype="int32")
    with pytest.raises(OverflowError, match="int32, the type of a; convert the buffers to int64"):
        kernels.matmul(a, a, executor=executor)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_the_same_bits_whatever_the_workers(make_pool: MakePool, dtype: str) -> None:
    a, b = numbers(dtype, 300 * 517).reshape(300, 517), numbers(dtype, 517 * 600).reshape(517, 600)
    alone = kernels.matmul(a, b, executor=make_pool(1))
    assert all((kernels.matmul(a, b, executor=make_pool(workers)) == alone).all() for workers in range(2, 9))


@pytest.mark.parametrize("special", [math.nan, math.inf])
def test_nan_and_infinity_stay_in_their_rows_and_columns(executor: ThreadPoolExecutor | None, special: float) -> None:
    a, b = np.ones((20, 30)), np.ones((30, 25))
    a[3, 4] = special
    found = kernels.matmul(a, b, executor=executor)
    assert (found[3] == found[3]).all() == (special == special)
    assert not np.isfinite(found[3]).any()
    assert (np.delete(found, 3, axis=0) == 30).all()


def test_what_comes_back() -> None:
    a = memoryview(array("d", range(6))).cast("B").cast("d", (2, 3))
    b = memoryview(array("d", range(6))).cast("B").cast("d", (3, 2))
    product = kernels.matmul(a, b)
    assert type(product) is memoryview
    assert product.tolist() == [[10.0, 13.0], [28.0, 40.0]]
    assert type(kernels.matmul(np.asarray(a), b)) is np.ndarray
    out = np.empty((2, 2))
    assert kernels.matmul(a, b, out) is out
    assert out.tolist() == product.tolist()


def test_products_of_nothing() -> None:
    assert kernels.matmul(np.ones((3, 0)), np.ones((0, 2))).tolist() == [[0.0, 0.0]] * 3
    assert kernels.matmul(np.ones((0, 3)), np.ones((3, 2))).shape == (0, 2)


def test_numpy_gets_what_its_blas_is_faster_at(monkeypatch: pytest.MonkeyPatch, make_pool: MakePool) -> None:
    """Large products of floats where no executor is named; and nothing else."""
    calls: list[Any] = []
    plain = np.matmul

    def spy(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return plain(*args, **kwargs)

    monkeypatch.setattr(np, "matmul", spy)
    monkeypatch.setattr(_linear, "WORTH_BLAS", 100 * 100 * 100)
    a, out = np.eye(100), np.empty((100, 100))
    assert (kernels.matmul(a, a, out) == a).all()
    assert len(calls) == 1
    kernels.matmul(a, a, executor=make_pool(2))
    kernels.matmul(a[:99], a)
    kernels.matmul(a.astype("int64"), a.astype("int64"))
    assert len(calls) == 1
    with pytest.raises(TypeError, match="out is float32"):
        kernels.matmul(a, a, out.astype("float32"))
    with pytest.raises(ValueError, match="out shares memory with a"):
        kernels.matmul(a, a.copy(), a)
    assert len(calls) == 1


def test_without_numpy_there_is_no_numpy() -> None:
    ended = run_child(
        """
import sys
from array import array
from weft import kernels
a = memoryview(array("d", [1.0]) * 700**2).cast("B").cast("d", (700, 700))
assert kernels.matmul(a, a)[5, 7] == 700.0
assert kernels.sum(array("d", [1.0]) * 10**6) == 10**6
assert "numpy" not in sys.modules
"""
    )
    ended.check_sound()


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.ones(3), np.ones(4), "a has 3 elements and b has 4"),
        (np.ones((2, 2)), np.ones(4), "a has 2 dimensions, not 1; use matmul"),
    ],
)
def test_dot_refuses_shapes(a: Any, b: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kernels.dot(a, b)


@pytest.mark.parametrize(
    ("a", "b", "out", "words"),
    [
        (np.ones((2, 3)), np.ones((2, 3)), None, r"a has shape \(2, 3\) and b has \(2, 3\): the columns of a"),
        (np.ones(3), np.ones((3, 1)), None, "a has 1 dimensions, not 2; matmul takes matrices; use dot for vectors"),
        (np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 3)), r"out has shape \(2, 3\), and the result has \(2, 2\)"),
    ],
)
def test_matmul_refuses_shapes(a: Any, b: Any, out: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kernels.matmul(a, b, out)


def test_types_are_not_mixed() -> None:
    with pytest.raises(TypeError, match=r"a is float64 and b is float32, .* b\.astype\('float64'\)"):
        kernels.dot(np.ones(3), np.ones(3, dtype="float32"))
    with pytest.raises(TypeError, match="out is read-only"):
        kernels.matmul(np.ones((1, 1)), np.ones((1, 1)), memoryview(bytes(8)).cast("d", (1, 1)))
