"""A plan together with how its steps are to be run: what a worker needs to run an item, and can be sent.

`Work` is pickled as its plan and its options, once for all tasks that name it: a worker keeps what it has made of it,
under the token, and knows it again the next time. In the process that made it, it is itself.

Any thread. Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4
from weakref import WeakValueDictionary

from weft._locks import Guard
from weft.pipelines._places import goes_elsewhere
from weft.pipelines._plan import InnerMap, Plan

if TYPE_CHECKING:
    from weft.config import RuntimeConfig
    from weft.pipelines._cache import Cache
    from weft.pipelines._node import RetryOn
    from weft.pipelines._plan import Parameter, Step

__all__ = ["Options", "Work", "work_for", "work_here"]

KEPT = 64
"""Works of other processes that a worker remembers."""


class Options(NamedTuple):
    """How one step is run.

    Attributes:
        retries: How many more times it is tried.
        timeout: What it may take, in seconds.
        retry_on: What is worth another try.
        backoff: Seconds before the first retry.
        cache: Where its results are kept, or None.
    """

    retries: int
    timeout: float | None
    retry_on: RetryOn
    backoff: float
    cache: Cache | None


@dataclass(eq=False)
class Work:
    """A plan, and the options of its steps.

    Attributes:
        plan: The plan.
        options: Those of each step.
        inner: The works of steps that are pipelines mapped over items.
    """

    plan: Plan
    options: tuple[Options, ...]
    inner: dict[int, Work]
    _packed: bytes | None = None
    _packed_far: bytes | None = None

    @cached_property
    def token(self) -> str:
        """What tells it from all others, in any process. Asked for when it is sent."""
        token = uuid4().hex
        _ours[token] = self
        return token

    @cached_property
    def is_plain(self) -> bool:
        """Whether calling the functions is all there is to do."""
        return (
            not self.plan.is_async
            and not any(one.retries or one.timeout or one.cache is not None for one in self.options)
            and all(one.is_plain for one in self.inner.values())
        )

    @cached_property
    def caches(self) -> tuple[Cache, ...]:
        """The caches that its steps use."""
        found = {id(one.cache): one.cache for one in self.options if one.cache is not None}
        for inner in self.inner.values():
            found |= {id(cache): cache for cache in inner.caches}
        return tuple(found.values())

    @cached_property
    def known_keys(self) -> dict[tuple[Any, ...], tuple[bytes | None, ...]]:
        """What `_keys.Keys` has made for inputs that come again."""
        return {}

    @cached_property
    def cached_steps(self) -> tuple[Step, ...]:
        """The steps that have a cache."""
        return tuple(step for step, one in zip(self.plan.steps, self.options, strict=True) if one.cache is not None)

    @cached_property
    def keyed_parameters(self) -> tuple[Parameter, ...]:
        """What comes from outside and goes into such a step."""
        taken = {slot for step in self.cached_steps for slot in step.args}
        return tuple(one for one in self.plan.parameters if one.slot in taken)

    def packed(self) -> bytes:
        """The work in bytes.

        Raises:
            PayloadError: A function in it cannot be sent; the error names the node.
            MissingDependency: One can only go by value, and cloudpickle is not installed.
        """
        if self._packed is None:
            from weft.pipelines._sending import pack

            self._packed = pack(self.plan, (self.plan, self.options, self.inner))
        return self._packed

    def packed_far(self) -> bytes:
        """The same for a worker on a cluster, whose ``__main__`` is not ours."""
        if self._packed_far is None:
            from weft.pipelines._sending import pack

            self._packed_far = pack(self.plan, (self.plan, self.options, self.inner), far=True)
        return self._packed_far

    def __reduce__(self) -> Any:
        return _received, (self.token, self.packed())

    def __reduce_far__(self) -> Any:
        return _received, (self.token, self.packed_far())


_guard = Guard()
_ours: WeakValueDictionary[str, Work] = WeakValueDictionary()
_kept: OrderedDict[str, Work] = OrderedDict()


def _received(token: str, packed: bytes) -> Work:
    found = _ours.get(token)
    if found is None:
        from weft._payloads.pickling import load

        plan, options, inner = load(packed)
        found = Work(plan, options, inner, packed, packed)  # packed again by workers of a worker's own
        found.token = token
        _ours[token] = found
    _guard(_keep_lock_held, token, found)
    return found


def _keep_lock_held(token: str, work: Work) -> None:
    _kept[token] = work
    _kept.move_to_end(token)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)


def work_for(plan: Plan, config: RuntimeConfig, *, forced: bool) -> Work:
    """The work that is to be done, by the configurations that count.

    Args:
        plan: The plan.
        config: The configuration that counts for what has none of its own.
        forced: It counts for all: it is that of the call.
    """
    from weft.pipelines._cache import checked_cache

    options: list[Options] = []
    inner: dict[int, Work] = {}
    for step in plan.steps:
        own = config if forced or step.config is None else step.config
        if isinstance(step.fn, InnerMap):
            inner[step.index] = work_for(step.fn.plan, own, forced=forced)
            options.append(Options(0, None, Exception, 0.1, None))
            continue
        options.append(
            Options(
                own.retries if step.retries is None else step.retries,
                own.timeout if step.timeout is None else step.timeout,
                step.retry_on,
                step.backoff,
                checked_cache(own.cache) if step.cache else None,
            )
        )
    return Work(plan, tuple(options), inner)


def work_here(plan: Plan, config: RuntimeConfig, *, forced: bool) -> Work | None:
    """The work, if it is done in the calling thread by functions that return, and nobody is told; see `work_for`.

    The last one is kept with the plan: it is never sent, and holds nothing that a call may change.
    """
    kept = plan.kept
    if kept is not None and kept[0] is config and kept[1] is forced:
        return kept[2]
    from weft.pipelines._cache import CacheSpec

    work = None
    if not (config.backend or config.callbacks or plan.is_async or goes_elsewhere(plan, config, forced=forced)):
        work = work_for(plan, config, forced=forced)
    # What a specification stands for may be closed, and made again.
    if not any(
        isinstance(one.cache, CacheSpec) for one in (config, *(step.config for step in plan.all_steps())) if one
    ):
        plan.kept = config, forced, work
    return work
