"""Frames: what goes over a channel, in bytes and back.

A frame is a header (kind, number of buffers, length of the rest, number of the call), then a table of the buffers'
lengths, the head, and the buffers. What it says depends on its kind; nothing here looks into a head.

`Decoder` takes bytes as they come, in pieces of any size, and gives whole frames. It refuses an unknown kind, a length
over the limit and a table that does not fit, before it takes memory for them. One thread at a time.
Pinned by tests/actors/test_frames.py.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

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
"""Kind, number of the call, head, buffers."""

HEADER: Final = struct.Struct(">BBxxIQ")
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

_FROM_HERE_ON_BY_ITSELF: Final = 1 << 16  # bytes from which a body gets memory of its own size


def encode(kind: int, number: int = 0, head: Buffer = b"", buffers: Sequence[Buffer] = ()) -> list[Buffer]:
    """A frame, in the parts that `socket.sendmsg` takes.

    Raises:
        ChannelFault: It is longer than a frame may be.
    """
    if not buffers:
        if len(head) > MOST_BYTES:
            raise _too_long(len(head))
        if len(head) < 4096:
            return [HEADER.pack(kind, 0, len(head), number) + head]
        return [HEADER.pack(kind, 0, len(head), number), head]
    sizes = [len(buffer) for buffer in buffers]
    length = 4 * len(sizes) + len(head) + sum(sizes)
    if length > MOST_BYTES or len(sizes) > 255:
        raise _too_long(length)
    table = struct.pack(f">{len(sizes)}I", *sizes)
    return [HEADER.pack(kind, len(sizes), length, number) + table, head, *buffers]


def _too_long(length: int) -> ChannelFault:
    return ChannelFault(f"a message of {length} bytes is more than a channel takes ({MOST_BYTES}); send it in parts")


class Decoder:
    """Makes frames of bytes.

    Args:
        limit: Bytes after the header that a frame may have.
    """

    def __init__(self, limit: int = MOST_BYTES) -> None:
        self.limit = limit
        self._rest = b""
        self._header: tuple[int, int, int, int] | None = None  # of the frame whose body is being collected
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
        return [_frame(header, body)]

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
            kind, count, length, number = HEADER.unpack_from(data, at)
            if not 0 < kind <= _LAST_KIND:
                raise ChannelFault(f"no message begins with {data[at : at + HEADER.size].hex()}")
            if length > self.limit or 4 * count > length:
                raise ChannelFault(f"a message of {length} bytes was announced, and {self.limit} are allowed")
            body = at + HEADER.size
            if end - body < length:
                if length >= _FROM_HERE_ON_BY_ITSELF:
                    self._header = kind, count, length, number
                    self._body = bytearray(length)
                    self._filled = end - body
                    self._body[: self._filled] = data[body:]
                    return frames
                break
            at = body + length
            head = data[body:at]
            frames.append((kind, number, head, ()) if not count else _frame((kind, count, length, number), head))
        self._rest = data[at:]
        return frames


def _frame(header: tuple[int, int, int, int], body: Buffer) -> Frame:
    kind, count, length, number = header
    if not count:
        return kind, number, body, ()
    sizes = struct.unpack_from(f">{count}I", body)
    begin = length - sum(sizes)
    if begin < 4 * count:
        raise ChannelFault(f"a message of {length} bytes has buffers of {sum(sizes)}")
    view = memoryview(body)
    head = view[4 * count : begin]
    buffers: list[Buffer] = []
    for size in sizes:
        buffers.append(view[begin : begin + size])
        begin += size
    return kind, number, head, buffers
