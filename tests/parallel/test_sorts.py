"""Sorting: as `list.sort` in all that can be seen, and in pieces where that is asked for."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parallel.conftest import CHUNKS, Pools
from weft.execution import dynamic_chunk_size, par, static_chunk_size
from weft.executors import ThreadPoolExecutor
from weft.parallel import sort, stable_sort
from weft.parallel._sorts import _cut, _merge


class Comparable:
    """Has `<` and nothing else, and counts."""

    compared = 0

    def __init__(self, value: int, number: int = 0) -> None:
        self.value = value
        self.number = number

    def __lt__(self, other: "Comparable") -> bool:
        Comparable.compared += 1
        return self.value < other.value

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a sort must not ask for equality")


@pytest.mark.parametrize("algorithm", [sort, stable_sort])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("key", [None, lambda one: one.value // 3])
def test_only_less_than_is_used_and_equal_ones_keep_their_order(
    algorithm: Any, reverse: bool, key: Any, pools: Pools, rng: random.Random
) -> None:
    for length in (0, 1, 2, 10, 500, 5000):
        items = [Comparable(rng.randrange(length // 4 + 1), number) for number in range(length)]
        wanted = [one.number for one in sorted(items, key=key, reverse=reverse)]
        for policy in pools.policies():
            if length > 500 and policy.chunk_size and policy.chunk_size < 100:
                policy = policy.with_(dynamic_chunk_size(331))
            mine = list(items)
            algorithm(policy, mine, key=key, reverse=reverse)
            assert [one.number for one in mine] == wanted


def test_the_key_is_made_once(pools: Pools) -> None:
    for policy in pools.policies():
        asked: list[int] = []
        items = [(7 * x) % 101 for x in range(101)]
        sort(policy, items, key=lambda x, asked=asked: (asked.append(x), -x)[1])
        assert items == list(range(100, -1, -1))
        assert sorted(asked) == list(range(101))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, StopIteration])
def test_an_exception_leaves_the_list_as_it_was(error: Any, four: ThreadPoolExecutor) -> None:
    class Touchy(Comparable):
        def __lt__(self, other: Comparable) -> bool:
            if 50 in (self.value, other.value):
                raise error("not me")
            return super().__lt__(other)

    items = [Touchy((7 * x) % 101) for x in range(101)]
    before = list(items)
    for chunks in CHUNKS:
        for key in (None, lambda one: one):
            with pytest.raises(error, match="not me"):
                sort(par.with_(chunks).on(four), items, key=key)
            assert all(a is b for a, b in zip(items, before, strict=True))


def test_what_cannot_be_compared(pools: Pools) -> None:
    for policy in pools.policies():
        with pytest.raises(TypeError, match="not supported between"):
            sort(policy, [1, 2, "three", 4] * 10)


def test_a_list_that_changes_meanwhile(pools: Pools) -> None:
    for policy in pools.policies():
        items = list(range(100, 0, -1))

        def key(x: int, items: list[int] = items) -> int:
            if x == 50:
                items.append(0)
            return x

        with pytest.raises(ValueError, match="list modified during sort"):
            sort(policy, items, key=key)


@given(
    st.lists(st.integers(0, 20), max_size=60),
    st.lists(st.integers(0, 20), max_size=60),
    st.integers(1, 9),
    st.booleans(),
)
def test_a_pair_of_runs_in_pieces(left: list[int], right: list[int], pieces: int, keyed: bool) -> None:
    """Merged piece by piece they are what merging them whole is, equal elements of the left run first."""
    by: Callable[[Any], Any] | None = (lambda x: x[0]) if keyed else None
    ours: list[Any] = sorted((x, "left", n) for n, x in enumerate(left)) if keyed else sorted(left)
    theirs: list[Any] = sorted((x, "right", n) for n, x in enumerate(right)) if keyed else sorted(right)
    cuts = _cut(ours, theirs, by, pieces)
    merged = [x for number in range(len(cuts)) for x in _merge(cuts, number, by)]
    assert merged == sorted(ours + theirs, key=by)


def test_merging_takes_few_comparisons(four: ThreadPoolExecutor, rng: random.Random) -> None:
    """Runs are found as runs: not much more than n log n in all."""
    items = [Comparable(rng.randrange(10**6)) for _ in range(20_000)]
    Comparable.compared = 0
    sorted(items)
    plain = Comparable.compared
    Comparable.compared = 0
    sort(par.with_(static_chunk_size()).on(four), items)
    print(f"{plain} comparisons by sorted(), {Comparable.compared} in pieces")
    assert Comparable.compared < 1.5 * plain
    assert all(a.value <= b.value for a, b in zip(items, items[1:], strict=False))
