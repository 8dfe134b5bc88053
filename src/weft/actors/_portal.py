"""`Portal`: how a parent calls an actor.

All of it in tasks of the nursery's loop. Cancelling a call cancels it in the actor too, and waits until it has ended
there: for as long as an ending actor would be given, not longer. A portal outlives a restart of its actor: calls that
were running fail, later ones go to the new life.
Pinned by tests/actors/test_calls.py and test_streams.py.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio

from weft.actors._frames import CALL, OPEN
from weft.actors._life import Call, Life, Terms
from weft.actors._messages import pack_call, unpack
from weft.actors._notice import Notice
from weft.actors._serving import check_enabled
from weft.actors._stream import Context, stream_of
from weft.errors import ChannelClosed

__all__ = ["Owner", "Portal"]


class Owner(Protocol):
    """What a portal leads to: an actor in a nursery, through all its lives."""

    terms: Terms
    enabled: frozenset[str]

    async def life_now(self) -> Life:
        """The life that calls go to, waiting for the next one while the actor is restarted."""
        ...

    async def end(self) -> None:
        """Ends the actor, and waits until it has ended."""

    async def result(self) -> Any:
        """What the function returned that the actor was started for."""


class Portal:
    """Calls functions in an actor. Given by `Nursery.start_actor` and `Nursery.run_in_actor`.

    Attributes:
        name: The actor's name.
        path: Its name after those of the actors above it.

    Example:
        >>> import anyio
        >>> from weft.actors import open_nursery
        >>> async def main():
        ...     async with open_nursery(spawn="thread") as nursery:
        ...         portal = await nursery.start_actor("sums", enable_modules=["fractions"])
        ...         from fractions import Fraction
        ...         return await portal.run(Fraction, numerator=2, denominator=4)
        >>> anyio.run(main)
        Fraction(1, 2)
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.name = owner.terms.path[-1]
        self.path = owner.terms.path

    def __repr__(self) -> str:
        return f"<Portal to actor {'/'.join(self.path)!r}>"

    async def run(self, fn: Callable[..., Any], /, **kwargs: Any) -> Any:
        """Calls a function in the actor, and waits for what it returns.

        Args:
            fn: An async function, which runs as a task of the actor's loop, or a plain one, which runs in its worker
                thread, one at a time. Of a module that the actor enables.
            kwargs: Its arguments.

        Returns:
            What it returned.

        Raises:
            weft.errors.RemoteActorError: It raised. The exception itself is ``__cause__``; the actor goes on.
            weft.errors.ChannelClosed: The actor ended meanwhile, or had ended.
            weft.errors.PayloadError: An argument or the result cannot cross.
            weft.errors.InvalidSetting: The actor does not enable the function's module.
        """
        check_enabled(fn, self._owner.enabled, self.name)
        life = await self._owner.life_now()
        head, buffers = pack_call(life.number_of(fn), kwargs, getattr(fn, "__qualname__", "a function"))
        call = Call(life.loop)
        number = life.begin(call, CALL, head, buffers)
        try:
            if life.is_behind:
                await life.drained()
            await call.done.wait()
        except anyio.get_cancelled_exc_class():
            await _take_back(life, number, call)
            raise
        return call.outcome()

    async def result(self) -> Any:
        """Waits for the function that the actor was started for, by `Nursery.run_in_actor`.

        Returns:
            What it returned.

        Raises:
            weft.errors.RemoteActorError: It raised. The nursery fails with the same error.
            weft.errors.ChannelClosed: The actor was ended first.
            RuntimeError: The actor was started by `start_actor`, for no function.
        """
        return await self._owner.result()

    @asynccontextmanager
    async def open_context(self, fn: Callable[..., Any], /, **kwargs: Any) -> AsyncGenerator[tuple[Context, Any]]:
        """Runs a function in the actor as a task that is linked to this block.

        If the block is cancelled or raises, so is the function; if that raises, the block is cancelled and the error
        raised here. A block that ends waits for the function.

        Args:
            fn: An async function. It gets a `Context` before its arguments, and calls its ``started(value)``.
            kwargs: Its arguments.

        Yields:
            The context, and the value that ``started`` was called with.

        Raises:
            weft.errors.RemoteActorError: The function raised.
            weft.errors.ChannelClosed: The actor ended meanwhile, or had ended.
        """
        check_enabled(fn, self._owner.enabled, self.name)
        life = await self._owner.life_now()
        head, buffers = pack_call(life.number_of(fn), kwargs, getattr(fn, "__qualname__", "a function"))
        call = Call(life.loop)
        call.started = Notice(life.loop)
        number = life.begin(call, OPEN, head, buffers, f"actor {self.name!r}")
        context = call.context
        if context is None:
            raise ChannelClosed(f"actor {self.name!r} has ended")
        scope = anyio.CancelScope()
        try:
            with scope:
                await call.started.wait()
                if call.error is not None:
                    raise call.error
                if call.first is None:
                    raise ChannelClosed(f"the function in actor {self.name!r} ended before it called started()")
                first = unpack(*call.first, "the first value")
                call.on_done = lambda done: scope.cancel() if done.error is not None else None
                yield context, first
                stream_of(context).end()
                await call.done.wait()
        except BaseException:
            await _take_back(life, number, call)
            raise
        if not call.done.is_set():  # the block's own cancellation, which has been swallowed by nobody
            await _take_back(life, number, call)
        if call.error is not None:
            raise call.error

    async def cancel_actor(self) -> None:
        """Ends the actor: what runs there is cancelled. Returns when it has ended, within the nursery's bounds."""
        await self._owner.end()


async def _take_back(life: Life, number: int, call: Call) -> None:
    """Cancels a call in the actor, and waits until it has ended there, a while."""
    if call.done.is_set():
        return
    life.take_back(number)
    with anyio.CancelScope(shield=True), anyio.move_on_after(life.terms.grace):
        await call.done.wait()
