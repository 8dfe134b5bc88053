"""Random policies, algorithms and inputs: the same results as the builtins and itertools."""

import functools
import itertools
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parallel.conftest import CHUNKS
from weft.execution import Policy, par, par_unseq, seq, unseq
from weft.executors import SerialExecutor, ThreadPoolExecutor
from weft.parallel import (
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
    for_loop,
    inclusive_scan,
    iota,
    none_of,
    reduce,
    sort,
    stable_sort,
    transform,
    transform_reduce,
)

# Made once: hypothesis draws policies before a test's fixtures could be asked.
POOLS: list[Any] = []


@pytest.fixture(autouse=True)
def pools() -> Any:
    POOLS[:] = [ThreadPoolExecutor(1), ThreadPoolExecutor(2), ThreadPoolExecutor(4), SerialExecutor()]
    yield
    for pool in POOLS:
        pool.shutdown()
    POOLS.clear()


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    policy = draw(st.sampled_from([par, par, par, par_unseq, seq, unseq])).with_(draw(st.sampled_from(CHUNKS)))
    return policy.on(POOLS[draw(st.integers(0, 3))])


class Items:
    """A sequence of our own: only what `collections.abc.Sequence` asks for."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        return self._items[operator.index(index)]


Sequence.register(Items)

SHAPES: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "generator": lambda items: (item for item in items),
    "sequence": Items,
    "keys": lambda items: dict(enumerate(items)).values(),
}

numbers = st.lists(st.integers(-100, 100), max_size=120) | st.integers(0, 9000).map(
    lambda n: [(7 * i) % 101 - 50 for i in range(n)]
)
shapes = st.sampled_from(sorted(SHAPES))


def joined(left: str, right: str) -> str:
    """Associative, and not commutative."""
    return left + right


def multiplied(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """2 × 2 matrices modulo a prime: associative, and not commutative."""
    a, b, c, d = left
    e, f, g, h = right
    return ((a * e + b * g) % 9973, (a * f + b * h) % 9973, (c * e + d * g) % 9973, (c * f + d * h) % 9973)


def result_of(outcome: Any, as_task: bool) -> Any:
    return outcome.result(30) if as_task else outcome


def tagged(policy: Any, as_task: bool) -> Any:
    from weft.execution import task

    return policy(task) if as_task else policy


@given(st.data(), numbers, shapes, st.booleans())
def test_loops(data: st.DataObject, items: list[int], shape: str, as_task: bool) -> None:
    policy = tagged(data.draw(policies()), as_task)
    seen: list[int] = []
    assert result_of(for_each(policy, SHAPES[shape](items), seen.append), as_task) is None
    assert Counter(seen) == Counter(items)
    seen.clear()
    first, last = data.draw(st.integers(-50, 50)), data.draw(st.integers(-50, 200))
    assert result_of(for_loop(policy, first, last, seen.append), as_task) is None
    assert sorted(seen) == list(range(first, last))


@given(st.data(), numbers, shapes, st.booleans())
def test_transform(data: st.DataObject, items: list[int], shape: str, as_task: bool) -> None:
    policy = tagged(data.draw(policies()), as_task)
    behind = data.draw(st.integers(0, 3))
    results: list[Any] = [None] * (len(items) + behind)
    assert result_of(transform(policy, SHAPES[shape](items), results, abs), as_task) is None
    assert results == [*map(abs, items), *[None] * behind]
    others = list(range(len(items)))
    result_of(transform(policy, SHAPES[shape](items), results, operator.sub, other=others), as_task)
    assert results[: len(items)] == list(map(operator.sub, items, others))
    result_of(transform(policy, items, items, operator.add, other=3), as_task)  # in place, with a number
    result_of(transform(policy, items, items, operator.sub, other=results[: len(items)]), as_task)
    assert items == [index + 3 for index in range(len(items))]


@given(st.data(), numbers, shapes, st.booleans())
def test_reductions(data: st.DataObject, items: list[int], shape: str, as_task: bool) -> None:
    policy = tagged(data.draw(policies()), as_task)
    make = SHAPES[shape]
    assert result_of(reduce(policy, make(items)), as_task) == sum(items)
    words = list(map(str, items))
    assert result_of(reduce(policy, make(words), init="<", op=joined), as_task) == "<" + "".join(words)
    matrices = [(x % 7, 1, x % 3, 2) for x in items]
    start = (3, 1, 4, 1)
    wanted = functools.reduce(multiplied, matrices, start)
    assert result_of(reduce(policy, make(matrices), init=start, op=multiplied), as_task) == wanted
    if items:
        assert result_of(reduce(policy, make(items), init=None, op=min), as_task) == min(items)
        assert result_of(reduce(policy, make(words), init=None, op=joined), as_task) == "".join(words)
    found = transform_reduce(policy, make(items), init="", reduce_op=joined, transform_op=str)
    assert result_of(found, as_task) == "".join(words)
    found = transform_reduce(
        policy, make(items), other=range(len(items)), init=5, reduce_op=operator.add, transform_op=operator.mul
    )
    assert result_of(found, as_task) == 5 + sum(map(operator.mul, items, range(len(items))))


def test_nothing_to_reduce() -> None:
    for policy in (seq, par):
        assert reduce(policy, []) == 0
        assert reduce(policy, iter(()), init=3) == 3
        for source in ([], iter([])):
            with pytest.raises(ValueError, match="give an init, or at least one element"):
                reduce(policy, source, init=None)
            with pytest.raises(ValueError, match="give an init"):
                transform_reduce(policy, source, init=None, reduce_op=max, transform_op=abs)


def test_init_goes_in_once() -> None:
    for chunks in CHUNKS:
        assert reduce(par.with_(chunks).on(POOLS[2]), [1] * 100, init=1000) == 1100


@given(st.data(), numbers, shapes, st.booleans(), st.integers(-60, 60))
def test_searches(data: st.DataObject, items: list[int], shape: str, as_task: bool, value: int) -> None:
    policy = tagged(data.draw(policies()), as_task)
    make = SHAPES[shape]

    def is_it(x: int) -> bool:
        return x > value

    index = items.index(value) if value in items else -1
    assert result_of(count(policy, make(items), value), as_task) == items.count(value)
    assert result_of(count_if(policy, make(items), is_it), as_task) == sum(map(is_it, items))
    assert result_of(find(policy, make(items), value), as_task) == index
    first = next((number for number, x in enumerate(items) if is_it(x)), -1)
    assert result_of(find_if(policy, make(items), is_it), as_task) == first
    assert result_of(any_of(policy, make(items), is_it), as_task) is any(map(is_it, items))
    assert result_of(all_of(policy, make(items), is_it), as_task) is all(map(is_it, items))
    assert result_of(none_of(policy, make(items), is_it), as_task) is not any(map(is_it, items))


@given(st.data(), numbers, shapes, st.booleans())
def test_fills_and_copies(data: st.DataObject, items: list[int], shape: str, as_task: bool) -> None:
    policy = tagged(data.draw(policies()), as_task)
    make = SHAPES[shape]
    results: list[Any] = [None] * (len(items) + 2)
    result_of(copy(policy, make(items), results), as_task)
    assert results == [*items, None, None]
    chosen = [x for x in items if x % 3 == 0]
    assert result_of(copy_if(policy, make(items), results, lambda x: x % 3 == 0), as_task) == len(chosen)
    assert results == [*chosen, *items[len(chosen) :], None, None]
    number = data.draw(st.integers(0, len(items)))
    result_of(fill_n(policy, results, number, "x"), as_task)
    assert results[:number] == ["x"] * number
    assert "x" not in results[number:]
    result_of(fill(policy, results, 7), as_task)
    assert results == [7] * len(results)
    result_of(iota(policy, results, 5, -2), as_task)
    assert results == [5 - 2 * index for index in range(len(results))]


@given(st.data(), numbers, shapes, st.booleans())
def test_scans(data: st.DataObject, items: list[int], shape: str, as_task: bool) -> None:
    policy = tagged(data.draw(policies()), as_task)
    make = SHAPES[shape]
    results: list[Any] = [None] * len(items)
    result_of(inclusive_scan(policy, make(items), results), as_task)
    assert results == list(itertools.accumulate(items))
    result_of(exclusive_scan(policy, make(items), results, init=4), as_task)
    assert results == list(itertools.accumulate(items, initial=4))[:-1]
    matrices = [(x % 7, 1, x % 3, 2) for x in items]
    start = (3, 1, 4, 1)
    result_of(inclusive_scan(policy, make(matrices), results, op=multiplied, init=start), as_task)
    assert results == list(itertools.accumulate(matrices, multiplied, initial=start))[1:]
    result_of(exclusive_scan(policy, matrices, matrices, op=multiplied, init=start), as_task)  # in place
    assert matrices == [start, *results][: len(items)]


@given(st.data(), numbers, st.booleans(), st.booleans())
def test_sorts(data: st.DataObject, items: list[int], as_task: bool, reverse: bool) -> None:
    policy = tagged(data.draw(policies()), as_task)
    for algorithm in (sort, stable_sort):
        mine = list(items)
        assert result_of(algorithm(policy, mine, reverse=reverse), as_task) is None
        assert mine == sorted(items, reverse=reverse)
        pairs = list(enumerate(items))
        result_of(algorithm(policy, pairs, key=lambda pair: pair[1] // 10, reverse=reverse), as_task)
        assert pairs == sorted(enumerate(items), key=lambda pair: pair[1] // 10, reverse=reverse)


def test_large_ranges() -> None:
    """Many parts in a chunk, many chunks in a hand."""
    count = 100_003
    for chunks in [*CHUNKS[:2], *CHUNKS[3:4], *CHUNKS[5:]]:
        policy = par.with_(chunks).on(POOLS[2])
        squares: list[Any] = [None] * count
        transform(policy, range(count), squares, lambda x: x * x)
        assert squares == [x * x for x in range(count)]
        assert reduce(policy, iter(squares)) == sum(squares)
        assert find(policy, squares, 90_000**2) == 90_000
