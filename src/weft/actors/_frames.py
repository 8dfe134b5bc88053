"""Frames: what goes over a channel, in bytes and back.

A frame is a header (kind, flags, number of buffers, length of the rest, number of the call), then a table of the
buffers' lengths, the head, and the buffers. Instead of a large buffer there may be a slip, which says where in the
memory beside the channel it is (weft.actors._memory); a large head goes as the first buffer. What a frame says depends
on its kind; nothing here looks into a head.

`Decoder` takes bytes as they come, in pieces of any size, and gives whole frames. It refuses an unknown kind, a length
over the limit and a table that does not fit, before it takes memory for them. One thread at a time.
Pinned by tests/actors/test_frames.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from weft.actors._memory import SLIP_BYTES, Slip
from weft.errors import ChannelFault

__all__ = [
    "BYE",
    "CALL",
    "CANCEL",
    "CANCELLED",
    "CREDIT",
    "DEFINE",
    "END",
    "END_TAKEN",
    "ERROR",
    "FAILED",
    "HEADER",
    "HELLO",
    "ITEM",
    "LAST_ITEM",
    "MOST_BUFFERS",
    "MOST_BYTES",
    "OPEN",
    "PING",
    "PONG",
    "READY",
    "RESULT",
    "SAID",
    "SPEC",
    "STARTED",
    "Buffer",
    "Decoder",
    "Frame",
    "encode",
]

type Buffer = bytes | bytearray | memoryview
type Frame = tuple[int, int, Buffer, Sequence[Buffer]]
type Header = tuple[int, int, int, int, int]
"""Kind, number of the call, head, buffers."""

HEADER: Final = struct.Struct(">BBHIQ")
MOST_BYTES: Final = 1 << 30
"""Bytes after the header that a frame may have."""

# The handshake: the child says hello, is told what to be, and says that it is ready, or what it failed with.
HELLO, SPEC, READY, FAILED = range(1, 5)
# The parent: a function under a number, a call of one, a context of one; take a call back; end.
DEFINE, CALL, OPEN, CANCEL, END = range(5, 10)
# The child: what came of a call; what a context began with; it has heard that it is to end, and has ended.
RESULT, ERROR, CANCELLED, STARTED, END_TAKEN, BYE = range(10, 16)
# Both: an item of a stream, the end of one, leave to send more; signs of life; what was logged or printed.
ITEM, LAST_ITEM, CREDIT, PING, PONG, SAID = range(16, 22)
_LAST_KIND: Final = SAID

MOST_BUFFERS: Final = (1 << 16) - 1
_HEAD_IS_FIRST: Final = 1  # the flag
_IS_SLIP: Final = 1 << 31  # in the length of a buffer
_PARTS: Final = 64  # from which they are joined: a system call takes only so many

_FROM_HERE_ON_BY_ITSELF: Final = 1 << 16  # bytes from which a body gets memory of its own size


def encode(
    kind: int, number: int = 0, head: Buffer | Slip = b"", buffers: Sequence[Buffer | Slip] = ()
) -> list[Buffer]:
    """A frame, in the parts that `socket.sendmsg` takes.

    Raises:
        ChannelFault: It is longer than a frame may be.
    """
    flags = 0
    if isinstance(head, Slip):
        head, buffers, flags = b"", (head, *buffers), _HEAD_IS_FIRST
    if not buffers:
        if len(head) > MOST_BYTES:
            raise _too_long(len(head))
        if len(head) < 4096:
            return [HEADER.pack(kind, 0, 0, len(head), number) + head]
        return [HEADER.pack(kind, 0, 0, len(head), number), head]
    table: list[int] = []
    parts: list[Buffer] = [b"", head]
    length = 4 * len(buffers) + len(head)
    for buffer in buffers:
        if isinstance(buffer, Slip):
            parts.append(buffer.data)
            table.append(SLIP_BYTES | _IS_SLIP)
            length += SLIP_BYTES
        else:
            parts.append(buffer)
            length += len(buffer)
            table.append(min(len(buffer), MOST_BYTES))
    if length > MOST_BYTES or len(table) > MOST_BUFFERS:
        raise _too_long(length)
    parts[0] = HEADER.pack(kind, flags, len(table), length, number) + struct.pack(f">{len(table)}I", *table)
    return parts if len(parts) <= _PARTS else [b"".join(parts)]


def _too_long(length: int) -> ChannelFault:
    return ChannelFault(f"a message of {length} bytes is more than a channel takes ({MOST_BYTES}); send it in parts")


class Decoder:
    """Makes frames of bytes.

    Args:
        limit: Bytes after the header that a frame may have.
        take: Gives what a slip says; without it, a frame may have none.
    """

    def __init__(self, limit: int = MOST_BYTES, take: Callable[[bytes], memoryview] | None = None) -> None:
        self.limit = limit
        self._take = take
        self._rest = b""
        self._header: Header | None = None  # of the frame whose body is being collected
        self._body = bytearray()
        self._filled = 0

    @property
    def is_between_frames(self) -> bool:
        """Whether all that came was whole frames."""
        return self._header is None and not self._rest

    def room(self) -> memoryview | None:
        """Where to receive to, if a long body is being collected: then `filled` says how much came."""
        return memoryview(self._body)[self._filled :] if self._header is not None else None

    def filled(self, count: int) -> list[Frame]:
        """So many bytes were received into `room`."""
        self._filled += count
        if self._header is None or self._filled < len(self._body):
            return []
        header, body = self._header, self._body
        self._header, self._body = None, bytearray()
        return [self._frame(header, body)]

    def feed(self, data: bytes) -> list[Frame]:
        """Takes bytes, and gives the frames that are whole now.

        Raises:
            ChannelFault: This is no frame.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        frames: list[Frame] = []
        at, end = 0, len(data)
        while end - at >= HEADER.size:
            kind, flags, count, length, number = HEADER.unpack_from(data, at)
            if not 0 < kind <= _LAST_KIND:
                raise ChannelFault(f"no message begins with {data[at : at + HEADER.size].hex()}")
            if length > self.limit or 4 * count > length:
                raise ChannelFault(f"a message of {length} bytes was announced, and {self.limit} are allowed")
            body = at + HEADER.size
            if end - body < length:
                if length >= _FROM_HERE_ON_BY_ITSELF:
                    self._header = kind, flags, count, length, number
                    self._body = bytearray(length)
                    self._filled = end - body
                    self._body[: self._filled] = data[body:]
                    return frames
                break
            at = body + length
            head = data[body:at]
            frames.append(
                (kind, number, head, ()) if not count else self._frame((kind, flags, count, length, number), head)
            )
        self._rest = data[at:]
        return frames

    def _frame(self, header: Header, body: Buffer) -> Frame:
        kind, flags, count, length, number = header
        if not count:
            return kind, number, body, ()
        table = struct.unpack_from(f">{count}I", body)
        total = sum(size & ~_IS_SLIP for size in table)
        begin = length - total
        if begin < 4 * count:
            raise ChannelFault(f"a message of {length} bytes has buffers of {total}")
        # A view of its own for each: those that come of one another share a count, which free threads do not change
        # in one step on 3.13, and what is made of them is dropped by any thread.
        head = memoryview(body)[4 * count : begin]
        buffers: list[Buffer] = []
        for size in table:
            end = begin + (size & ~_IS_SLIP)
            part = memoryview(body)[begin:end]
            buffers.append(self._of_slip(bytes(part)) if size & _IS_SLIP else part)
            begin = end
        if flags & _HEAD_IS_FIRST:
            head = memoryview(buffers.pop(0))
        return kind, number, head, buffers

    def _of_slip(self, slip: bytes) -> memoryview:
        if self._take is None or len(slip) != SLIP_BYTES:
            raise ChannelFault("a message names memory beside the channel, and there is none, or not in these words")
        return self._take(slip)
