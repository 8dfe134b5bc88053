"""Policies: what they say of themselves, how they combine, what they refuse, and that each runs where it says."""

import concurrent.futures
import copy
import itertools
import pickle
import threading
from typing import Any

import pytest

import weft
from tests.parallel.conftest import CHUNKS, Pools
from weft.errors import InvalidSetting
from weft.execution import (
    Policy,
    TaskPolicy,
    TaskTag,
    auto_chunk_size,
    dynamic_chunk_size,
    guided_chunk_size,
    par,
    par_unseq,
    seq,
    static_chunk_size,
    task,
    unseq,
)
from weft.executors import SerialExecutor, ThreadPoolExecutor
from weft.parallel import for_each, for_loop, reduce, sort, transform

FOUR = [seq, par, par_unseq, unseq]


@pytest.mark.parametrize("policy", FOUR, ids=repr)
def test_a_policy_can_be_read(policy: Policy) -> None:
    assert getattr(weft.execution, policy.name) is policy
    assert (policy.task, policy.chunk_name, policy.chunk_size, policy.executor) == (False, "auto", None, None)
    assert repr(policy) == policy.name
    assert policy.parallel == policy.name.startswith("par")


def test_every_order_of_combining_gives_the_same_policy() -> None:
    with ThreadPoolExecutor(1) as pool:
        steps = [lambda p: p(task), lambda p: p.with_(dynamic_chunk_size(8)), lambda p: p.on(pool)]
        made: list[Any] = []
        for order in itertools.permutations(steps):
            policy: Any = par
            for step in order:
                policy = step(policy)
            made.append(policy)
        assert all(policy == made[0] for policy in made)
        policy = made[0]
        assert (policy.name, policy.task, policy.chunk_name, policy.chunk_size) == ("par", True, "dynamic", 8)
        assert policy.executor is pool
        assert repr(policy) == f"par(task).with_(dynamic_chunk_size(8)).on({pool!r})"
    assert par == Policy("par")  # none of it has changed the one it began with


def test_the_last_word_counts() -> None:
    assert par.with_(static_chunk_size(3)).with_(auto_chunk_size()) == par
    assert par(task)(task) == par(task)
    with ThreadPoolExecutor(1) as pool:
        assert par.on(pool).on(None) == par


@pytest.mark.parametrize("policy", [*FOUR, *(p(task) for p in FOUR), *map(par.with_, CHUNKS)], ids=repr)
def test_a_policy_without_executor_can_be_pickled_copied_and_hashed(policy: Any) -> None:
    for other in (pickle.loads(pickle.dumps(policy)), copy.copy(policy), copy.deepcopy(policy)):
        assert other == policy
        assert hash(other) == hash(policy)
        assert repr(other) == repr(policy)
    assert eval(repr(policy), dict(vars(weft.execution))) == policy


def test_a_policy_with_an_executor_says_why_it_cannot_be_pickled() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(TypeError, match=r"cannot pickle par.*call on\(\) where"):
        pickle.dumps(par.on(pool))


def test_the_tag_stays_one() -> None:
    assert pickle.loads(pickle.dumps(task)) is task
    assert isinstance(task, TaskTag)
    assert repr(task) == "task"


@pytest.mark.parametrize("policy", [par, par(task), par.with_(static_chunk_size(3)).chunks], ids=repr)
def test_policies_do_not_change(policy: Any) -> None:
    for name in ("name", "executor", "new"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(policy, name, "other")


@pytest.mark.parametrize("make", [static_chunk_size, dynamic_chunk_size, guided_chunk_size])
def test_bad_sizes_are_refused(make: Any) -> None:
    for size in (0, -1, 2**80):
        with pytest.raises(InvalidSetting, match=make.__name__):
            make(size)
        with pytest.raises(ValueError, match="1 or more"):
            make(size)
    for size in (1.5, "3", True):
        with pytest.raises(TypeError, match=f"{make.__name__}: the size must be a whole number"):
            make(size)


def test_bad_combinations_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"takes the tag weft.execution.task"):
        par([3, 1, 2])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes the tag"):
        par(task)(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"with_\(\) takes a chunk size, such as static_chunk_size\(1000\), not 1000"):
        par.with_(1000)  # type: ignore[arg-type]
    with (
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        pytest.raises(TypeError, match="ThreadPoolExecutor or Serial"),
    ):
        par.on(pool)  # type: ignore[arg-type]


