"""The two ends of a context, and the stream between them. Both sides have the same.

Each side may have `WINDOW` items on their way to the other, a large one counting as more: `send` waits when there are
as many that the other has not taken. So a slow reader slows its writer, and memory is bounded; other calls to the same
actor go on.

On the loop's thread, all of it. Ends when either side leaves its `open_stream` block (the other then reads what there
is, and no more), with the context's task, or with the channel, which wakes every reader with `ChannelClosed`.
Pinned by tests/actors/test_streams.py.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio

from weft.actors._channel import Channel
from weft.actors._frames import CREDIT, ITEM, LAST_ITEM, STARTED, Buffer
from weft.actors._messages import pack, unpack
from weft.actors._notice import Notice
from weft.errors import ChannelClosed, ChannelFault

__all__ = ["Context", "Stream", "has_begun", "stream_of"]

WINDOW: Final = 64  # `send` says so
_LARGE: Final = 1 << 22  # bytes of an item that count as one more
_COUNT = struct.Struct(">I")


class Context:
    """A task in an actor and its caller, linked: if one is cancelled or fails, so is the other.

    The caller gets one from `Portal.open_context`, the actor's function as its first argument.

    Example:
        >>> from weft.actors import Context
        >>> async def count(ctx: Context, upto: int) -> None:  # a function for an actor
        ...     await ctx.started("ready")
        ...     async with ctx.open_stream() as stream:
        ...         for number in range(upto):
        ...             await stream.send(number)
    """

    def __init__(self, channel: Channel, number: int, peer: str) -> None:
        self._channel = channel
        self._number = number
        self._stream = Stream(channel, number, peer)
        self._peer = peer
        self._has_begun = False

    async def started(self, value: Any = None) -> None:
        """Lets the caller's `open_context` go on. The actor's function calls it once.

        Args:
            value: What the caller gets as ``first``.

        Raises:
            RuntimeError: It was called before.
            weft.errors.PayloadError: The value cannot cross.
        """
        if self._has_begun:
            raise RuntimeError("started() was called before; call it once, when the context is ready")
        head, buffers = pack(value, "value")
        self._channel.send(STARTED, self._number, head, buffers)
        self._has_begun = True
        await self._channel.drained()

    @asynccontextmanager
    async def open_stream(self) -> AsyncGenerator[Stream]:
        """A stream to the other side, which opens one too.

        Yields:
            The stream. When the block is left, the other side reads what has been sent, and then the end.
        """
        try:
            yield self._stream
        finally:
            self._stream.end()


class Stream:
    """Items to the other side of a context, and from it: ``await stream.send(x)``, ``async for y in stream``.

    Example:
        >>> from weft.actors import Stream
        >>> async def double(stream: Stream) -> None:
        ...     async for number in stream:
        ...         await stream.send(2 * number)
    """

    def __init__(self, channel: Channel, number: int, peer: str) -> None:
        self._channel = channel
        self._number = number
        self._peer = peer
        self._items: deque[tuple[Buffer, Sequence[Buffer]]] = deque()
        self._taken = 0  # since leave was given last
        self._leave = WINDOW  # items that may be sent
        self._ended_here = False
        self._ended_there = False
        self._broken: BaseException | None = None
        self._changed: Notice | None = None  # while somebody waits

    async def send(self, value: Any) -> None:
        """Sends an item; waits while the other side has not taken the last 64.

        Args:
            value: What the other side gets.

        Raises:
            weft.errors.PayloadError: It cannot cross.
            weft.errors.ChannelClosed: The other side has ended.
        """
        if self._ended_here:
            raise ChannelClosed("this side's stream has been left; send within its block")
        head, buffers = pack(value, "value")
        while self._leave <= 0 and self._broken is None and not self._ended_there:
            await self._wait()
        if self._broken is not None:
            raise self._why_broken()
        if self._leave <= 0:
            raise ChannelClosed(f"{self._peer} reads no more")
        self._leave -= _weight(head, buffers)
        self._channel.send(ITEM, self._number, head, buffers)
        if self._channel.is_behind:
            await self._channel.drained()

    async def receive(self) -> Any:
        """The next item; waits for it.

        Raises:
            anyio.EndOfStream: There is none to come.
            weft.errors.ChannelClosed: The other side has ended without saying so.
        """
        while not self._items:
            if self._ended_there:
                raise anyio.EndOfStream
            if self._broken is not None:
                raise self._why_broken()
            await self._wait()
        head, buffers = self._items.popleft()
        self._taken += _weight(head, buffers)
        if self._taken >= WINDOW // 2:
            with suppress(ChannelClosed):
                self._channel.send(CREDIT, self._number, _COUNT.pack(self._taken))
            self._taken = 0
        return unpack(head, buffers, "an item")

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    def _why_broken(self) -> ChannelClosed:
        return ChannelClosed(f"{self._peer} has ended, and its stream with it: {self._broken}")

    # ---- for who reads the channel -------------------------------------------------------------------

    def end(self) -> None:
        """This side sends no more."""
        if not self._ended_here:
            self._ended_here = True
            with suppress(ChannelClosed):
                self._channel.send(LAST_ITEM, self._number)

    def take(self, kind: int, head: Buffer, buffers: Sequence[Buffer]) -> None:
        """A frame of this stream has come.

        Raises:
            ChannelFault: The other side sends more than it may.
        """
        if kind == ITEM:
            if len(self._items) >= 2 * WINDOW:
                raise ChannelFault(f"{self._peer} sends more items than it has leave to")
            self._items.append((head, buffers))
        elif kind == LAST_ITEM:
            self._ended_there = True
        elif len(head) == _COUNT.size:
            self._leave += _COUNT.unpack(head)[0]
        self._wake()

    def finish(self, broken: BaseException | None) -> None:
        """The other side's task has ended, or the channel has."""
        if broken is None:
            self._ended_there = True
        elif not self._ended_there:
            self._broken = broken
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def _wait(self) -> None:
        if self._changed is None:
            self._changed = Notice(self._channel.loop)
        await self._changed.wait()


def _weight(head: Buffer, buffers: Sequence[Buffer]) -> int:
    """What an item counts as, the same on both sides."""
    if not buffers and len(head) < _LARGE:
        return 1
    return 1 + min((len(head) + sum(map(len, buffers))) // _LARGE, WINDOW)


def stream_of(context: Context) -> Stream:
    """The one stream of a context, for who reads the channel."""
    return context._stream  # pyright: ignore[reportPrivateUsage]


def has_begun(context: Context) -> bool:
    """Whether the actor's function has called `started`."""
    return context._has_begun  # pyright: ignore[reportPrivateUsage]
