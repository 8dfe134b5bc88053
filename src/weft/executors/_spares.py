"""Interpreters that are kept ready, so that a worker or an actor need not wait until one is made.

The first is made when the first pool of interpreters is, and another one a little after one was taken: not at once, as
those who take one are about to be busy. `WEFT_SPARE_INTERPRETERS` says how many (1; 0: none); each takes some
megabytes. Only the main interpreter keeps any. They are ended when it ends, and before a fork, which Python may not
survive in the child while other interpreters exist.
Pinned by tests/executors/test_spares.py.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from weft import _core
from weft.executors._worker_threads import start_thread

__all__ = ["Spares", "spares", "wanted"]

_DEFAULT = 1
_PAUSE = 0.1  # seconds after one was taken; whoever takes several has had them by then
_MADE_WITHIN = 30.0  # seconds; it takes 0.03 on an idle machine

_logger = logging.getLogger("weft")


class Spares:
    """The interpreters that are ready, and the thread that makes them.

    Args:
        wanted: How many.
        make: Makes one.
        end: Ends one that nobody took.
    """

    def __init__(
        self,
        wanted: int,
        make: Callable[[], object] = _core.make_spare_interpreter,
        end: Callable[[object], None] = _core.end_spare_interpreter,
    ) -> None:
        self._wanted = wanted
        self._make_one = make
        self._end_one = end
        self._changed = threading.Condition()
        self._ready: list[object] = []
        self._maker: threading.Thread | None = None
        self._making = False
        self._awaited = False  # somebody waits for the one that is being made
        self._closed = False
        self._closings = 0  # a thread that was to make some before the last of them makes none after it

    def expect(self) -> None:
        """Has them made: somebody is going to need one."""
        with self._changed:
            self._start_maker(0)

    def take(self) -> object | None:
        """An interpreter for a worker that starts, or None: it has to make one. Any thread."""
        with self._changed:
            if not self._ready and self._making and not self._awaited:
                self._awaited = True
                self._changed.wait_for(lambda: self._ready or not self._making, _MADE_WITHIN)
                self._awaited = False
            spare = self._ready.pop() if self._ready else None
            self._start_maker(_PAUSE)
            return spare

    def reopen(self) -> None:
        """Keeps some again, after `close`, from the next time that one is needed."""
        self._closed = False

    def close(self) -> None:
        """Ends those that are ready, and keeps none from now on."""
        with self._changed:
            self._closed = True
            self._closings += 1
            self._maker = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._making, _MADE_WITHIN)
            ready, self._ready = self._ready, []
        for spare in ready:
            self._end_one(spare)

    def after_fork_in_child(self) -> None:
        """Starts anew: another thread may have held the lock, and the one that makes them is not here."""
        self.__init__(self._wanted, self._make_one, self._end_one)

    def _start_maker(self, pause: float) -> None:
        if self._closed or self._maker is not None or len(self._ready) >= self._wanted:
            return
        self._maker = threading.Thread(target=self._make, args=(pause, self._closings), name="weft-spares", daemon=True)
        try:
            start_thread(self._maker)
        except BaseException as error:
            self._maker = None
            if not isinstance(error, RuntimeError):  # no more threads, or Python ends: do without
                raise

    def _make(self, pause: float, closings: int) -> None:
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._closings != closings, pause)
            while self._begin(closings):
                spare = None
                try:
                    spare = self._make_one()
                finally:
                    with self._changed:
                        self._making = False
                        if spare is not None:
                            self._ready.append(spare)
                        self._changed.notify_all()
        except RuntimeError as error:
            _logger.debug("no interpreter can be kept ready: %s", error)
        finally:
            with self._changed:
                if self._closings == closings:
                    self._maker = None

    def _begin(self, closings: int) -> bool:
        with self._changed:
            if self._closings != closings or len(self._ready) >= self._wanted:
                return False
            self._making = True
            return True


def wanted() -> int:
    """How many are to be kept ready: `WEFT_SPARE_INTERPRETERS`."""
    if not _core.in_main_interpreter():
        return 0
    text = os.environ.get("WEFT_SPARE_INTERPRETERS", str(_DEFAULT))
    if text.isdecimal():
        return int(text)
    _logger.warning("WEFT_SPARE_INTERPRETERS=%r is not a number of interpreters >= 0; using %d", text, _DEFAULT)
    return _DEFAULT


spares = Spares(wanted())


def forget() -> None:
    """Ends those that are ready; the next pool has one made again."""
    spares.close()
    spares.reopen()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=spares.close, after_in_parent=spares.reopen, after_in_child=spares.after_fork_in_child)
