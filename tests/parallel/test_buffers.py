"""Buffers: with operators that the core knows no Python runs, and results are those of Python objects."""

import array
import functools
import itertools
import math
import operator
import random
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parallel.conftest import CHUNKS, Pools
from weft.execution import par, par_unseq, seq, task, unseq
from weft.executors import SerialExecutor, ThreadPoolExecutor
from weft.parallel import (
    _buffers,
    all_of,
    any_of,
    copy,
    copy_if,
    count,
    count_if,
    exclusive_scan,
    fill,
    fill_n,
    find,
    find_if,
    for_each,
    inclusive_scan,
    iota,
    none_of,
    reduce,
    sort,
    stable_sort,
    transform,
    transform_reduce,
)

numpy = pytest.importorskip("numpy")

POLICIES: list[Any] = []
CODES = {"f": float, "d": float, "i": int, "q": int}


@pytest.fixture(autouse=True)
def policies(pools: Pools) -> Any:
    POLICIES[:] = [seq, unseq, par_unseq.on(pools.two), par.on(pools.one), par.on(pools.serial)]
    POLICIES[:] += [par.with_(chunks).on(pool) for chunks in CHUNKS for pool in (pools.two, pools.four)]
    yield
    POLICIES.clear()


def no_python(*_: Any) -> Any:
    raise AssertionError("Python code ran for the elements of a buffer")


