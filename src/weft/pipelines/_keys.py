"""The keys of cached results: a digest of a step's function and of the keys of what it takes.

What comes from outside has the digest of its value for a key. What comes from a step has a key made of that step's, so
that it can be known before the step has run, or without. What comes from a step that is not cached, which may give
something else each time, has the digest of its value again.

An input that all items share is looked at once for each call: it is not to be changed while that runs.
Any thread may use one of these, and several at a time. Pinned by tests/pipelines/test_cache.py.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from weft.pipelines._digests import NoDigest, digest_of, function_digest, joined

if TYPE_CHECKING:
    from weft.pipelines._plan import Step
    from weft.pipelines._work import Work

__all__ = ["Keys"]

logger = logging.getLogger("weft.pipelines")

_FORMAT = b"weft 1"
"""Changes when a key, or what is kept under it, is made otherwise."""

_TOLD_BY_EQUALITY = frozenset({int, str, bytes, bool, type(None)})  # 0.0 equals -0.0
_SMALL = 64  # characters
_KNOWN = 1024  # sets of inputs


class Keys:
    """The keys of one call's results. Function digests are taken when this is made.

    Args:
        work: What is to be done.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._inner = {index: Keys(inner) for index, inner in work.inner.items() if inner.caches} if work.inner else {}
        self._functions: list[bytes | None] = [None] * len(work.options)
        for step in work.cached_steps:
            self._functions[step.index] = self._of_function(step)
        self._size = work.plan.size
        self._parameters = work.keyed_parameters
        self._seen: dict[int, tuple[object, bytes | None]] = {}
        self._told: set[str] = set()

    def __reduce__(self) -> Any:
        raise TypeError("keys are made anew where they are used")

    def inner(self, index: int) -> Keys | None:
        """Those of a step that is a pipeline mapped over items."""
        return self._inner.get(index)

    def ahead(self, values: list[Any]) -> list[bytes | None]:
        """The keys of all slots, as far as they can be known before anything has run.

        Those that were made last for inputs that are small and plain are kept with the work: most of what a hit costs
        is to make them.
        """
        known, small = self._work.known_keys, self._small(values)
        found = None if small is None else known.get(small)
        if found is not None:
            return [*found]
        keys = self.start(values)
        for step in self._work.cached_steps:
            if None not in [keys[slot] for slot in step.args]:
                self.of_step(step, values, keys)
        if small is not None:
            if len(known) >= _KNOWN:
                known.clear()
            known[small] = (*keys,)
        return keys

    def _small(self, values: list[Any]) -> tuple[Any, ...] | None:
        """What the keys are made of, if it is told from others by being equal and of the same type."""
        parts: list[Any] = [*self._functions]
        for _, slot, _ in self._parameters:
            value: object = values[slot]
            kind = type(value)
            if kind not in _TOLD_BY_EQUALITY or ((kind is str or kind is bytes) and len(cast("str", value)) > _SMALL):
                return None
            parts += kind, value
        return (*parts,)

    def start(self, values: list[Any]) -> list[bytes | None]:
        """The keys of all slots at the beginning: those of what comes from outside."""
        keys: list[bytes | None] = [None] * self._size
        for name, slot, _ in self._parameters:
            value = values[slot]
            seen = self._seen.get(slot)
            if seen is not None and seen[0] is value:
                keys[slot] = seen[1]
                continue
            try:
                key = digest_of(value)
            except NoDigest as error:
                key = None
                self._tell(f"input {name!r} holds something that cannot be told from others ({error})")
            keys[slot] = key
            self._seen[slot] = value, key
        return keys

    def of_step(self, step: Step, values: list[Any], keys: list[bytes | None]) -> bytes | None:
        """The key of a step, which is put where those of its outputs are; None if it has none.

        What it takes has to be there as far as that has no key.
        """
        function = self._functions[step.index]
        if function is None or not step.outs:
            return None
        parts: list[bytes] = [_FORMAT, function]
        for slot in step.args:
            key = keys[slot]
            if key is None:
                try:
                    key = keys[slot] = digest_of(values[slot])
                except NoDigest as error:
                    name = step.names[step.args.index(slot)]
                    self._tell(f"node {step.path!r} takes {name!r}, which cannot be told from others ({error})")
                    return None
            parts.append(key)
        if step.single:
            made = keys[step.outs[0]] = joined(b"", *parts)
            return made
        for position, slot in enumerate(step.outs):
            keys[slot] = joined(b"%d " % position, *parts)
        return keys[step.outs[0]]

    def parts(self, step: Step, keys: list[bytes | None]) -> bytes:
        """What the key of a step is made of: the function, then the inputs, each so long as a digest."""
        return b"".join([self._functions[step.index] or b"", *(keys[slot] or b"" for slot in step.args)])

    def _of_function(self, step: Step) -> bytes | None:
        try:
            return function_digest(step.fn)
        except NoDigest as error:
            logger.warning("node %r is not cached: its function cannot be told from others (%s)", step.path, error)
            return None

    def _tell(self, what: str) -> None:
        """Once for each thing and call."""
        if what not in self._told:
            self._told.add(what)
            logger.warning("%s, so what is made of it is not cached; give it a __cache_key__", what)
