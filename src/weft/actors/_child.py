"""An actor from its first instruction to its end: the entry points of all spawn methods.

Nothing but data comes in: the number of a descriptor, and a setup in `marshal` form with the words of the handshake,
the parent's process id and the event loop library. Over the channel comes the spec: who it is, where the parent finds
modules and its ``__main__``, and which modules to import. What goes wrong until then is sent to the parent, which
raises it.

Imports what any actor needs, since interpreters and processes that are kept warm import this module ahead.
Pinned by tests/actors/test_spawn.py.
"""

from __future__ import annotations

import gc
import importlib
import marshal
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

import anyio

from weft._locks import let_go
from weft._payloads import asides
from weft._payloads.failures import dump_failure
from weft._payloads.main_module import prepare_main
from weft.actors._channel import Channel
from weft.actors._frames import FAILED, READY, SAID
from weft.actors._handshake import Words, hear_spec, say, say_hello
from weft.actors._identity import Actor, be
from weft.actors._memory import Lending, Memory, SharedMemory
from weft.actors._serving import Serving
from weft.errors import ChannelClosed, Interrupted

__all__ = ["live", "live_in_interpreter", "live_in_process", "make_setup", "prepare_spare", "raise_on_signal"]

_ATTEMPTS = 5  # to collect what an interrupted loop has left, as interrupts go on
_BACKENDS = {"asyncio": "anyio._backends._asyncio", "trio": "anyio._backends._trio"}


def prepare_spare(library: str) -> tuple[str, ...]:
    """The modules that one which is kept warm for this library has imported."""
    return (__name__, _BACKENDS[library], *(("trio",) if library == "trio" else ("asyncio.runners",)))


def make_setup(words: Words, library: str) -> bytes:
    """What a child is started with, beside its socket."""
    return marshal.dumps((words.child, words.parent, os.getpid(), library))


def live_in_interpreter(data: bytes) -> None:
    """Is an actor that has an interpreter to itself."""
    descriptor, setup = marshal.loads(data)
    os.reload_environ()  # type: ignore[attr-defined]  # since 3.14, as interpreters; a spare was made earlier
    with suppress(Interrupted):  # one more, as it ended because of another
        live(socket.socket(fileno=descriptor), setup, alone=True)


def live_in_process(_kind: int, descriptors: Sequence[int], setup: bytes) -> None:
    """Is an actor that has a process to itself, forked from a template."""
    raise_on_signal()
    live(socket.socket(fileno=descriptors[0]), setup, alone=True)


def raise_on_signal() -> None:
    """SIGTERM is how a parent interrupts an actor that is a process; SIGINT is for the parent."""

    def interrupt(_number: int, _frame: object) -> None:
        raise Interrupted

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def live(end: socket.socket, setup: bytes, *, alone: bool) -> None:
    """Is an actor, on the calling thread.

    Args:
        end: Its end of the channel.
        setup: What `make_setup` gave.
        alone: Whether it has the interpreter to itself.
    """
    with end:
        child, parent, pid, library = marshal.loads(setup)
        words = Words(child, parent)
        mouth = _Mouth(end)
        try:
            say_hello(end, words)
            (path, method, modules, main, levels, lending), beside = hear_spec(end, words, pid)
            memory = _memory(lending, beside, alone)
            actor = Actor(path[-1], tuple(path), method)
            try:
                if alone:
                    asides.install(mouth.say, streams=True, levels=levels)
                    prepare_main(main)
                importlib.import_module(library)
                for name in modules:
                    if name != "__main__":
                        importlib.import_module(name)
            except BaseException as error:
                asides.flush()
                say(end, FAILED, dump_failure(error))
                return
            be(actor, alone=alone)
            say(end, READY)
            anyio.run(_serve, end, mouth, actor, frozenset(modules), memory, backend=library)
        except (ChannelClosed, OSError):
            pass  # the parent has gone
        except BaseException as error:
            led = list(_all_that_led_to(error))
            if not any(isinstance(each, Interrupted) for each in led):
                raise
            _bury(led)  # the parent did not want to wait; the loop is as it was at that moment
        finally:
            mouth.close()
            if alone:
                asides.flush()
                asides.uninstall()


def _all_that_led_to(error: BaseException) -> Iterator[BaseException]:
    """Itself, its causes and contexts, and the members of groups: trio makes an internal error of an interruption."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", each).exceptions


def _bury(errors: list[BaseException]) -> None:
    """Drops what is left of a loop that was interrupted. What trio says about that, in destructors, is known."""
    thread, hook = threading.get_ident(), sys.unraisablehook

    def listen(unraisable: sys.UnraisableHookArgs) -> None:
        if threading.get_ident() != thread:
            hook(unraisable)

    sys.unraisablehook = listen
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(_ATTEMPTS):
                try:
                    for each in errors:
                        each.__traceback__ = None
                    gc.collect()
                    break
                except Interrupted:  # another one was on its way
                    continue
    finally:
        sys.unraisablehook = hook


def _memory(lending: int, beside: int, alone: bool) -> Memory | None:
    if lending:
        return Lending(lending, copied=alone)
    return SharedMemory(beside) if beside >= 0 else None


async def _serve(
    end: socket.socket, mouth: _Mouth, actor: Actor, modules: frozenset[str], memory: Memory | None
) -> None:
    channel = Channel(end, "the parent", memory=memory)
    serving = Serving(channel, actor, modules)
    mouth.speak_through(channel, serving.undisturbed)
    await serving.run()


class _Mouth:
    """Sends what the actor logs and prints: at first by its socket, then by its channel. Any thread."""

    def __init__(self, end: socket.socket) -> None:
        self._lock = threading.RLock()
        self._channel: Channel | None = None
        self._send: Callable[[bytes], Any] = lambda message: say(end, SAID, message)
        self._undisturbed: Callable[[Callable[[bytes], None], bytes], None] = lambda fn, message: fn(message)

    def speak_through(self, channel: Channel, undisturbed: Callable[[Callable[[bytes], None], bytes], None]) -> None:
        """By the channel from now on.

        Args:
            channel: The channel.
            undisturbed: Calls something, and has interrupts of the thread wait until it is done.
        """
        with self._lock:
            self._channel = channel
            self._send = lambda message: channel.send(SAID, 0, message)
        self._undisturbed = undisturbed

    def say(self, message: bytes) -> None:
        self._undisturbed(self._say, message)

    def _say(self, message: bytes) -> None:
        with self._lock, suppress(ChannelClosed, OSError):  # nobody hears it
            self._send(message)

    def close(self) -> None:
        """Nobody waits for this thread to say something, if it was interrupted as it did."""
        let_go(self._lock)
        if self._channel is not None:
            self._channel.let_go()