@pytest.fixture
def core_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, the way of Python objects is closed."""
    from weft.parallel import _fills, _folds, _loops, _scans, _searches, _sorts

    for module in (_fills, _folds, _loops, _scans, _searches):
        monkeypatch.setattr(module, "run_chunks", no_python)
    monkeypatch.setattr(_sorts, "_sort", no_python)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.usefixtures("core_only")
def test_no_python_runs(code: str) -> None:
    kind = CODES[code]
    values = [kind((7 * x) % 101 - 50) for x in range(3000)]
    others = [kind(x % 5) for x in range(3000)]
    for policy in POLICIES:
        a, b, dst = array.array(code, values), array.array(code, others), array.array(code, [0] * 3000)
        assert reduce(policy, a) == sum(values)
        assert reduce(policy, a, init=None, op=min) == min(values)
        assert reduce(policy, a, init=kind(1000), op=max) == 1000
        dot = transform_reduce(policy, a, other=b, init=kind(3), reduce_op=operator.add, transform_op=operator.mul)
        assert dot == 3 + sum(map(operator.mul, values, others))
        transform(policy, a, dst, operator.add, other=b)
        assert list(dst) == list(map(operator.add, values, others))
        transform(policy, dst, dst, max, other=kind(0))
        assert min(dst) == 0
        assert count(policy, a, 7) == values.count(7)
        assert find(policy, a, 7) == values.index(7)
        assert find(policy, a, 1000) == -1
        assert count_if(policy, a, functools.partial(operator.lt, 10)) == sum(x > 10 for x in values)
        assert find_if(policy, a, functools.partial(operator.ge, -49)) == next(
            i for i, x in enumerate(values) if x <= -49
        )
        assert any_of(policy, a, functools.partial(operator.eq, 50))
        assert none_of(policy, a, functools.partial(operator.eq, 51))
        assert all_of(policy, a, functools.partial(operator.le, -50))
        assert not all_of(policy, a, functools.partial(operator.lt, -50))
        inclusive_scan(policy, a, dst)
        assert list(dst) == list(itertools.accumulate(values))
        inclusive_scan(policy, a, dst, op=max, init=kind(0))
        assert list(dst) == list(itertools.accumulate(values, max, initial=0))[1:]
        exclusive_scan(policy, a, dst, init=kind(5))
        assert list(dst) == list(itertools.accumulate(values, initial=5))[:-1]
        copy(policy, a, dst)
        assert dst == a
        stable_sort(policy, dst)
        assert list(dst) == sorted(values)
        sort(policy, dst, reverse=True)
        assert list(dst) == sorted(values, reverse=True)
        fill(policy, dst, kind(3))
        assert list(dst) == [3] * 3000
        fill_n(policy, dst, 10, kind(4))
        assert list(dst)[9:11] == [4, 3]
        iota(policy, dst, kind(5), kind(2))
        assert list(dst) == [5 + 2 * x for x in range(3000)]


@pytest.mark.usefixtures("core_only")
def test_as_tasks_too(two: ThreadPoolExecutor) -> None:
    a = array.array("d", [3.0, 1.0, 2.0])
    assert reduce(par(task).on(two), a).result(30) == 6.0
    assert sort(par(task).on(two), a).result(30) is None
    assert a.tolist() == [1.0, 2.0, 3.0]
    assert find(seq(task).on(SerialExecutor()), a, 2).result(30) == 1


@pytest.mark.usefixtures("core_only")
def test_numpy_arrays_and_memoryviews() -> None:
    for policy in POLICIES:
        a = numpy.arange(12.0)[::-1].copy().reshape(3, 4)
        assert reduce(policy, a) == 66.0
        sort(policy, memoryview(a).cast("B").cast("d"))
        assert a.ravel().tolist() == list(map(float, range(12)))
        b = numpy.zeros(20)
        copy(policy, numpy.arange(5.0), b)  # longer than it must be
        assert b.tolist() == [0, 1, 2, 3, 4] + [0] * 15


numbers = {
    "d": st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e6, max_value=1e6),
    "f": st.floats(allow_nan=False, allow_infinity=False, width=32, min_value=-1e3, max_value=1e3),
    "i": st.integers(-1000, 1000),
    "q": st.integers(-(10**9), 10**9),
}


@given(st.data(), st.sampled_from(sorted(numbers)))
def test_the_same_as_on_lists(data: st.DataObject, code: str) -> None:
    """The two tracks agree (floats: as far as the order of adding allows)."""
    values = array.array(code, data.draw(st.lists(numbers[code], max_size=60)))
    objects = list(values)
    policy = POLICIES[data.draw(st.integers(0, len(POLICIES) - 1))]
    init = CODES[code](data.draw(st.integers(-5, 5)))
    close = functools.partial(pytest.approx, rel=1e-4, abs=1e-2) if code in "fd" else (lambda x: x)
    assert reduce(policy, values, init=init) == close(reduce(seq, objects, init=init))
    for op in (min, max):
        assert reduce(policy, values, init=init, op=op) == reduce(seq, objects, init=init, op=op)
    wanted = data.draw(st.sampled_from([*objects, 0.5, 3, 10**30, -(10**30), math.inf]))
    assert count(policy, values, wanted) == count(seq, objects, wanted)
    assert find(policy, values, wanted) == find(seq, objects, wanted)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        pred = functools.partial(compare, wanted)
        assert count_if(policy, values, pred) == sum(map(pred, objects))
        assert all_of(policy, values, pred) is all(map(pred, objects))
    sums, results = array.array(code, values), [0] * len(values)
    inclusive_scan(policy, values, sums)
    inclusive_scan(seq, objects, results)
    assert list(sums) == close(results)
    sort(policy, values)
    assert list(values) == sorted(objects)


def test_what_python_would_compute_otherwise_takes_the_way_of_objects() -> None:
    """A number that does not fit the type, an operator or a type that the core does not know."""
    ints = array.array("i", [1, 2, 3])
    for policy in POLICIES:
        assert reduce(policy, ints, init=0.5) == 6.5
        assert reduce(policy, ints, op=lambda a, b: max(a, b)) == 3
        assert reduce(policy, ints, init=2**80) == 2**80 + 6
        assert reduce(policy, array.array("h", [1, 2, 3])) == 6
        assert count(policy, ints, "2") == 0
        assert count_if(policy, ints, functools.partial(pow, 2)) == 3
        assert find_if(policy, ints, lambda x: x > 1) == 1
        assert count_if(policy, ints, functools.partial(operator.lt, True)) == 2
        dst: list[Any] = [None] * 3
        transform(policy, ints, dst, operator.add, other=1)
        assert dst == [2, 3, 4]
        halves = array.array("d", [0.0] * 3)
        transform(policy, ints, halves, operator.mul, other=0.5)
        assert halves.tolist() == [0.5, 1.0, 1.5]
        strided = numpy.arange(10)[::2]
        assert reduce(policy, strided) == 20
        sort(policy, strided, reverse=True)
        assert strided.tolist() == [8, 6, 4, 2, 0]
        words = numpy.array(["b", "a"])
        sort(policy, words)
        assert words.tolist() == ["a", "b"]
        assert copy_if(policy, ints, dst, lambda x: x > 1) == 2
        seen: list[int] = []
        for_each(policy, ints, seen.append)
        assert sorted(seen) == [1, 2, 3]


@pytest.mark.skipif(not hasattr(functools, "Placeholder"), reason="functools.Placeholder is new in 3.14")
@pytest.mark.usefixtures("core_only")
def test_a_placeholder_turns_the_comparison_round() -> None:
    below = functools.partial(operator.lt, functools.Placeholder, 3)  # type: ignore[attr-defined]
    assert count_if(par, array.array("q", range(10)), below) == 3


def test_nan_is_equal_to_none_and_last() -> None:
    nan = math.nan
    for policy in POLICIES:
        a = array.array("d", [3.0, nan, 1.0])
        assert count(policy, a, nan) == 0
        assert find(policy, a, nan) == -1
        assert not all_of(policy, a, functools.partial(operator.lt, 0.0))
        assert count_if(policy, a, functools.partial(operator.ne, 0.0)) == 3
        sort(policy, a)
        assert a.tolist()[:2] == [1.0, 3.0]
        assert math.isnan(a[2])


def test_errors_say_what_to_do() -> None:
    fixed = numpy.zeros(3)
    fixed.flags.writeable = False
    for policy in POLICIES:
        with pytest.raises(TypeError, match="read-only"):
            fill(policy, fixed, 1.0)
        with pytest.raises(TypeError, match="read-only"):
            sort(policy, fixed)
        with pytest.raises(ValueError, match="init"):
            reduce(policy, array.array("d"), init=None)
        with pytest.raises(ValueError, match="dst has 1 elements, and the source 2"):
            inclusive_scan(policy, array.array("d", [1, 2]), array.array("d", [0]))
        with pytest.raises(OverflowError):
            inclusive_scan(policy, array.array("i", [2**31 - 1, 1]), array.array("i", [0, 0]))
        with pytest.raises(ValueError, match="same number"):
            transform(policy, fixed, numpy.zeros(3), operator.add, other=numpy.zeros(4))


def test_sums_are_the_same_bits_under_every_policy(rng: random.Random) -> None:
    values = array.array("d", [rng.uniform(-1e9, 1e9) for _ in range(100_000)])
    assert len({reduce(policy, values).hex() for policy in POLICIES}) == 1


def test_other_threads_run_meanwhile(two: ThreadPoolExecutor) -> None:
    """The GIL is let go: a thread that counts goes on while a large buffer is sorted in the caller."""
    values = numpy.random.default_rng(1).random(3_000_000)
    counted, end = [0], threading.Event()

    def counter() -> None:
        while not end.is_set():
            counted[0] += 1

    thread = threading.Thread(target=counter)
    thread.start()
    try:
        before = counted[0]
        sort(seq, values)
        assert counted[0] > before
    finally:
        end.set()
        thread.join(30)
    assert (values[1:] >= values[:-1]).all()


def test_closed_pools_refuse_buffers_too() -> None:
    pool = ThreadPoolExecutor(2)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        reduce(par.on(pool), numpy.ones(10_000_000))


@pytest.mark.parametrize("known", [*_buffers.OPERATORS, *_buffers.COMPARISONS], ids=lambda f: f.__name__)
def test_every_known_operator_is_known(known: Any) -> None:
    """Each is one that the core has a loop for."""
    a, dst = array.array("d", [1.0, 5.0, 3.0]), array.array("d", [0.0] * 3)
    if known in _buffers.OPERATORS:
        transform(par, a, dst, known, other=2.0)
        assert dst.tolist() == [known(x, 2.0) for x in a]
    else:
        assert count_if(par, a, functools.partial(known, 3.0)) == sum(known(3.0, x) for x in a)
