"""Weak registries: which objects of a kind there are, for what concerns them all.

One such thing is `os.fork`: another thread may have held an object's lock, and in the child nobody gives it back.
Pinned by tests/executors/test_fork.py.
"""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """What a forked child has to put right."""

    def after_fork_in_child(self) -> None:
        """Makes the object usable, or refuse its use, whatever other threads were doing with it. Must not block."""


class Live[T: Forkable]:
    """The objects that were added and still exist. They are told of a fork.

    Not a `weakref.WeakSet`, which free threads may not walk while it changes, and which forgets an object in Python
    code: an interrupt of the task that dropped the object would be raised in there, and swallowed.
    """

    def __init__(self) -> None:
        self._references: set[weakref.ref[T]] = set()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork_in_child)

    def add(self, one: T) -> None:
        """Any thread."""
        reference = weakref.ref(one, self._references.discard)
        hash(reference)  # it is the object's, asked for while there is one
        self._references.add(reference)

    def all(self) -> list[T]:
        """Any thread; those that others add or drop meanwhile may be among them or not."""
        return [one for reference in self._references.copy() if (one := reference()) is not None]

    def _after_fork_in_child(self) -> None:
        for one in self.all():
            one.after_fork_in_child()
