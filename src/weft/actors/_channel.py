"""A channel: frames over one end of a pair of local sockets, between an actor and its parent.

`send` may be called by any thread, and never blocks: what the socket does not take at once is kept, in order, and a
task of the loop sends it on. `drained` waits until little is kept, for who sends much. `run` reads, on the loop, and
hands each frame to `deliver`, which must not block. What it raises for garbage closes this channel and no other.

What is large goes into the memory beside the channel, and its frame only names it.

Ends when the peer closes its end, when either side sends what is no frame, or by `close`. From then on `send` raises
`ChannelClosed`, and whoever waits in `drained` is woken. The descriptor is closed at once, by the loop's thread.
Pinned by tests/actors/test_channel.py.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio

from weft._locks import let_go
from weft.actors._frames import Buffer, Decoder, Frame, encode
from weft.actors._loops import Loop, here
from weft.actors._memory import LEAST, Memory, Slip
from weft.errors import ChannelClosed, ChannelFault

__all__ = ["Channel"]

_AT_ONCE = 1 << 16  # bytes asked for in one read, if there is much to be read
_AT_FIRST = 1 << 12  # else: a large object is made for each read
_MUCH = 1 << 20  # bytes kept from which `drained` waits
_READS_IN_A_ROW = 16  # before others of the loop have their turn


class Channel:
    """One end of a pair of sockets.

    Args:
        end: The socket; the channel's own from now on.
        peer: Who is at the other end, for messages.
        decoder: What reads on from the handshake; a new one by default.
        early: Frames that came with the end of the handshake.
        memory: This side of the memory beside it; closed with the channel.

    Attributes:
        loop: The loop that reads it.
    """

    def __init__(
        self,
        end: socket.socket,
        peer: str,
        decoder: Decoder | None = None,
        early: Sequence[Frame] = (),
        memory: Memory | None = None,
    ) -> None:
        end.setblocking(False)
        self._socket = end
        self._peer = peer
        self._decoder = decoder or Decoder(take=None if memory is None else memory.take)
        self._memory = memory
        self._early = list(early)
        self.loop: Loop = here()
        self._lock = threading.RLock()  # see _locks: the loop's thread may be interrupted, that of an actor
        self._kept: deque[memoryview] = deque()
        self._kept_bytes = 0
        self._ask = _AT_FIRST
        self._flushing = False
        self._closed: BaseException | None = None
        self._over = anyio.Event()
        self._room = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._deliver: Callable[[Frame], None] = _nobody

    @property
    def is_closed(self) -> bool:
        """Whether nothing goes over it any more."""
        return self._closed is not None

    def send(self, kind: int, number: int = 0, head: Buffer = b"", buffers: Sequence[Buffer] = ()) -> None:
        """Sends a frame, or keeps it to be sent.

        Raises:
            ChannelClosed: The channel is closed.
            ChannelFault: The frame is too long.
        """
        if self._memory is not None and (buffers or len(head) >= LEAST):
            parts = encode(kind, number, *_beside(self._memory, head, buffers))
        else:
            parts = encode(kind, number, head, buffers)
        with self._lock:
            if self._closed is not None:
                raise self._why_closed()
            if not self._kept:
                try:
                    if len(parts) == 1:
                        sent = self._socket.send(parts[0])
                        if sent == len(parts[0]):
                            return
                    else:
                        sent = self._socket.sendmsg(parts)
                except BlockingIOError:
                    sent = 0
                except OSError as error:
                    self.loop.post(self.close, None)
                    raise ChannelClosed(f"the channel to {self._peer} is closed: {error}") from None
            else:
                sent = 0
            self._keep_lock_held(parts, sent)
            if self._flushing or not self._kept:
                return
            self._flushing = True
        self.loop.post(self._start_flushing)

    def _keep_lock_held(self, parts: Sequence[Buffer], sent: int) -> None:
        for part in parts:
            view = memoryview(part).cast("B") if len(part) else memoryview(b"")
            if sent >= len(view):
                sent -= len(view)
                continue
            # Copied, since the caller may change what it sent, and a bytearray that is exported cannot grow.
            rest = view[sent:] if type(part) is bytes else memoryview(bytes(view[sent:]))
            self._kept.append(rest)
            self._kept_bytes += len(rest)
            sent = 0

    def _start_flushing(self) -> None:
        if self._tasks is not None and self._closed is None and not self._has_flusher:
            self._has_flusher = True
            self._tasks.start_soon(self._flush)

    _has_flusher = False  # only the loop's thread asks; `_flushing` says that one is there or will be

    async def _flush(self) -> None:
        while self._closed is None:
            try:
                await anyio.wait_writable(self._socket)
            except (OSError, ValueError, anyio.ClosedResourceError):
                break
            with self._lock:
                if not self._send_kept_lock_held():
                    break
            if self._kept_bytes < _MUCH:
                self._wake_senders()
        self._has_flusher = False
        if self._kept:  # kept since the lock was given back
            self._start_flushing()
        self._wake_senders()

    def _send_kept_lock_held(self) -> bool:
        """Sends what the socket takes; whether something is left."""
        while self._kept and self._closed is None:
            first = self._kept[0]
            try:
                sent = self._socket.send(first)
            except BlockingIOError:
                return True
            except OSError:
                self.loop.post(self.close, None)
                break
            self._kept_bytes -= sent
            if sent < len(first):
                self._kept[0] = first[sent:]
            else:
                self._kept.popleft()
        self._flushing = False
        return False

    def _wake_senders(self) -> None:
        room, self._room = self._room, anyio.Event()
        room.set()

    @property
    def is_behind(self) -> bool:
        """Whether much is kept, so that `drained` would wait."""
        return self._kept_bytes >= _MUCH

    async def drained(self) -> None:
        """Waits until little is kept. The loop's tasks."""
        while self._kept_bytes >= _MUCH and self._closed is None:
            await self._room.wait()

    async def flushed(self) -> None:
        """Waits until nothing is kept. The loop's tasks."""
        while self._kept and self._closed is None:
            await self._room.wait()

    async def run(self, deliver: Callable[[Frame], None]) -> None:
        """Reads until the channel is closed.

        Args:
            deliver: Takes each frame, on the loop's thread.

        Raises:
            ChannelFault: What came in is none of weft's.
        """
        self._deliver = deliver
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                if self._kept:
                    self._start_flushing()
                early, self._early = self._early, []
                self._take(early)
                unwatch = self.loop.watch(self._socket.fileno(), self._readable) if self._closed is None else None
                if unwatch is None:
                    await self._read()
                else:
                    self._unwatch = unwatch
                    await self._over.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self.close(None)
        if isinstance(self._closed, ChannelFault):
            raise self._closed

    _unwatch: Callable[[], None] | None = None

    async def _read(self) -> None:
        while self._closed is None:
            try:
                await anyio.wait_readable(self._socket)
            except (OSError, ValueError, anyio.ClosedResourceError):
                return
            self._readable()

    def _readable(self) -> None:
        try:
            for _ in range(_READS_IN_A_ROW):
                if self._closed is not None or not self._read_once():
                    return
        except ChannelFault as error:
            self.close(error)
        except OSError:
            self.close(None)

    def _read_once(self) -> bool:
        """Reads what is there; whether there may be more."""
        decoder = self._decoder
        room = decoder.room()
        try:
            if room is not None:
                count = self._socket.recv_into(room)
                full = count == len(room)
                room.release()
                if count:
                    self._take(decoder.filled(count))
                    return full
            else:
                data = self._socket.recv(self._ask)
                if data:
                    full = len(data) == self._ask
                    self._ask = _AT_ONCE if full else _AT_FIRST
                    self._take(decoder.feed(data))
                    return full
        except BlockingIOError:
            return False
        if decoder.is_between_frames:
            self.close(None)
        else:
            self.close(ChannelFault(f"{self._peer} went away in the middle of a message"))
        return False

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            if self._closed is not None:
                return
            self._deliver(frame)

    def close(self, why: BaseException | None) -> None:
        """Closes it, if it is not. The loop's thread."""
        with self._lock:
            if self._closed is not None:
                return
            self._closed = why or ChannelClosed(f"the channel to {self._peer} is closed")
            self._kept.clear()
            self._kept_bytes = 0
            if self._unwatch is not None:
                with suppress(Exception):  # the loop is closed
                    self._unwatch()
            with suppress(OSError):
                anyio.notify_closing(self._socket)
            self._socket.close()
        self.let_go()
        if self._memory is not None:
            self._memory.close()
        self._over.set()
        self._wake_senders()

    def let_go(self) -> None:
        """Lets other threads find it closed, though the calling one was interrupted as it had the lock."""
        let_go(self._lock)

    def _why_closed(self) -> ChannelClosed:
        if isinstance(self._closed, ChannelFault):
            return ChannelFault(str(self._closed))
        return ChannelClosed(f"the channel to {self._peer} is closed")


def _beside(memory: Memory, head: Buffer, buffers: Sequence[Buffer]) -> tuple[Buffer | Slip, Sequence[Buffer | Slip]]:
    """A frame's head and buffers, with slips for what is large."""

    def of(part: Buffer) -> Buffer | Slip:
        return part if len(part) < LEAST else memory.put(part) or part

    return of(head), [of(buffer) for buffer in buffers]


def _nobody(_: Frame) -> None:
    """Nobody reads yet."""
