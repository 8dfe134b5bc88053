"""`dump_on_hang`: a block that takes too long has all stacks written to a file, and goes on.

Two watch over a block. A thread of weft's writes every thread's stack at the moment, and what `dump` says of pools and
actors. It needs the GIL; where something holds that for good, `faulthandler`'s watchdog, a C thread that needs none,
writes the stacks `_GIL_IS_HELD_AFTER` later. Python has one of those in a process, so it is set for the block that is
up next. So a hang that holds the GIL leaves the stacks for the block that was up first, any other hang leaves all.
The watchdog is the last resort, since it reads the frames of threads while they run: before 3.14 that crashes a process
now and then, unless they stand still. weft's thread has the GIL, or the world stopped, while it reads.

The thread ends with the last block, and is waited for. In a forked child nothing is watched: the watchdog is not set
while a process forks.
Interpreters with a GIL of their own cannot have faulthandler: it is imported where it is used, and they are refused.
Not done by a signal: those belong to the program, and a process cannot be sure of one of them.
Pinned by tests/debug/test_hangs.py.
"""

from __future__ import annotations

import io
import os
import threading
import time
from contextlib import suppress
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from weft import _core
from weft._locks import let_go
from weft.debug import _hang_file
from weft.debug._dump import dump
from weft.errors import InvalidSetting
from weft.executors._worker_threads import start_thread

__all__ = ["HangWatch", "dump_on_hang"]

_GIL_IS_HELD_AFTER: Final = 2.0  # seconds in which weft's thread has not had its turn
_LOOK_AGAIN: Final = 1.0  # seconds; the free-threaded 3.13 may overlook a notice
_LONGEST: Final = 4_000_000.0  # seconds; about what faulthandler takes


class HangWatch:
    """A block that is watched. Made by `dump_on_hang`, and entered with ``with``, once.

    Attributes:
        seconds: How long the block may take.
        path: Where the stacks go.

    Example:
        >>> from weft.debug import dump_on_hang
        >>> watch = dump_on_hang(60, path="hang.txt")
        >>> watch.seconds, watch.path.name
        (60.0, 'hang.txt')
    """

    def __init__(self, seconds: float, path: Path) -> None:
        self.seconds = seconds
        self.path = path
        self._file: _hang_file.HangFile | None = None
        self._entered = False
        self._up_at = 0.0
        self._length = 0  # of the file, when the block was entered
        self._done = False

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError("this block has been entered before; call dump_on_hang() for each")
        self._file = _hang_file.HangFile(self.path)
        self._entered = True
        self._length = self._file.length()
        self._up_at = time.monotonic() + self.seconds
        try:
            _watches.add(self)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            _watches.remove(self)
        finally:
            if self._file is not None:
                self._file.close()

    # ---- for the watches, with their lock held -----------------------------------------------------

    @property
    def up_at(self) -> float:
        """When its time is up, by `time.monotonic()`."""
        return self._up_at

    @property
    def is_done(self) -> bool:
        """Whether its time was up, and all has been written."""
        return self._done

    def descriptor(self) -> int:
        """Of its file."""
        assert self._file is not None
        return self._file.descriptor

    def write_up(self) -> None:
        """Its time is up: writes the stacks, unless the watchdog has, and what only Python can say."""
        import faulthandler

        self._done = True
        assert self._file is not None
        with suppress(OSError):  # a full disk; nobody can be told from here
            if self._file.length() == self._length:
                self._file.write(f"Timeout ({self.seconds:g} s)!\n")
                faulthandler.dump_traceback(self._file.descriptor, all_threads=True)
            report = io.StringIO()
            dump(report)
            when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            self._file.write(
                f"\nprocess {os.getpid()}, {when}: a block has not been left within {self.seconds:g} s\n"
                f"{report.getvalue()}"
            )


