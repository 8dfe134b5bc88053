"""From a policy to the threads: runs the chunks of a range in the caller or in a region, now or as a task.

What each algorithm does here, in order: it checks its arguments, so that a mistake is raised in the caller under every
policy; then `launch` runs it, or submits it as one task whose future it returns. That task is then the thread that
asks: it takes part in its own region like any caller.
Pinned by tests/parallel/test_policies.py.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from weft.execution import Policy, TaskPolicy
from weft.parallel._chunks import Whole, Work
from weft.parallel._feeds import feed, has_gil
from weft.parallel._region import Region
from weft.parallel._sources import Indexed, indexed

if TYPE_CHECKING:
    from weft.executors._pool import PoolExecutor

type AnyPolicy = Policy | TaskPolicy


def check_policy(policy: object) -> None:
    """Raises TypeError if it is none: most often somebody forgot it."""
    if not isinstance(policy, Policy | TaskPolicy):
        raise TypeError(f"the first argument must be a policy, such as weft.execution.par, not {policy!r}")


def check_callable(name: str, function: object) -> None:
    """Raises TypeError if it cannot be called."""
    if not callable(function):
        raise TypeError(f"{name} must be callable, not {function!r}")


def check_iterable(name: str, source: object) -> None:
    """Raises TypeError if there is nothing to iterate over."""
    if not hasattr(type(source), "__iter__") and not hasattr(type(source), "__getitem__"):
        raise TypeError(f"{name} must be iterable, not {source!r}")


def pool_of(policy: AnyPolicy) -> PoolExecutor:
    """The policy's pool, or the default one.

    Raises:
        RuntimeError: it is shut down, or is the parent's in a forked child.
    """
    if policy.executor is not None:
        return policy.executor
    from weft.futures._default import default_executor

    return default_executor()


def _named(pool: PoolExecutor, name: str) -> PoolExecutor:
    """A view of the pool whose tasks bear the algorithm's name, unless the user has options of their own."""
    return pool.options(name=name) if pool._task_options() is None else pool


def launch(policy: AnyPolicy, name: str, algorithm: Callable[..., Any], *arguments: Any) -> Any:
    """`algorithm(*arguments)`: its result, or with the tag `task` its future."""
    if policy.task:
        return _named(pool_of(policy), name).submit(algorithm, *arguments)
    return algorithm(*arguments)


def run_chunks[R](
    policy: AnyPolicy,
    name: str,
    source: Iterable[Any] | Indexed,
    work: Callable[[Work], R],
    found: Callable[[R], int] | None = None,
) -> list[R]:
    """The results of `work` for each chunk of the source, in order.

    Args:
        policy: how.
        name: the algorithm's, which its tasks bear.
        source: what the chunks are made of. An iterator is read by this thread, and no further than needed.
        work: called with one chunk; runs its loop.
        found: from a result the index of what was looked for, or a negative number; ends the work behind it.

    Raises:
        BaseException: what the element of the lowest index raised.
        RuntimeError: the policy's pool is shut down.
    """
    if not policy.parallel:
        if not isinstance(source, Indexed):
            # Others have an order of their own to be read in, which a plain loop follows to the letter.
            known = indexed(source) if type(source) in (list, tuple, range) else None
            source = source if known is None else known
        return [contextvars.copy_context().run(work, Whole(source))]
    pool = pool_of(policy)
    if not pool._is_open():
        raise RuntimeError("cannot schedule new futures after shutdown")
    if not isinstance(source, Indexed):
        known = indexed(source)
        source = iter(source) if known is None else known
    return Region(_named(pool, name), feed(policy, source, pool.max_workers), work, found).run()


def in_one_piece(policy: AnyPolicy) -> bool:
    """Whether an algorithm that does more work in order to do it in parallel had better not.

    Under `seq`, on a pool of one, and with a GIL where the caller has not said how to cut the range.
    """
    return not policy.parallel or (policy.chunk_name == "auto" and has_gil()) or pool_of(policy).max_workers == 1