def test_a_forgotten_policy_is_named() -> None:
    with pytest.raises(TypeError, match=r"first argument must be a policy, such as weft.execution.par, not \[3, 1\]"):
        sort([3, 1], [])
    with pytest.raises(TypeError, match="first argument must be a policy"):
        reduce(None, [1, 2])


@pytest.mark.parametrize("policy", [seq(task), par(task), par_unseq(task), unseq(task)], ids=repr)
def test_task_gives_a_weft_future(policy: TaskPolicy, pools: Pools) -> None:
    for pool in [*pools.all(), None]:
        future = reduce(policy.on(pool), range(1000))
        assert isinstance(future, weft.Future)
        assert future.result(30) == 499500


def test_task_returns_before_the_work_is_done(two: ThreadPoolExecutor) -> None:
    gate = threading.Event()
    future = for_each(par(task).on(two), [gate] * 3, lambda gate: gate.wait(30))
    assert not future.done()
    gate.set()
    assert future.result(30) is None


@pytest.mark.parametrize("policy", [seq, unseq], ids=repr)
def test_in_order_is_in_the_caller(policy: Policy, two: ThreadPoolExecutor) -> None:
    seen: list[tuple[int, int]] = []
    for_loop(policy.on(two), 0, 100, lambda index: seen.append((index, threading.get_ident())))
    assert seen == [(index, threading.get_ident()) for index in range(100)]


def test_on_chooses_the_pool() -> None:
    with ThreadPoolExecutor(3, thread_name_prefix="chosen") as pool:
        names: set[str] = set()
        meet = threading.Barrier(3)

        def body(_: int) -> None:
            meet.wait(30)
            names.add(threading.current_thread().name.rpartition("_")[0])

        for_loop(par.on(pool), 0, 3, body)  # three at a time, of which one is the caller
        assert names == {"chosen", threading.current_thread().name.rpartition("_")[0]}


def test_a_view_of_a_pool_lends_its_options(two: ThreadPoolExecutor) -> None:
    with pytest.raises(TimeoutError):
        for_each(par(task).on(two.options(timeout=0.05)), [None] * 4, lambda _: _spin()).result(30)


def _spin() -> None:
    while True:
        pass


@pytest.mark.parametrize("policy", [par, par(task), seq(task)], ids=repr)
def test_a_pool_that_is_shut_down_refuses(policy: Any) -> None:
    for pool in (ThreadPoolExecutor(2), SerialExecutor()):
        pool.shutdown()
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            reduce(policy.on(pool), [1, 2, 3])


def test_the_work_sees_the_callers_context_and_leaves_it_alone(pools: Pools) -> None:
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("caller's")
    for policy in pools.policies():
        seen: list[str] = []

        def body(_: int, seen: list[str] = seen) -> None:
            seen.append(variable.get())
            variable.set("changed")

        for_loop(policy.with_(dynamic_chunk_size(1)), 0, 20, body)
        if policy.parallel:
            assert seen == ["caller's"] * 20
        assert seen[0] == "caller's"
        assert variable.get() == "caller's"


def test_arguments_are_checked_before_a_task_is_made() -> None:
    for policy in (seq, par, par(task)):
        with pytest.raises(TypeError, match="fn must be callable, not 3"):
            for_each(policy, [1], 3)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="it must be iterable, not 3"):
            for_each(policy, 3, print)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="last must be an integer, not 2.5"):
            for_loop(policy, 0, 2.5, print)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"dst has 1 elements, and the source 3: make it as long"):
            transform(policy, [1, 2, 3], [0], abs)
        with pytest.raises(TypeError, match="dst must be a list or another mutable sequence"):
            transform(policy, [1, 2, 3], (0, 0, 0), abs)  # type: ignore[arg-type]
