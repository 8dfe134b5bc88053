"""Decisions: the record of why an executor was chosen, who is told, and which was the last.

Invariant 9: what was decided can be read. Every executor that weft chooses for a user passes through
`record`, with a reason code that programs can test and a sentence that people can read.

Process wide. Any thread may call anything, on both builds: the tuple of listeners is never changed, only
replaced under the lock, so that `record` calls them without holding it. A listener is the user's code: it
runs on the thread that decided, may add and remove listeners, and may raise, which is logged to
``weft.decisions`` while the other listeners still hear of the decision.
Pinned by tests/test_decisions.py.
"""

import logging
import os
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

logger = logging.getLogger("weft.decisions")

type Listener = Callable[[Decision], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Why an executor was chosen. Immutable, picklable, plain data.

    Attributes:
        requested: The flavor that was asked for, such as "auto".
        resolved: The flavor that was taken, such as "threads"; "other" for an unknown executor.
        reason: Why, in a sentence for people.
        code: Why, in a word for programs; docs/run.md lists them.
        evidence: What the decision was based on: names and plain values.
        name: The name of the scope that asked, or None.
        max_workers: How many workers there are at most; None where the executor does not tell.
        thread_mode: "gil" or "nogil": what the decision took this Python for.

    Example:
        >>> import weft
        >>> with weft.Run(flavor="serial", name="nightly") as executor:
        ...     decision = weft.last_decision()
        >>> decision.resolved, decision.code, decision.name
        ('serial', 'flavor_requested', 'nightly')
    """

    requested: str
    resolved: str
    reason: str
    code: str
    evidence: Mapping[str, object] = field(default_factory=dict[str, object], hash=False)
    name: str | None = None
    max_workers: int | None = None
    thread_mode: str = "gil"

    def as_dict(self) -> dict[str, object]:
        """Gives the decision as a dictionary of plain values, fit for JSON.

        Returns:
            A new dictionary, field by field.

        Example:
            >>> import weft
            >>> with weft.Run(flavor="serial"):
            ...     weft.last_decision().as_dict()["resolved"]
            'serial'
        """
        return {
            "requested": self.requested,
            "resolved": self.resolved,
            "reason": self.reason,
            "code": self.code,
            "evidence": dict(self.evidence),
            "name": self.name,
            "max_workers": self.max_workers,
            "thread_mode": self.thread_mode,
        }

    def __str__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        workers = "" if self.max_workers is None else f", at most {self.max_workers} workers"
        return f"Run{name}: {self.requested} -> {self.resolved} [{self.code}]{workers}: {self.reason}"


# Reentrant: comparing listeners runs `__eq__` of the user, who may add or remove one there.
_lock = threading.RLock()
_listeners: tuple[Listener, ...] = ()
_last: Decision | None = None


def last_decision() -> Decision | None:
    """Gives the decision last taken in this process, by any thread.

    Returns:
        The decision; None before the first, and after `weft.reset()`.

    Example:
        >>> import weft
        >>> with weft.Run(flavor="serial"):
        ...     print(weft.last_decision().resolved)
        serial
    """
    return _last


def add_decision_listener(listener: Listener) -> None:
    """Has a function called with each decision from now on. Adding it twice is adding it once.

    It runs on the thread that decided, before the executor is handed out. What it raises is logged.

    Args:
        listener: Called with the `Decision`.

    Raises:
        TypeError: ``listener`` cannot be called.

    Example:
        >>> import weft
        >>> def listener(decision: weft.Decision) -> None:
        ...     print(decision.name, "runs on", decision.resolved)
        >>> weft.add_decision_listener(listener)
        >>> with weft.Run(flavor="serial", name="nightly"):
        ...     pass
        nightly runs on serial
        >>> weft.remove_decision_listener(listener)
    """
    if not callable(listener):
        raise TypeError(f"a decision listener is called with a Decision; {listener!r} cannot be called")
    global _listeners
    with _lock:
        if listener not in _listeners:
            _listeners = (*_listeners, listener)


def remove_decision_listener(listener: Listener) -> None:
    """Undoes `add_decision_listener`. Nothing happens if the function is not a listener.

    Args:
        listener: The function.

    Example:
        >>> import weft
        >>> weft.remove_decision_listener(print)
    """
    global _listeners
    with _lock:
        _listeners = tuple(other for other in _listeners if other != listener)


@contextmanager
def observe_decisions() -> Generator[list[Decision]]:
    """Collects the decisions that are taken, by any thread, while the block runs.

    Yields:
        A list that grows, and is whole when the block ends.

    Example:
        >>> import weft
        >>> with weft.observe_decisions() as decisions:
        ...     with weft.Run(flavor="serial", name="a"), weft.Run(flavor="serial", name="b"):
        ...         pass
        >>> [decision.name for decision in decisions]
        ['a', 'b']
    """
    decisions: list[Decision] = []

    def collect(decision: Decision) -> None:
        decisions.append(decision)

    add_decision_listener(collect)
    try:
        yield decisions
    finally:
        remove_decision_listener(collect)


def record(decision: Decision) -> None:
    """Makes a decision the last one, and tells the listeners."""
    global _last
    _last = decision
    for listener in _listeners:
        tell(listener, decision)


def tell(listener: Listener, decision: Decision) -> None:
    """Tells one listener; what it raises is logged."""
    try:
        listener(decision)
    except Exception:
        logger.exception("decision listener %r raised; the other listeners are not affected", listener)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def forget() -> None:
    """Forgets the last decision. Listeners stay: who added them can remove them."""
    global _last
    _last = None
