"""Who the running code belongs to: `current_actor`.

A context variable, so that actors that are threads of one interpreter each have their own; where there is none, since
a thread was started by hand, the actor that the whole interpreter is.
Pinned by tests/actors/test_nursery.py.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Actor", "be", "current_actor"]


@dataclass(frozen=True, slots=True)
class Actor:
    """An actor, as its own code sees it.

    Attributes:
        name: The name that it was started with.
        path: The names of those above it, the outermost first, and its own.
        spawn: The method that it was started by; None for the program itself.

    Example:
        >>> from weft.actors import current_actor
        >>> current_actor().path
        ('root',)
    """

    name: str
    path: tuple[str, ...]
    spawn: str | None


_current: ContextVar[Actor] = ContextVar("weft.current_actor")
_whole = Actor("root", ("root",), None)


def current_actor() -> Actor:
    """The actor that runs the caller.

    Returns:
        The actor; the program itself is one too, by the name of ``root``.

    Example:
        >>> from weft.actors import current_actor
        >>> current_actor().name
        'root'
    """
    return _current.get(_whole)


def be(actor: Actor, *, alone: bool) -> None:
    """The calling thread's context, and what it starts, is this actor's from now on.

    Args:
        actor: The actor.
        alone: Whether the whole interpreter is its.
    """
    global _whole
    _current.set(actor)
    if alone:
        _whole = actor
