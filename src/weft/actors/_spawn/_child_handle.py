"""What a spawn method is given, and what it gives back.

`Start` is data and a socket. `Child` is what the actor lives in, as its parent holds it: how to interrupt it, how to
kill it, and how it ended. Methods of a child may be called by any thread; `interrupt` may block for as long as the
child holds its GIL, so a thread of its own calls it.
Pinned by tests/actors/test_spawn.py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from weft._locks import let_go
from weft.errors import Interrupted
from weft.executors._worker_threads import start_thread

__all__ = ["Child", "End", "Start", "ThreadChild"]


@dataclass(frozen=True, slots=True)
class Start:
    """What an actor is started with.

    Attributes:
        name: The actor's name, for the names of threads and processes.
        library: The event loop library that it is to run.
        end: Its end of the channel; the spawn method's own, to hand over and to close.
        setup: What it is told, for `weft.actors._child.live`.
    """

    name: str
    library: str
    end: socket.socket
    setup: bytes


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended.

    Attributes:
        signal: The signal that killed it, if one did.
        exit_code: The status that it exited with, where it was a process.
        error: What it could not be started for.
    """

    signal: int | None = None
    exit_code: int | None = None
    error: BaseException | None = None


class Child(Protocol):
    """What an actor lives in.

    Attributes:
        pid: The process that it lives in.
        is_process: Whether that is a process of its own.
        descriptor: Can be read when it has ended; -1 where `on_end` tells.
    """

    @property
    def pid(self) -> int: ...
    @property
    def is_process(self) -> bool: ...
    @property
    def descriptor(self) -> int: ...

    def on_end(self, fn: Callable[[], object]) -> None:
        """Calls a function when it has ended, on any thread; at once if it has."""

    def end(self) -> End | None:
        """How it ended; None while it lives."""

    def interrupt(self) -> None:
        """Raises `Interrupted` in the thread of its loop, at its next bytecode."""

    def kill(self) -> bool:
        """Kills it. False: that is not possible."""
        ...

    def close(self) -> None:
        """Gives up what is held for it, when it has ended."""


class ThreadChild:
    """An actor that lives on a thread of this process.

    Args:
        name: The actor's name.
        run: What the thread does.
        interrupt: Raises `Interrupted` in that thread, whose identifier it gets.
        daemon: Whether Python may end without it.
        interrupt_blocks: Whether that may wait for the GIL of the thread. Where it does not, none is raised once the
            thread is done; one that was on its way is met and dropped.
    """

    is_process = False
    descriptor = -1

    def __init__(
        self,
        name: str,
        run: Callable[[], object],
        interrupt: Callable[[int], object],
        *,
        daemon: bool,
        interrupt_blocks: bool,
    ) -> None:
        import os

        self.name = name
        self.pid = os.getpid()
        self._run = run
        self._interrupt = interrupt
        self._interrupt_blocks = interrupt_blocks
        self._lock = threading.RLock()
        self._end: End | None = None
        self._is_leaving = False
        self._told: list[Callable[[], object]] = []
        self._thread = threading.Thread(target=self._live, name=f"weft-actor-{name}", daemon=daemon)
        start_thread(self._thread)

    def _live(self) -> None:
        error: BaseException | None = None
        try:
            self._run()
        except BaseException as raised:
            error = raised
        self._is_leaving = True  # so that at most one more is on its way
        while True:
            try:
                with self._lock:
                    self._end = self._end or End(error=error)
                let_go(self._lock)
                while self._told:  # nobody adds to it from here on
                    self._told[-1]()
                    self._told.pop()
                return
            except Interrupted:
                continue

    def on_end(self, fn: Callable[[], object]) -> None:
        """See `Child`."""
        with self._lock:
            if self._end is None:
                self._told.append(fn)
                return
        fn()

    def end(self) -> End | None:
        """See `Child`."""
        return self._end

    def interrupt(self) -> None:
        """See `Child`."""
        thread = self._thread.ident
        if thread is None:
            return
        if self._interrupt_blocks:
            if self._end is None:
                self._interrupt(thread)
            return
        with self._lock:
            if not self._is_leaving:
                self._interrupt(thread)

    def kill(self) -> bool:
        """See `Child`."""
        return self._end is not None

    def close(self) -> None:
        """See `Child`."""
        if self._end is not None:
            self._thread.join()
