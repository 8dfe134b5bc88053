"""One life of an actor, as its parent holds it: from the spawn to the end of what it lived in.

States: *starting* (spawned, the handshake goes on), *running*, *ending* (asked to), *ended*, or *abandoned*: it could
not be stopped, and this process goes on without it. Restarting an actor is another life.

All on the loop's thread. A reading task answers calls as frames come; it stops when the channel does, and then every
call that waits fails with `ChannelClosed`, so that nobody waits for a child that died. Ending is in steps, each
bounded: ask, wait for `grace`, interrupt again and again, and at `hard_kill` kill or abandon. A loop that does not even
take the request within `_TAKEN_WITHIN` is stuck in one step of a task, and is interrupted at once.
Pinned by tests/actors/test_ending.py.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import anyio

from weft._payloads.failures import load_failure
from weft._payloads.isolation import refusing_extension
from weft._payloads.main_module import main_info
from weft._payloads.receiving import levels, receive
from weft.actors._channel import Channel
from weft.actors._child import make_setup
from weft.actors._frames import (
    BYE,
    CANCEL,
    CANCELLED,
    CREDIT,
    DEFINE,
    END,
    END_TAKEN,
    ERROR,
    ITEM,
    LAST_ITEM,
    PING,
    PONG,
    RESULT,
    SAID,
    STARTED,
    Buffer,
    Frame,
)
from weft.actors._handshake import Words, await_hello, await_ready, make_pair
from weft.actors._loops import Loop, daemons_allowed, here, in_thread
from weft.actors._memory import Lending, Memory, SharedMemory, make_sockets
from weft.actors._messages import pack_function, remote_error, unpack
from weft.actors._notice import Notice
from weft.actors._spawn import Child, Start, find
from weft.actors._stream import Context, stream_of
from weft.errors import ActorDied, ChannelClosed, ChannelFault, Interrupted, RemoteActorError
from weft.executors._worker_threads import start_thread

__all__ = ["Call", "Life", "Terms"]

START_WITHIN: Final = 30.0  # seconds that a child may take to say hello, and again to import its modules
_TAKEN_WITHIN = 0.15  # seconds in which a loop that turns has taken the request to end
_ASK_AGAIN = 0.05  # seconds between interrupts
_ASK_SELDOM = 0.5  # the same, once its channel has closed
_TORN_DOWN_WITHIN = 5.0  # seconds from an actor's last word to the end of its interpreter or process
_KILLED_WITHIN = 2.0  # seconds from SIGKILL to the end of a process
_SETTLES_WITHIN = 0.5  # seconds in which a child whose channel has closed has ended too, if it was not asked to

_logger = logging.getLogger("weft")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Terms:
    """How an actor is started and ended; the same for all its lives.

    Attributes:
        path: Its name, after those above it.
        method: The spawn method.
        modules: Those whose functions may be called.
        grace: Seconds that it gets to end after it was asked.
        hard_kill: Seconds after which it is killed or abandoned.
    """

    path: tuple[str, ...]
    method: str
    modules: tuple[str, ...]
    grace: float
    hard_kill: float

    @property
    def name(self) -> str:
        """The actor's name for messages, with those above it."""
        return "/".join(self.path)


