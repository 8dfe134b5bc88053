"""What the actors of the tests run. A module of its own, as actors import it."""

from __future__ import annotations

import array
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio

from weft.actors import Context, current_actor, open_nursery
from weft.errors import Interrupted


def add(a: int, b: int) -> int:
    return a + b


async def add_async(a: int, b: int) -> int:
    await anyio.sleep(0)
    return a + b


def whoami() -> tuple[str, tuple[str, ...], str | None]:
    actor = current_actor()
    return actor.name, actor.path, actor.spawn


async def whoami_async() -> tuple[str, tuple[str, ...], str | None]:
    return whoami()


def pid() -> int:
    return os.getpid()


def thread_name() -> str:
    return threading.current_thread().name


def fail(message: str = "no") -> None:
    raise ValueError(message)


async def fail_async(message: str = "no") -> None:
    await anyio.sleep(0)
    raise ValueError(message)


async def sleep_forever() -> None:
    await anyio.sleep_forever()


async def spin_async() -> None:
    while True:
        pass


def spin() -> None:
    while True:
        pass


async def sleep_in_c(seconds: float) -> None:
    """Lets go of the GIL, and of nothing else: no interrupt gets through."""
    time.sleep(seconds)


async def stick(path: str, seconds: float) -> None:
    """The same, and a file says so before."""
    Path(path).touch()
    time.sleep(seconds)


async def write_in_c(descriptor: int) -> None:
    """Stuck as in `sleep_in_c`, until the pipe's other end is closed; who finds something to read there knows that it is."""
    with open(descriptor, "wb", closefd=False) as pipe:  # os.write comes back early where its process is stopped
        pipe.write(bytes(1 << 20))  # more than a pipe holds


def die(status: int = 3) -> None:
    os._exit(status)


def segfault() -> None:
    ctypes.string_at(0)


def echo(value: Any) -> Any:
    return value


def make_lock() -> Any:
    return threading.Lock()


state = {"count": 0}


def count() -> int:
    state["count"] += 1
    return state["count"]


async def ignore_cancellation(until: float, path: str = "") -> None:
    """For so many seconds, or until there is a file."""
    end = time.monotonic() + until
    while time.monotonic() < end and not os.path.exists(path):
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)


async def clean_up(seconds: float, path: str) -> None:
    """Makes the file when it has begun, and says in it that it has cleaned up."""
    try:
        open(path, "w").close()
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds)
        with open(path, "w") as file:
            file.write("clean")


async def break_scopes() -> None:
    """As when `Interrupted` is raised inside of the library that opens or closes a scope."""
    outer, inner = anyio.CancelScope(), anyio.CancelScope()
    outer.__enter__()
    inner.__enter__()
    try:
        await anyio.sleep_forever()
    finally:
        try:
            raise Interrupted
        finally:
            outer.__exit__(*sys.exc_info())


async def numbers(ctx: Context, first: int, count: int) -> str:
    await ctx.started(first)
    async with ctx.open_stream() as stream:
        for number in range(first, first + count):
            await stream.send(number)
    return "done"


async def double(ctx: Context) -> int:
    await ctx.started()
    done = 0
    async with ctx.open_stream() as stream:
        async for number in stream:
            await stream.send(2 * number)
            done += 1
    return done


async def fail_in_context(ctx: Context, after: bool) -> None:
    if not after:
        raise ValueError("before started")
    await ctx.started("first")
    raise ValueError("after started")


async def hold_context(ctx: Context, path: str) -> None:
    await ctx.started()
    try:
        await anyio.sleep_forever()
    finally:
        with open(path, "w") as file:
            file.write("cancelled")


async def never_start(ctx: Context) -> None:
    pass


async def nest(spawn: str, depth: int) -> tuple[str, ...]:
    return await nest_in(spawn, depth)


async def nest_in(child: str, depth: int) -> tuple[str, ...]:
    if depth == 0:
        return current_actor().path
    async with open_nursery(spawn=child) as nursery:
        portal = await nursery.run_in_actor(nest_in, name=f"level{depth}", child=child, depth=depth - 1)
        return await portal.result()


async def nest_failure(child: str) -> None:
    async with open_nursery(spawn=child) as nursery:
        await nursery.run_in_actor(fail, name="inner", message="deep")


async def hold_one_that_spins(ctx: Context) -> None:
    """Has an actor that spins, and fails if it cannot stop it."""
    async with open_nursery(spawn="thread", grace=0.1, hard_kill=4.0) as nursery:
        await nursery.run_in_actor(spin_async)
        await ctx.started()
        await anyio.sleep_forever()


def talk() -> None:
    print("printed there")
    logging.getLogger("tests.actors").warning("logged there")


async def fail_stubbornly(seconds: float) -> None:
    """Fails, and its siblings take as long as they may to end."""
    try:
        await anyio.sleep(0.1)
        raise ValueError("no")
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds / 2)


def fail_twice(path: str) -> int:
    with open(path, "a") as file:
        file.write("x")
    tries = os.path.getsize(path)
    if tries < 3:
        raise ValueError(f"try {tries}")
    return tries


def touch(view: memoryview) -> int:
    """Writes into the caller's memory, if that is what it has."""
    view[0] = 7
    return len(view)


def make_bytes(count: int) -> bytes:
    return bytes(count)


def make_array(count: int) -> array.array[int]:
    return array.array("q", range(count))


def double_array(values: Any) -> Any:
    return values * 2


def view_of(data: Any) -> memoryview:
    return memoryview(data)


def total(*, parts: list[Any]) -> int:
    return sum(sum(memoryview(part).cast("B")[:: 1 << 12]) for part in parts)


def die_while_holding(data: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def send_back(ctx: Context) -> None:
    await ctx.started()
    async with ctx.open_stream() as stream:
        async for item in stream:
            await stream.send(item)


def shared_mappings() -> int:
    """How many blocks of shared memory this process has mapped."""
    with open("/proc/self/maps") as file:
        return sum("memfd:weft" in line for line in file)
