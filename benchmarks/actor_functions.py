"""What the actors of the benchmarks run: a module that each of them imports."""

from __future__ import annotations

import os
import time
from typing import Any


def add(a: int, b: int) -> int:
    """A plain function: in weft's actors it runs in the worker thread."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """An async one: a task of the actor's loop."""
    return a + b


async def send(ctx: Any, size: int, count: int) -> None:
    """Sends so many items of so many bytes."""
    await ctx.started()
    item = bytes(size)
    async with ctx.open_stream() as stream:
        for _ in range(count):
            await stream.send(item)


async def spin() -> None:
    """Never lets its loop go on."""
    while True:
        pass


async def sleep_in_c(seconds: float) -> None:
    """Is where no interrupt gets to."""
    time.sleep(seconds)


def die() -> None:
    """Ends its process."""
    os._exit(3)