class Call:
    """A call that waits for its answer, or a context."""

    __slots__ = ("cancelled", "context", "done", "error", "first", "on_done", "started", "value")

    def __init__(self, loop: Loop) -> None:
        self.done = Notice(loop)
        self.value: tuple[Buffer, Sequence[Buffer]] | None = None
        self.error: BaseException | None = None
        self.cancelled = False
        self.context: Context | None = None
        self.started: Notice | None = None
        self.first: tuple[Buffer, Sequence[Buffer]] | None = None
        self.on_done: Callable[[Call], object] | None = None

    def settle(self) -> None:
        """It is over."""
        if self.context is not None:
            stream_of(self.context).finish(self.error)
        if self.on_done is not None:
            self.on_done(self)
        self.done.set()
        if self.started is not None:
            self.started.set()

    def outcome(self) -> Any:
        """What it returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        assert self.value is not None
        return unpack(*self.value, "the result")


class Life:
    """One life of an actor. `start` it, run `read` in a task, and `finish` it, whatever happens.

    Args:
        terms: How it is started and ended.
        idle: Is called whenever the last call that waited is over.
    """

    def __init__(self, terms: Terms, idle: Callable[[], object]) -> None:
        self.terms = terms
        self.state = "starting"
        self.calls: dict[int, Call] = {}
        self.loop = here()
        self.over = anyio.Event()  # its end has begun: asked for, or come by itself
        self.closed = anyio.Event()  # nothing more comes from it
        self.since = time.monotonic()
        self.heard = time.monotonic()
        self.child: Child | None = None
        self.failure: BaseException | None = None
        self._idle = idle
        self._channel: Channel | None = None
        self._functions: dict[Callable[..., object], int] = {}
        self._taken = anyio.Event()
        self.gone = anyio.Event()  # all that it ran has ended, or nobody can say
        self.has_left = False  # it has said so itself
        self.is_lost = False  # what it is sent does not arrive any more
        self._ended = anyio.Event()  # the child has
        self._asked = False

    # ---- beginning ---------------------------------------------------------------------------------

    async def start(self, library: str) -> None:
        """Spawns it, and waits until it is ready.

        Raises:
            weft.errors.ChannelFault: Somebody else spoke on its channel.
            weft.errors.ActorDied: It ended before it was ready, or took too long.
            BaseException: What it raised while it imported its modules.
        """
        words, loop = Words.new(), self.loop
        ours, theirs = make_pair()
        ours.setblocking(False)
        memory: Memory | None = None
        beside = -1
        is_given = False  # to the spawn method, which closes it: it may go on in its thread when this is cancelled
        try:
            start = Start(self.terms.path[-1], library, theirs, make_setup(words, library))
            spawn = find(self.terms.method)
            lending = 0
            if self.terms.method in ("thread", "interpreter", "interpreter_legacy"):  # nothing in these blocks
                memory = lent = Lending()
                lending = lent.number
                is_given = True
                self.child = spawn(start)
            else:
                if (sockets := make_sockets()) is not None:
                    beside = sockets[1]
                    memory = SharedMemory(sockets[0])
                is_given = True
                self.child = await in_thread(lambda: spawn(start), "weft-actor-spawn", _kill_and_close)
            if self.child.descriptor < 0:
                self.child.on_end(lambda: loop.post(self._ended.set))
            spec = (self.terms.path, self.terms.method, self.terms.modules, dict(main_info()), levels(), lending)
            peer = f"actor {self.terms.name!r}"
            with anyio.fail_after(START_WITHIN):
                await await_hello(ours, words, peer, self.child.pid, spec, beside)
            with anyio.fail_after(START_WITHIN):
                ready = await await_ready(ours, peer, self._hear, None if memory is None else memory.take)
            if ready.failure is not None:
                self.has_left = True
                raise _as_itself(ready.failure, self.terms)
        except BaseException as error:
            ours.close()
            if memory is not None:
                memory.close()
            if not is_given:
                theirs.close()
            self.closed.set()
            with anyio.CancelScope(shield=True):
                await self.finish()
            if isinstance(error, ChannelFault) or not isinstance(error, ChannelClosed | TimeoutError):
                raise
            end = None if self.child is None else self.child.end()
            if end is not None and end.error is not None:
                raise end.error from None
            why = f"gave no answer within {START_WITHIN:g} s of its start" if isinstance(error, TimeoutError) else None
            raise self._died(why or "ended before it was ready") from error
        finally:
            if beside >= 0:
                os.close(beside)
        self._channel = Channel(ours, f"actor {self.terms.name!r}", ready.decoder, ready.early, memory)
        self.heard = time.monotonic()
        self.state = "running"

    async def read(self) -> None:
        """Reads what it sends, until its channel is closed. A task of its own."""
        fault: BaseException | None = None
        try:
            with anyio.CancelScope(shield=True):
                assert self._channel is not None
                await self._channel.run(self._take)
        except ChannelFault as error:
            fault = error
        finally:
            self._close(fault)

    def _close(self, fault: BaseException | None) -> None:
        self.closed.set()
        self.gone.set()
        self._taken.set()
        if not self._asked and self.failure is None:
            self.failure = fault  # else `finish` finds out why
        name = self.terms.name
        calls, self.calls = self.calls, {}
        for call in calls.values():
            why = f": {fault}" if fault is not None else "; it has ended"
            call.error = error = ChannelClosed(f"the channel to actor {name!r} is closed{why}")
            error.path = self.terms.path
            call.settle()
        self.over.set()

    # ---- calls -------------------------------------------------------------------------------------

    def send(self, kind: int, number: int = 0, head: Buffer = b"", buffers: Sequence[Buffer] = ()) -> None:
        """Sends it a frame.

        Raises:
            weft.errors.ChannelClosed: It has ended.
        """
        if self._channel is None:
            raise ChannelClosed(f"actor {self.terms.name!r} has ended")
        try:
            self._channel.send(kind, number, head, buffers)
        except ChannelClosed as error:
            # Its end is yet to be read; whoever is told of it now and calls again is to reach the next life.
            self.is_lost = self._channel.is_closed or not isinstance(error, ChannelFault)
            error.path = self.terms.path
            raise

    async def drained(self) -> None:
        """Waits until it takes what it is sent."""
        if self._channel is not None:
            await self._channel.drained()

    @property
    def is_behind(self) -> bool:
        """Whether much of what it was sent waits."""
        return self._channel is not None and self._channel.is_behind

    def number_of(self, fn: Callable[..., object]) -> int:
        """The number by which it knows a function, which it is told if it does not."""
        number = self._functions.get(fn)
        if number is None:
            definition = pack_function(fn)
            number = len(self._functions) + 1
            self.send(DEFINE, number, definition)
            self._functions[fn] = number
        return number

    def begin(self, call: Call, kind: int, head: Buffer, buffers: Sequence[Buffer], peer: str = "") -> int:
        """Sends a call.

        Returns:
            Its number.
        """
        number = next(_numbers)
        if call.started is not None and self._channel is not None:
            call.context = Context(self._channel, number, peer)
        self.send(kind, number, head, buffers)
        self.calls[number] = call
        return number

    def take_back(self, number: int) -> None:
        """A call is not wanted any more; its answer comes all the same."""
        with suppress(ChannelClosed):
            self.send(CANCEL, number)

    def ping(self) -> None:
        """Asks for a sign of life."""
        with suppress(ChannelClosed):
            self.send(PING)

    # ---- frames ------------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        kind, number, head, buffers = frame
        self.heard = time.monotonic()
        if kind in (RESULT, ERROR, CANCELLED):
            call = self.calls.pop(number, None)
            if call is None:
                return
            if kind == RESULT:
                call.value = head, buffers
            else:
                if kind == ERROR:
                    call.error = remote_error(head, self.terms.path)
                if kind == CANCELLED or (call.error and self._asked and isinstance(call.error.__cause__, Interrupted)):
                    call.cancelled = True
                    call.error = ChannelClosed(f"the call was cancelled in actor {self.terms.name!r}, which is ending")
            call.settle()
            if not self.calls:
                self._idle()
        elif kind in (ITEM, LAST_ITEM, CREDIT):
            call = self.calls.get(number)
            if call is not None and call.context is not None:
                stream_of(call.context).take(kind, head, buffers)
        elif kind == STARTED:
            call = self.calls.get(number)
            if call is not None and call.started is not None:
                call.first = head, buffers
                call.started.set()
        elif kind == SAID:
            self._hear(head)
        elif kind == END_TAKEN:
            self._taken.set()
        elif kind == BYE:
            self.has_left = True
            self.gone.set()
        elif kind != PONG:
            raise ChannelFault(f"actor {self.terms.name!r} sent a message of kind {kind}")

    def _hear(self, said: Buffer) -> None:
        receive(bytes(said), self.terms.name)

    # ---- the end -----------------------------------------------------------------------------------

    def ask_to_end(self) -> None:
        """Asks it to end; one that has gone by itself is not asked any more, for then it has died."""
        if not self._asked and not self.closed.is_set():
            self._asked = True
            if self.state == "running":
                self.state = "ending"
            with suppress(ChannelClosed):
                self.send(END)
        self.over.set()

    async def finish(self) -> None:
        """Ends it, whatever it does, and says in `state` and `failure` what came of it. Not to be cancelled."""
        died = self.closed.is_set() and not self._asked
        self.ask_to_end()
        child = self.child
        if child is None:
            self.state = "ended"
            self.gone.set()
            return
        begun = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._await_end, child)
            if not await self._ends_by_itself(begun, died):
                await self._force(child, begun + self.terms.hard_kill)
            tasks.cancel_scope.cancel()
        if self._channel is not None:
            self._channel.close(None)
            self._close(None)  # not left to `read`: Ctrl-C may have ended that before its first line
        if self._ended.is_set():
            self.state = "ended"
            if died and self.failure is None:
                self.failure = self._died("ended without having been asked to")
            child.close()
        else:
            self.state = "abandoned"
            _logger.warning(
                "actor %r could not be stopped within %g s and is abandoned: its thread is stuck in a C call; it ends "
                "when that returns",
                self.terms.name,
                self.terms.hard_kill,
            )

    def _died(self, why: str) -> RemoteActorError:
        child, end = self.child, None if self.child is None else self.child.end()
        return ActorDied(
            path=self.terms.path,
            pid=child.pid if child is not None and child.is_process else None,
            signal=None if end is None else end.signal,
            exit_code=None if end is None else end.exit_code,
            why=why,
        )

    async def _await_end(self, child: Child) -> None:
        if child.descriptor < 0:
            await self._ended.wait()
            return
        await anyio.wait_readable(child.descriptor)
        while child.end() is None:
            await anyio.sleep(0.001)  # the report of a template is on its way
        self._ended.set()

    async def _ends_by_itself(self, begun: float, died: bool) -> bool:
        if died:
            return await _set_within(self._ended, _SETTLES_WITHIN)
        if self._channel is not None:
            if not await _set_within(self._taken, min(_TAKEN_WITHIN, self.terms.grace)):
                return self._ended.is_set()
            await _set_within(self.gone, begun + self.terms.grace - time.monotonic())
        elif not self.has_left:  # it is starting, and hears nothing but that its channel is closed
            return await _set_within(self._ended, min(_TAKEN_WITHIN, self.terms.grace))
        if self.has_left:  # what is left to do is Python's: to interrupt that would only make it longer
            return await _set_within(self._ended, _TORN_DOWN_WITHIN)
        return await _set_within(self._ended, begun + self.terms.grace - time.monotonic())

    async def _force(self, child: Child, end: float) -> None:
        """Interrupts it until it is gone, or `end`; then kills it."""
        pause = _ASK_AGAIN
        while time.monotonic() < end:
            # A child that is stuck in C keeps this thread for as long as it keeps its GIL.
            start_thread(
                threading.Thread(target=child.interrupt, name="weft-actor-interrupt", daemon=daemons_allowed())
            )
            # Also wakes a loop that sleeps, where no interrupt gets to; it may have been interrupted as it took the
            # first.
            with suppress(ChannelClosed):
                self.send(END)
            if await _set_within(self._ended, min(pause, end - time.monotonic())):
                return
            if self.closed.is_set():  # its loop is on its way out: to interrupt that only makes it longer
                pause = _ASK_SELDOM
        if child.kill():
            await _set_within(self._ended, _KILLED_WITHIN)
        elif self._channel is not None and self.closed.is_set():  # not stuck
            await _set_within(self._ended, _TORN_DOWN_WITHIN)


async def _set_within(event: anyio.Event, seconds: float) -> bool:
    with anyio.move_on_after(max(0.0, seconds)):
        await event.wait()
    return event.is_set()


def _kill_and_close(child: Child) -> None:
    """Nobody waits for it any more."""
    child.kill()
    ended = threading.Event()
    child.on_end(ended.set)
    child.close()


def _as_itself(failure: bytes, terms: Terms) -> BaseException:
    """What an actor failed to start with, and what to do about it."""
    error = load_failure(failure)
    error.add_note(f"(raised while actor {terms.name!r} started, in spawn method {terms.method!r})")
    extension = refusing_extension(error)
    if extension is not None:
        error.add_note(f'start it with spawn="process" or spawn="interpreter_legacy": {extension} refuses isolation')
    return error
