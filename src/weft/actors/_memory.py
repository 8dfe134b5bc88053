"""Memory beside a channel: what is large is put there by one side and taken by the other, and a frame only names it.

Between processes that is shared memory (native/channel/blocks.hpp): the sender copies into a block, the receiver reads
it in place, and the block comes back when the last view of it is gone. Nothing of it has a name in the file system.
Within one process a buffer is lent as it is, but by an interpreter that may end before what it has sent is read: that
lends a copy.

`put` by any thread; `take` by who reads the channel. What cannot be put (no memory, too many blocks) goes in the frame.
What the other side made up raises `ChannelFault`: blocks are sealed, and each size is checked.
Ends with the channel. Views that were taken stay good for as long as they live.
Pinned by tests/actors/test_buffers.py.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import Any, Final, Protocol

from weft import _core
from weft.errors import ChannelFault

__all__ = ["LEAST", "SLIP_BYTES", "Lending", "Memory", "SharedMemory", "Slip", "make_sockets"]

LEAST: Final = 1 << 16
"""Bytes of a buffer that goes beside the channel."""

_SLIP: Final = struct.Struct(">QQQ?")
SLIP_BYTES: Final = _SLIP.size


class Slip:
    """What a frame says of a buffer that is not in it: its name, where in that, its size, and whether it is read-only.

    Attributes:
        data: That in bytes.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Memory(Protocol):
    """One side's."""

    def put(self, buffer: bytes | bytearray | memoryview) -> Slip | None:
        """Puts a buffer where the other side can take it. None: it has to go in the frame."""

    def take(self, slip: bytes) -> memoryview:
        """What the other side has put.

        Raises:
            ChannelFault: It has not.
        """
        ...

    def close(self) -> None:
        """Nothing is put or taken any more."""


class Lending:
    """Within one process.

    Args:
        number: The same for both sides; a new one by default.
        copied: Whether this side may end before the other has read what it was lent.
    """

    def __init__(self, number: int | None = None, *, copied: bool = False) -> None:
        self.number = _core.begin_lending() if number is None else number
        self._copied = copied

    def put(self, buffer: bytes | bytearray | memoryview) -> Slip | None:
        """See `Memory`."""
        name = _core.lend_buffer(self.number, buffer, self._copied)
        return None if name is None else Slip(_SLIP.pack(name, 0, len(buffer), False))

    def take(self, slip: bytes) -> memoryview:
        """See `Memory`."""
        name, _, size, _ = _SLIP.unpack(slip)
        try:
            view = memoryview(_core.take_lent(self.number, name))
        except ValueError as error:
            raise ChannelFault(str(error)) from None
        if len(view) != size:
            raise ChannelFault(f"a message names {size} bytes of a buffer of {len(view)}")
        return view

    def close(self) -> None:
        """See `Memory`."""
        _core.end_lending(self.number)


class SharedMemory:
    """Between processes.

    Args:
        descriptor: One of `make_sockets`; this object's own from now on.
    """

    def __init__(self, descriptor: int) -> None:
        self._blocks: Any = _core.open_blocks(descriptor)

    def put(self, buffer: bytes | bytearray | memoryview) -> Slip | None:
        """See `Memory`."""
        blocks = self._blocks
        named = None if blocks is None else _core.put_block(blocks, buffer)
        return None if named is None else Slip(_SLIP.pack(*named))

    def take(self, slip: bytes) -> memoryview:
        """See `Memory`."""
        blocks = self._blocks
        if blocks is None:
            raise ChannelFault("a message names memory after the end of its channel")
        try:
            return memoryview(_core.take_block(blocks, *_SLIP.unpack(slip)))
        except (ValueError, OSError) as error:
            raise ChannelFault(f"a message names memory that is not to be had: {error}") from None

    def close(self) -> None:
        """See `Memory`."""
        self._blocks = None


def make_sockets() -> tuple[int, int] | None:
    """Descriptors for the two sides of `SharedMemory`; None where there is no shared memory without a name."""
    if sys.platform != "linux":
        return None
    ours, theirs = _core.make_block_sockets()
    os.set_inheritable(theirs, False)
    return ours, theirs