class _Watches:
    """All blocks of this process that are watched, and the thread that sees to them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entered: list[HangWatch] = []
        self._set_for: HangWatch | None = None
        self._thread: threading.Thread | None = None

    def add(self, watch: HangWatch) -> None:
        try:
            self._add(watch)
        except BaseException:
            let_go(self._changed)  # see weft._locks
            self.remove(watch)
            raise

    def remove(self, watch: HangWatch) -> None:
        try:
            self._remove(watch)
        except BaseException:
            let_go(self._changed)
            self._remove(watch)
            raise

    def _add(self, watch: HangWatch) -> None:
        with self._changed:
            self._entered.append(watch)
            self._set_watchdog_lock_held()
            if self._thread is None:
                # Where daemon threads are not allowed, no block can be left open at the interpreter's end either.
                daemon = _core.in_main_interpreter()
                thread = threading.Thread(target=self._run, name="weft-hangs", daemon=daemon)
                start_thread(thread)
                self._thread = thread
            self._changed.notify_all()

    def _remove(self, watch: HangWatch) -> None:
        with self._changed:
            if watch in self._entered:  # not if it was entered before a fork, or this is tried again
                self._entered.remove(watch)
            self._set_watchdog_lock_held()
            thread = None if self._entered else self._thread
            if thread is not None:
                self._thread = None
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _set_watchdog_lock_held(self) -> None:
        """Sets the one watchdog for whoever is up next."""
        import faulthandler

        waiting = [watch for watch in self._entered if not watch.is_done]
        following = min(waiting, key=lambda watch: watch.up_at, default=None)
        if following is self._set_for:
            return
        self._cancel_watchdog_lock_held()
        self._set_for = following
        if following is not None:
            left = max(0.0, following.up_at - time.monotonic()) + _GIL_IS_HELD_AFTER
            faulthandler.dump_traceback_later(left, file=following.descriptor())

    def _cancel_watchdog_lock_held(self) -> None:
        """Returns when it is certain that it writes no more."""
        if self._set_for is not None:
            import faulthandler

            faulthandler.cancel_dump_traceback_later()
            self._set_for = None

    def _run(self) -> None:
        me = threading.current_thread()
        with self._changed:
            while self._thread is me:
                now = time.monotonic()
                up = [watch for watch in self._entered if not watch.is_done and watch.up_at <= now]
                if up:
                    self._cancel_watchdog_lock_held()
                for watch in up:
                    watch.write_up()
                self._set_watchdog_lock_held()
                waiting = [watch.up_at for watch in self._entered if not watch.is_done]
                left = min(waiting, default=float("inf")) - time.monotonic()
                self._changed.wait(min(max(0.0, left), _LOOK_AGAIN))

    # A child that is forked while the watchdog is set has none to end, and waits for it, at its own end for ever.

    def before_fork(self) -> None:
        self._changed.acquire()
        self._cancel_watchdog_lock_held()

    def after_fork_in_parent(self) -> None:
        self._set_watchdog_lock_held()
        self._changed.release()

    def after_fork_in_child(self) -> None:
        self.__init__()


_watches = _Watches()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_watches.before_fork,
        after_in_parent=_watches.after_fork_in_parent,
        after_in_child=_watches.after_fork_in_child,
    )


def dump_on_hang(seconds: float, *, path: str | os.PathLike[str]) -> HangWatch:
    """Has all stacks written to a file if a block is not left in time. The block goes on.

    Written are the Python stacks of all threads of this interpreter, at the moment, or two seconds later while
    something holds the GIL; then, as soon as Python runs, what `dump` says: of each worker and actor. What
    the file holds is kept, and the new appended. If nothing was written, and the file was not there before, it is
    removed again.

    Blocks may be nested, and several threads may have one each; they may share a file. If something holds the GIL for
    good, only the block that is up first is written about. The watchdog is that of `faulthandler.dump_traceback_later`,
    of which a process has one: whoever else sets it (pytest does, for ``faulthandler_timeout``) takes it over, and it
    is taken over from them.

    Args:
        seconds: How long the block may take.
        path: The file.

    Returns:
        A context manager, for one ``with``; `HangWatch` says what is watched.

    Raises:
        weft.errors.InvalidSetting: ``seconds`` is no number > 0.
        TypeError: ``path`` is no path.
        RuntimeError: This is not the main interpreter, whose stacks alone can be written.
        OSError: When the block is entered: the file cannot be written.

    Example:
        >>> from weft.debug import dump_on_hang
        >>> with dump_on_hang(60, path="hang.txt"):
        ...     sum(range(10))
        45
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not isfinite(seconds) or seconds <= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidSetting(setting="seconds", value=seconds, remedy="use a number of seconds > 0")
    if seconds > _LONGEST:
        raise InvalidSetting(setting="seconds", value=seconds, remedy=f"use a number of seconds <= {_LONGEST:g}")
    try:
        file = Path(path)
    except TypeError:
        raise TypeError(f"path must be a str or a path, not {path!r}; an open file will not do") from None
    if not _core.in_main_interpreter():
        raise RuntimeError("faulthandler, which writes the stacks, is in the main interpreter only: call it there")
    return HangWatch(float(seconds), file)
