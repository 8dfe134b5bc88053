"""`Nursery`: actors that never outlive a block.

Leaving the block waits for what runs in the actors, then ends them. An actor that fails cancels the block and the other
actors (`one_cancels_all`), or is started again (`one_for_one`), until it has failed too often. What failed leaves the
block as an `ExceptionGroup`.

All on the loop's thread. Each actor has a task that minds it through all its lives and ends each of them, shielded from
cancellation, in steps with bounds (weft.actors._life); these tasks run side by side, so that many actors take no longer
to end than one.
Pinned by tests/actors/test_nursery.py, test_ending.py and test_strategies.py.
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, cast

import anyio
import anyio.abc

from weft.actors._frames import CALL
from weft.actors._identity import current_actor
from weft.actors._life import Call, Life, Terms
from weft.actors._loops import here
from weft.actors._messages import module_of, pack_call
from weft.actors._portal import Portal
from weft.actors._spawn import check, default_method
from weft.errors import ActorDied, ChannelClosed, InvalidSetting, RemoteActorError

__all__ = ["ActorHealth", "Nursery", "entered", "open_nursery"]

type Strategy = Literal["one_cancels_all", "one_for_one"]
_STRATEGIES = ("one_cancels_all", "one_for_one")
_SIGNS = 3  # signs of life asked for within the time that an actor may give none


@dataclass(frozen=True, slots=True)
class ActorHealth:
    """How an actor is.

    Attributes:
        name: Its name.
        path: Its name after those of the actors above it.
        spawn: What it lives in.
        state: ``starting``, ``running``, ``ending``, ``ended`` or ``abandoned``.
        uptime: Seconds since it was last started.
        mailbox: Calls that it has not answered.
        restarts: How often it was started again.
        silence: Seconds since it was last heard of.
        pid: The process that it lives in; this one's where it is a thread or an interpreter.

    Example:
        >>> from weft.actors import ActorHealth
        >>> ActorHealth("a", ("root", "a"), "thread", "running", 1.0, 0, 0, 0.1, 1234).state
        'running'
    """

    name: str
    path: tuple[str, ...]
    spawn: str
    state: str
    uptime: float
    mailbox: int
    restarts: int
    silence: float
    pid: int | None


class _Minded:
    """An actor through all its lives."""

    def __init__(self, nursery: Nursery, terms: Terms) -> None:
        self.terms = terms
        self.enabled = frozenset(terms.modules)
        self.restarts = 0
        self.main: tuple[Callable[..., Any], dict[str, Any]] | None = None
        self.main_call: Call | None = None
        self.is_over = False
        self.ended = anyio.Event()
        self._nursery = nursery
        self._life = Life(terms, self.end_if_idle)
        self._changed = anyio.Event()  # replaced each time
        self._failures: deque[float] = deque()

    # ---- for portals -------------------------------------------------------------------------------

    async def life_now(self) -> Life:
        while True:
            life = self._life
            if life.state == "running" and not life.over.is_set() and not life.is_lost:
                return life
            if self.is_over or self.ended.is_set() or not self._nursery.restarts_actors:
                raise self._closed()
            await self._changed.wait()

    async def end(self) -> None:
        self.is_over = True
        self._life.ask_to_end()
        self._wake()
        await self._life.gone.wait()
        if not self._life.has_left:  # it did not end by itself
            await self.ended.wait()

    async def result(self) -> Any:
        if self.main is None:
            raise RuntimeError(f"actor {self.terms.name!r} was started for no function; use run_in_actor")
        while True:
            call = self.main_call
            if call is not None:
                await call.done.wait()
                if call.error is None or (
                    isinstance(call.error, RemoteActorError) and not self._nursery.restarts_actors
                ):
                    return call.outcome()
            if self.ended.is_set():
                if self._life.failure is not None:
                    raise self._life.failure
                raise self._closed()
            await self._changed.wait()

    def _closed(self) -> ChannelClosed:
        error = ChannelClosed(f"actor {self.terms.name!r} has ended")
        error.path = self.terms.path
        return error

    # ---- for its nursery ---------------------------------------------------------------------------

    def health(self) -> ActorHealth:
        life, now = self._life, time.monotonic()
        return ActorHealth(
            name=self.terms.path[-1],
            path=self.terms.path,
            spawn=self.terms.method,
            state=life.state,
            uptime=now - life.since,
            mailbox=len(life.calls),
            restarts=self.restarts,
            silence=now - life.heard,
            pid=None if life.child is None else life.child.pid,
        )

    def end_if_idle(self) -> None:
        """Nothing runs in it: if its nursery's block has been left, nothing will."""
        if self._nursery.is_left and not self._life.calls and self._life.state == "running":
            self.is_over = True
            self._life.ask_to_end()

    async def mind(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Starts it, and sees to it that it ends. Raises what it failed with."""
        library = here().library
        started: anyio.abc.TaskStatus[None] | None = task_status
        try:
            while True:
                await self._life.start(library)
                failure = await self._live(started)
                started = None
                if failure is None or self.is_over or not self._may_restart():
                    break
                self.restarts += 1
                self._life = Life(self.terms, self.end_if_idle)
        finally:
            self.is_over = True
            self.ended.set()
            self._wake()
        if failure is not None:
            raise failure

    async def _live(self, started: anyio.abc.TaskStatus[None] | None) -> BaseException | None:
        """One life. What it failed with, also if the nursery is being cancelled: all who failed are to be named."""
        life = self._life
        cancelled: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(life.read)
            try:
                self._begin_main(life)
                self._wake()
                if started is not None:
                    started.started()
                self.end_if_idle()
                await self._watch(life)
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error
            finally:
                with anyio.CancelScope(shield=True):
                    await life.finish()
                if life.state == "abandoned":
                    self._nursery.abandoned += 1
        if cancelled is not None:
            if life.failure is not None:
                raise life.failure
            raise cancelled
        return life.failure

    def _wake(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def _begin_main(self, life: Life) -> None:
        if self.main is None:
            return
        fn, kwargs = self.main
        call = self.main_call = Call(life.loop)

        def done(call: Call) -> None:
            if call.error is not None and not isinstance(call.error, ChannelClosed):
                life.failure = life.failure or call.error
            else:
                self.is_over = self.is_over or call.error is None
            if not life.closed.is_set():
                life.ask_to_end()

        call.on_done = done
        head, buffers = pack_call(life.number_of(fn), kwargs, getattr(fn, "__qualname__", "a function"))
        life.begin(call, CALL, head, buffers)

    async def _watch(self, life: Life) -> None:
        """Waits until its end begins; asks for signs of life."""
        within = self._nursery.heartbeat
        if within is None:
            await life.over.wait()
            return
        # Steps in which this loop has turned are counted: when it was stuck itself, it has yet to read what was sent.
        step, silent, heard = within / _SIGNS, 0, life.heard
        while not life.over.is_set():
            life.ping()
            with anyio.move_on_after(step):
                await life.over.wait()
            silent, heard = (silent + 1 if life.heard == heard else 0), life.heard
            if not life.over.is_set() and silent >= _SIGNS:
                pid = None if life.child is None or not life.child.is_process else life.child.pid
                why = f"gave no sign of life for {within:g} s: its loop is stuck in one step of a task"
                life.failure = ActorDied(path=self.terms.path, pid=pid, why=why)
                return

    def _may_restart(self) -> bool:
        nursery = self._nursery
        if not nursery.restarts_actors:
            return False
        now = time.monotonic()
        self._failures.append(now)
        while now - self._failures[0] > nursery.window:
            self._failures.popleft()
        return len(self._failures) <= nursery.max_restarts


class Nursery:
    """A block's actors. Made by `open_nursery`, and entered with ``async with``.

    Attributes:
        abandoned: Actors that could not be stopped, and were left behind.

    Example:
        >>> import anyio
        >>> from weft.actors import open_nursery
        >>> async def main():
        ...     async with open_nursery(spawn="thread") as nursery:
        ...         await nursery.start_actor("idle")
        ...         return [actor.state for actor in nursery.actors()]
        >>> anyio.run(main)
        ['running']
    """

    abandoned: int

    def __init__(
        self,
        *,
        spawn: str,
        strategy: Strategy,
        grace: float,
        hard_kill: float,
        max_restarts: int,
        window: float,
        heartbeat: float | None,
    ) -> None:
        self.abandoned = 0
        self.max_restarts = max_restarts
        self.window = window
        self.heartbeat = heartbeat
        self.is_left = False
        self.restarts_actors = strategy == "one_for_one"
        self._spawn = spawn
        self._grace = grace
        self._hard_kill = hard_kill
        self._minded: list[_Minded] = []
        self._tasks: anyio.abc.TaskGroup | None = None
        self._reference: weakref.ref[Nursery] = weakref.ref(self, _entered.discard)
        hash(self._reference)  # asked for while there is one: `discard` needs it

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RuntimeError("this nursery has been entered; open another one")
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        _entered.add(self._reference)
        _keep_warm(self._spawn, here().library)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._tasks is not None
        self.is_left = True
        for minded in self._minded:
            minded.end_if_idle()
        try:
            return await self._tasks.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            # Trio puts it into a group, and Python would exit with status 1. One in a reader closes its channel.
            causes = [error for error in _all_of(group) if not isinstance(error, ChannelClosed)]
            if causes and all(isinstance(error, KeyboardInterrupt) for error in causes):
                raise causes[0] from None
            once = _each_once(group)
            if once is group:
                raise
            raise once from None
        finally:
            _entered.discard(self._reference)

    async def start_actor(self, name: str, *, enable_modules: Sequence[str] = (), spawn: str | None = None) -> Portal:
        """Starts an actor that waits for calls, until it is told to end or the nursery's block is left.

        Args:
            name: What it is called: in errors, logs, and the names of threads.
            enable_modules: The modules whose functions may be called in it; it imports them.
            spawn: What it lives in; the nursery's by default.

        Returns:
            The portal to it.

        Raises:
            weft.errors.SpawnMethodUnavailable: This Python lacks the spawn method.
            weft.errors.ActorDied: It ended before it was ready.
            BaseException: What one of its modules raised when it was imported there, as itself.
        """
        return await self._start(name, tuple(enable_modules), spawn, None)

    async def run_in_actor(
        self, fn: Callable[..., Any], /, *, name: str | None = None, spawn: str | None = None, **kwargs: Any
    ) -> Portal:
        """Starts an actor for one call, and ends it when that is over.

        Args:
            fn: The function, async or plain. If it raises, the actor has failed.
            name: What the actor is called; by default as the function is.
            spawn: What it lives in; the nursery's by default.
            kwargs: The function's arguments.

        Returns:
            The portal to it; ``await portal.result()`` is what the function returns.

        Raises:
            weft.errors.PayloadError: An argument cannot cross.
            BaseException: As `start_actor`.
        """
        pack_call(0, kwargs, getattr(fn, "__qualname__", "a function"))  # what cannot cross is said before the start
        return await self._start(name or fn.__name__, (module_of(fn),), spawn, (fn, kwargs))

    async def _start(
        self,
        name: str,
        modules: tuple[str, ...],
        spawn: str | None,
        main: tuple[Callable[..., Any], dict[str, Any]] | None,
    ) -> Portal:
        if self._tasks is None or self.is_left:
            raise RuntimeError("the nursery's block has been left, or not been entered; start actors within it")
        method = spawn or self._spawn
        check(method)
        path = (*current_actor().path, name)
        minded = _Minded(self, Terms(path, method, modules, self._grace, self._hard_kill))
        minded.main = main
        self._minded.append(minded)
        try:
            await self._tasks.start(minded.mind, name=f"weft actor {name}")
        except BaseException:
            self._minded.remove(minded)
            raise
        return Portal(minded)

    def actors(self) -> list[ActorHealth]:
        """How each of the actors is, those that have ended too, in the order of their start."""
        return [minded.health() for minded in self._minded]

    def cancel(self) -> None:
        """Cancels the block and all actors. Returns at once; the block ends when they have."""
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()


# Those that have been entered and not left. One whose task was dropped with its loop is never left.
_entered: set[weakref.ref[Nursery]] = set()


def entered() -> list[Nursery]:
    """The nurseries whose blocks have not been left. Any thread; ones entered or left meanwhile may be among them."""
    return [nursery for reference in _entered.copy() if (nursery := reference()) is not None]


def open_nursery(
    *,
    spawn: str | None = None,
    strategy: Strategy = "one_cancels_all",
    grace: float = 1.0,
    hard_kill: float = 3.0,
    max_restarts: int = 3,
    window: float = 60.0,
    heartbeat: float | None = None,
) -> Nursery:
    """Actors for a block, entered with ``async with``.

    Args:
        spawn: What actors live in: ``interpreter``, ``interpreter_legacy``, ``process``, ``mp_spawn``,
            ``mp_forkserver`` or ``thread``. By default what `try_set_start_method` said, else ``interpreter`` where
            there are such, else ``process``.
        strategy: ``one_cancels_all``: an actor that fails cancels the others and the block. ``one_for_one``: it is
            started again.
        grace: Seconds that an actor gets to end after it was asked. Then it is interrupted.
        hard_kill: Seconds after which one that still runs is killed (a process) or abandoned (a thread or
            interpreter that is stuck in C).
        max_restarts: How often one actor is started again within ``window``; one more failure is as with
            ``one_cancels_all``.
        window: Seconds.
        heartbeat: Seconds for which an actor may give no sign of life; longer, and it has failed. None: it need not.

    Returns:
        The nursery, to be entered.

    Raises:
        weft.errors.SpawnMethodUnavailable: This Python lacks the spawn method.
        weft.errors.InvalidSetting: An argument has a value that cannot be.

    Example:
        >>> import anyio
        >>> from weft.actors import open_nursery
        >>> async def main():
        ...     async with open_nursery(spawn="thread") as nursery:
        ...         portal = await nursery.start_actor("sums", enable_modules=["statistics"])
        ...         from statistics import fmean
        ...         return await portal.run(fmean, data=[1.0, 3.0])
        >>> anyio.run(main)
        2.0
    """
    method = spawn or default_method()
    check(method)
    if strategy not in _STRATEGIES:
        raise InvalidSetting(setting="strategy", value=strategy, allowed=_STRATEGIES)
    for setting, value, least in (("grace", grace, 0.0), ("window", window, 0.0), ("hard_kill", hard_kill, grace)):
        if not value >= least:
            raise InvalidSetting(setting=setting, value=value, remedy=f"use a number of seconds >= {least:g}")
    if max_restarts < 0:
        raise InvalidSetting(setting="max_restarts", value=max_restarts, remedy="use a number >= 0")
    if heartbeat is not None and not heartbeat > 0:
        raise InvalidSetting(setting="heartbeat", value=heartbeat, remedy="use a number of seconds > 0, or None")
    return Nursery(
        spawn=method,
        strategy=strategy,
        grace=grace,
        hard_kill=hard_kill,
        max_restarts=max_restarts,
        window=window,
        heartbeat=heartbeat,
    )


def _keep_warm(method: str, library: str) -> None:
    """Has made what the first actor is going to need."""
    if method in ("interpreter", "interpreter_legacy"):
        from weft.actors._spawn import _homes

        _homes.expect(library, own_gil=method == "interpreter")
    elif method == "process":
        from weft.actors._spawn import process

        process.expect(library)


def _each_once(group: BaseExceptionGroup[BaseException]) -> BaseExceptionGroup[BaseException]:
    """The group with each failure in one place.

    The block may have raised what its actor failed with, or that the channel to it closed, which is why.
    """
    dead = {error.path for error in _all_of(group) if isinstance(error, ActorDied)}
    seen: set[int] = set()

    def wanted(error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup) or (isinstance(error, ChannelClosed) and error.path in dead):
            return False
        is_first = id(error) not in seen
        seen.add(id(error))
        return is_first

    once = group.subgroup(wanted)
    return group if once is None else once


def _all_of(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _all_of(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error
