"""Futures made of futures. The standard library has none: its side is what people write by hand, with callbacks."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmarks.case import Case, Unit
from benchmarks.judge import Ratio
from benchmarks.peers import WORKERS


def _next(future: Any) -> Any:
    return future.result()


def _weft_chain(count: int) -> float:
    """Stages a second: a chain of `then`, from the first call to the last result."""
    from weft.executors import ThreadPoolExecutor

    with ThreadPoolExecutor(WORKERS) as pool:
        pool.submit(int).result()
        start = perf_counter()
        end: Any = pool.submit(int)
        for _ in range(count):
            end = end.then(_next)
        end.result()
        return count / (perf_counter() - start)


def _then_by_hand(
    pool: concurrent.futures.Executor, future: concurrent.futures.Future[Any], fn: Callable[[Any], Any]
) -> concurrent.futures.Future[Any]:
    following: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def run() -> None:
        try:
            following.set_result(fn(future))
        except BaseException as error:
            following.set_exception(error)

    future.add_done_callback(lambda _: pool.submit(run))
    return following


def _stdlib_chain(count: int) -> float:
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        pool.submit(int).result()
        start = perf_counter()
        end: concurrent.futures.Future[Any] = pool.submit(int)
        for _ in range(count):
            end = _then_by_hand(pool, end, _next)
        end.result()
        return count / (perf_counter() - start)


def _add(left: int, right: int) -> int:
    return left + right


def _levels(level: list[Any], join: Callable[[Any, Any], Any]) -> Any:
    while len(level) > 1:
        rest = level[-1:] if len(level) % 2 else []
        level = [join(left, right) for left, right in zip(level[::2], level[1::2], strict=False)] + rest
    return level[0]


def _weft_tree(count: int) -> float:
    """Nodes a second: a tree of `dataflow`, from the first leaf to the root's result."""
    import weft

    weft.init(threads=WORKERS)
    weft.async_(int).result()
    start = perf_counter()
    leaves = [weft.async_(int) for _ in range(count)]
    _levels(leaves, lambda left, right: weft.dataflow(_add, left, right)).result()
    return 2 * count / (perf_counter() - start)


def _join_by_hand(
    pool: concurrent.futures.Executor,
    left: concurrent.futures.Future[int],
    right: concurrent.futures.Future[int],
) -> concurrent.futures.Future[int]:
    joined: concurrent.futures.Future[int] = concurrent.futures.Future()
    lock = threading.Lock()
    missing = 2

    def run() -> None:
        try:
            joined.set_result(_add(left.result(), right.result()))
        except BaseException as error:
            joined.set_exception(error)

    def one_is_there(_: object) -> None:
        nonlocal missing
        with lock:
            missing -= 1
            ready = missing == 0
        if ready:
            pool.submit(run)

    left.add_done_callback(one_is_there)
    right.add_done_callback(one_is_there)
    return joined


def _stdlib_tree(count: int) -> float:
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        pool.submit(int).result()
        start = perf_counter()
        leaves = [pool.submit(int) for _ in range(count)]
        _levels(leaves, lambda left, right: _join_by_hand(pool, left, right)).result()
        return 2 * count / (perf_counter() - start)


CASES = (
    Case(
        name="then",
        work="a chain of 20,000 `then`, stages",
        unit=Unit.TASKS,
        sides={"weft": _weft_chain, "stdlib": _stdlib_chain},
        size=20_000,
        quick=4_000,
        judge=Ratio(12),
        note="by hand: a callback that submits, and a future of its own; held to the target of submit",
    ),
    Case(
        name="dataflow",
        work="a tree of 50,000 leaves joined by `dataflow`, nodes",
        unit=Unit.TASKS,
        sides={"weft": _weft_tree, "stdlib": _stdlib_tree},
        size=50_000,
        quick=5_000,
        note="by hand: a counter under a lock, and callbacks",
    ),
)
