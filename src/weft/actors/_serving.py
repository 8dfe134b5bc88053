"""What an actor does: takes calls from its channel, runs them, and answers, until it is asked to end.

Async functions are tasks of the actor's loop, plain ones run in its worker thread. A call that raises is answered with
what it raised, and the actor goes on. The loop's thread reads the channel, and answers signs of life between two steps
of tasks: an actor that gives none is stuck in one.

Ends when the parent says so or is gone: all tasks are cancelled, the call in the worker thread is interrupted, and when
none is left the last word goes to the parent. It does not end itself by force; that is the parent's business.
Pinned by tests/actors/.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio

from weft._payloads import asides
from weft._payloads.failures import dump_failure
from weft._payloads.main_module import ALIAS
from weft.actors._channel import Channel
from weft.actors._crew import Crew
from weft.actors._frames import (
    BYE,
    CALL,
    CANCEL,
    CANCELLED,
    CREDIT,
    DEFINE,
    END,
    END_TAKEN,
    ERROR,
    ITEM,
    LAST_ITEM,
    OPEN,
    PING,
    PONG,
    RESULT,
    Buffer,
    Frame,
)
from weft.actors._identity import Actor
from weft.actors._loops import here
from weft.actors._messages import load_function, module_of, pack, unpack_call
from weft.actors._stream import Context, has_begun, stream_of
from weft.actors._worker import Worker
from weft.errors import ChannelClosed, ChannelFault, Interrupted, InvalidSetting

__all__ = ["Serving", "check_enabled"]


def check_enabled(fn: Callable[..., object], modules: frozenset[str], actor: str) -> None:
    """Raises InvalidSetting unless the function is of one of these modules."""
    module = module_of(fn)
    if module == ALIAS:
        module = "__main__"
    if module not in modules:
        raise InvalidSetting(
            f"function {getattr(fn, '__qualname__', fn)!r} is of module {module!r}, which actor {actor!r} does not "
            f"enable; start it with enable_modules=[{module!r}]",
            setting="enable_modules",
            value=sorted(modules),
        )


class _Unusable:
    """Stands for a function that could not be found or made here."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Serving:
    """One actor at work.

    Args:
        channel: To its parent.
        actor: Who it is.
        modules: Those whose functions may be called.
    """

    def __init__(self, channel: Channel, actor: Actor, modules: frozenset[str]) -> None:
        self._channel = channel
        self._actor = actor
        self._modules = modules
        self._functions: dict[int, tuple[Callable[..., Any], bool] | _Unusable] = {}
        self._running: dict[int, anyio.CancelScope] = {}
        self._crew = Crew(here(), self._running)
        self._contexts: dict[int, Context] = {}
        self._worker = Worker(here(), self._report, f"weft-actor-{actor.name}-calls")
        self.undisturbed = self._worker.undisturbed
        self._ended = anyio.Event()

    async def run(self) -> None:
        """Works until it is to end, and all that it runs has ended."""
        try:
            async with anyio.create_task_group() as reading:
                async with self._crew:
                    reading.start_soon(self._read)
                    await self._ended.wait()
                await self._worker.end()
                with suppress(ChannelClosed):
                    self._channel.send(BYE)
                await self._channel.flushed()
                reading.cancel_scope.cancel()
        finally:
            self._worker.abandon()  # a loop that was interrupted has not ended it

    async def _read(self) -> None:
        try:
            await self._channel.run(self._take)
        except ChannelFault:  # a parent that talks nonsense is no parent
            pass
        finally:
            self._ended.set()

    # ---- frames, on the loop's thread --------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        kind, number, head, buffers = frame
        if kind in (CALL, OPEN):
            self._begin(kind, number, frame)
        elif kind in (ITEM, LAST_ITEM, CREDIT):
            context = self._contexts.get(number)
            if context is not None:
                stream_of(context).take(kind, head, buffers)
        elif kind == DEFINE:
            self._functions[number] = self._define(head)
        elif kind == CANCEL:
            scope = self._running.get(number)
            if scope is not None:
                scope.cancel()
            else:
                self._worker.take_back(number)
        elif kind == PING:
            with suppress(ChannelClosed):
                self._channel.send(PONG, number)
        elif kind == END:
            with suppress(ChannelClosed):
                self._channel.send(END_TAKEN)
            self._ended.set()
        else:
            raise ChannelFault(f"an actor is not sent a message of kind {kind}")

    def _define(self, head: Buffer) -> tuple[Callable[..., Any], bool] | _Unusable:
        try:
            fn = load_function(head)
            check_enabled(fn, self._modules, self._actor.name)
            return fn, inspect.iscoroutinefunction(inspect.unwrap(fn)) or inspect.iscoroutinefunction(fn)
        except Exception as error:
            return _Unusable(error)

    def _begin(self, kind: int, number: int, frame: Frame) -> None:
        _, _, head, buffers = frame
        try:
            index, kwargs = unpack_call(head, buffers)
            found = self._functions.get(index)
            if found is None:
                raise LookupError(f"no function has the number {index}")
            if isinstance(found, _Unusable):
                raise found.error
            fn, is_async = found
            if kind == OPEN and not is_async:
                raise TypeError(f"open_context needs an async function, and {fn.__qualname__} is a plain one")
        except Exception as error:
            self._report(number, False, error)
            return
        if not self._crew.is_hiring:  # it is ending
            self._answer(CANCELLED, number)
        elif kind == OPEN:
            context = self._contexts[number] = Context(self._channel, number, "the caller of this context")
            self._crew.start(self._run_in_context, number, self._scope_of(number), fn, context, kwargs)
        elif is_async:
            self._crew.start(self._run, number, self._scope_of(number), fn, (), kwargs)
        else:
            self._worker.put(number, fn, kwargs)

    # ---- calls -------------------------------------------------------------------------------------

    def _scope_of(self, number: int) -> anyio.CancelScope:
        """What a call can be cancelled by: from now on, though its task may not begin before the next turn."""
        scope = self._running[number] = anyio.CancelScope()
        return scope

    async def _run(
        self,
        number: int,
        scope: anyio.CancelScope,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        try:
            with scope:
                self._report(number, True, await fn(*args, **kwargs))
                return
        except anyio.get_cancelled_exc_class():
            self._answer(CANCELLED, number)
            raise
        except BaseException as error:
            self._report(number, False, error)
            return
        finally:
            del self._running[number]
        self._answer(CANCELLED, number)

    async def _run_in_context(
        self,
        number: int,
        scope: anyio.CancelScope,
        fn: Callable[..., Any],
        context: Context,
        kwargs: Mapping[str, Any],
    ) -> None:
        async def run(context: Context, **kwargs: Any) -> Any:
            value = await fn(context, **kwargs)
            if not has_begun(context):
                raise RuntimeError(f"{fn.__qualname__} returned without a call of its context's started()")
            return value

        try:
            await self._run(number, scope, run, (context,), kwargs)
        finally:
            del self._contexts[number]
            stream_of(context).finish(None)

    def _report(self, number: int, good: bool, outcome: object) -> None:
        """Any thread: what came of a call."""
        asides.let_go()
        if asides.unfinished:
            asides.flush()
        try:
            if good:
                head, buffers = pack(outcome)
                self._channel.send(RESULT, number, head, buffers)
                return
        except ChannelClosed as error:
            if not isinstance(error, ChannelFault) or self._channel.is_closed:
                return
            outcome = error  # the result is too long
        except BaseException as error:
            outcome = error
        assert isinstance(outcome, BaseException)
        data = None
        while data is None:
            if self._ended.is_set() and _is_of_interruption(outcome):
                self._answer(CANCELLED, number)
                return
            try:
                data = dump_failure(outcome)
            except Interrupted:  # asked to stop once more, while it is told what came of that
                continue
            except BaseException as error:
                sys.excepthook(type(error), error, error.__traceback__)
                data = dump_failure(RuntimeError(f"an exception could not be packed: {error!r}"))
        self._answer(ERROR, number, data)

    def _answer(self, kind: int, number: int, head: bytes = b"") -> None:
        with suppress(ChannelClosed):
            self._channel.send(kind, number, head)


def _is_of_interruption(error: BaseException) -> bool:
    """Whether it is an interruption, or what the library makes of one raised inside of it: scopes stay open."""
    each: BaseException | None = error
    while isinstance(each, RuntimeError):
        raised_in = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(each.__traceback__)]
        if not raised_in or raised_in[-1].partition(".")[0] not in ("trio", "anyio"):
            break
        each = each.__context__
    return isinstance(each, Interrupted)
