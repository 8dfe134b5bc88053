"""Algorithms inside of algorithms and of tasks, on one pool: none waits for ever (invariant 5)."""

from concurrent.futures import wait
from typing import Any

import pytest

import weft
from tests.parallel.conftest import CHUNKS, Pools
from weft.execution import dynamic_chunk_size, par, task
from weft.executors import ThreadPoolExecutor
from weft.parallel import for_each, for_loop, reduce, sort, transform, transform_reduce

pytestmark = pytest.mark.invariant(5)


@pytest.mark.parametrize("chunks", CHUNKS, ids=repr)
def test_three_deep(chunks: Any, pools: Pools) -> None:
    for pool in pools.all():
        policy = par.with_(chunks).on(pool)

        def total(depth: int, policy: Any = policy) -> int:
            if depth == 0:
                return 1
            return transform_reduce(
                policy, range(6), init=0, reduce_op=int.__add__, transform_op=lambda _: total(depth - 1)
            )

        assert total(3) == 216
        assert pool.submit(total, 3).result(30) == 216


def test_as_tasks_of_tasks(pools: Pools) -> None:
    for pool in pools.all():
        policy = par.on(pool).with_(dynamic_chunk_size(1))

        def total(depth: int, policy: Any = policy) -> int:
            if depth == 0:
                return 1
            futures = [
                reduce(policy(task), range(3)),
                transform_reduce(
                    policy(task), range(4), init=0, reduce_op=int.__add__, transform_op=lambda _: total(depth - 1)
                ),
            ]
            assert not wait(futures, 30).not_done
            return futures[1].result()

        assert pool.submit(total, 3).result(30) == 64


def test_many_tasks_of_a_pool_each_with_an_algorithm(pools: Pools) -> None:
    for pool in pools.all():

        def work(number: int, pool: Any = pool) -> int:
            numbers = list(range(200, 0, -1))
            sort(par.on(pool).with_(dynamic_chunk_size(50)), numbers)
            squares = [0] * 200
            transform(par.on(pool), numbers, squares, lambda x: x * x)
            return squares[number]

        assert list(pool.map(work, range(50), chunksize=1)) == [(n + 1) ** 2 for n in range(50)]


def test_on_the_default_pool() -> None:
    def outer(_: int) -> int:
        return reduce(par, range(100))

    futures = [weft.async_(outer, number) for number in range(20)]
    assert [future.result(30) for future in futures] == [4950] * 20
    sums = [0] * 20
    for_loop(par, 0, 20, lambda i: sums.__setitem__(i, outer(i)))
    assert sums == [4950] * 20


def test_a_source_that_is_made_on_the_same_pool(pools: Pools) -> None:
    for pool in pools.all():
        for chunks in CHUNKS:
            seen: list[int] = []
            for_each(par.with_(chunks).on(pool), pool.map(abs, range(-100, 0), buffersize=10), seen.append)
            assert sorted(seen) == list(range(1, 101))


def test_a_task_that_waits_for_another_pool_that_waits_for_this_one() -> None:
    with ThreadPoolExecutor(1) as left, ThreadPoolExecutor(1) as right:

        def bounce(depth: int) -> int:
            if depth == 0:
                return 1
            pool = left if depth % 2 else right
            return transform_reduce(
                par.on(pool), range(3), init=0, reduce_op=int.__add__, transform_op=lambda _: bounce(depth - 1)
            )

        assert bounce(6) == 3**6


def test_a_long_chain_of_tasks(pools: Pools) -> None:
    """Helpers submit their successors: as many as there are chunks, at no depth."""
    for pool in pools.all():
        policy = par.on(pool).with_(dynamic_chunk_size(1))
        assert reduce(policy, range(20_000)) == sum(range(20_000))
