"""Contexts and streams: linked both ways, with backpressure; a channel that closes leaves no reader waiting."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.actors import functions
from tests.actors.conftest import Run
from weft import errors
from weft.actors import open_nursery
from weft.actors._stream import WINDOW

MODULE = functions.__name__


def test_a_context_has_a_first_value_and_a_stream(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            async with portal.open_context(functions.numbers, first=3, count=500) as (ctx, first):
                assert first == 3
                async with ctx.open_stream() as stream:
                    assert [number async for number in stream] == list(range(3, 503))
            async with portal.open_context(functions.double) as (ctx, first):
                assert first is None
                async with ctx.open_stream() as stream:
                    for number in range(200):
                        await stream.send(number)
                        assert await stream.receive() == 2 * number

    run(main)


def test_a_writer_waits_for_a_slow_reader(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            async with portal.open_context(functions.double) as (ctx, _), ctx.open_stream() as stream:
                sent = 0
                with anyio.move_on_after(30.0) as scope:
                    while True:  # nobody reads what comes back: so it takes two windows, and no more
                        await stream.send(sent)
                        sent += 1
                        if sent >= 2 * WINDOW:
                            scope.deadline = anyio.current_time() + 0.2
                assert 2 * WINDOW <= sent <= 3 * WINDOW + 1
                assert await portal.run(functions.add, a=1, b=2) == 3  # others go on
                for number in range(sent):
                    assert await stream.receive() == 2 * number

    run(main)


def test_an_error_there_cancels_the_block_here(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            with pytest.raises(errors.RemoteActorError, match="before started"):
                async with portal.open_context(functions.fail_in_context, after=False):
                    raise AssertionError
            with pytest.raises(errors.RemoteActorError, match="after started"):
                async with portal.open_context(functions.fail_in_context, after=True) as (_, first):
                    assert first == "first"
                    await anyio.sleep_forever()
            with pytest.raises(errors.RemoteActorError, match="without a call of its context's started"):
                async with portal.open_context(functions.never_start):
                    raise AssertionError
            with pytest.raises(errors.RemoteActorError, match="needs an async function"):
                async with portal.open_context(functions.add, a=1, b=2):
                    raise AssertionError

    run(main)


@pytest.mark.parametrize("how", ["error", "cancel"])
def test_an_error_or_cancellation_here_cancels_the_function_there(
    run: Run, spawn: str, how: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            if how == "error":
                with pytest.raises(KeyError):
                    async with portal.open_context(functions.hold_context, path=str(path)):
                        raise KeyError("mine")
            else:
                with anyio.CancelScope() as scope:
                    async with portal.open_context(functions.hold_context, path=str(path)):
                        scope.cancel()
                        await anyio.sleep_forever()
            assert path.read_text() == "cancelled"
            assert await portal.run(functions.add, a=1, b=2) == 3

    run(main)


def test_an_actor_that_dies_leaves_no_reader_waiting(run: Run) -> None:
    async def main() -> None:
        closed: list[BaseException] = []
        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_nursery(spawn="process") as nursery:
                portal = await nursery.start_actor("a", enable_modules=[MODULE])

                async def read() -> None:
                    try:
                        async with portal.open_context(functions.double) as (ctx, _), ctx.open_stream() as stream:
                            reading.set()
                            await stream.receive()
                    except errors.ChannelClosed as error:
                        closed.append(error)

                async def call() -> None:
                    try:
                        await portal.run(functions.die)
                    except errors.ChannelClosed as error:
                        closed.append(error)

                reading = anyio.Event()
                with anyio.CancelScope(shield=True):
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(read)
                        await reading.wait()
                        tasks.start_soon(call)
        assert len(closed) == 2
        (error,) = caught.value.exceptions
        assert isinstance(error, errors.ActorDied)
        assert error.exit_code == 3

    run(main)


def test_a_block_that_raises_what_a_death_closed_leaves_with_the_death(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="process") as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            await portal.run(functions.die)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(main)
    (error,) = caught.value.exceptions
    assert isinstance(error, errors.ActorDied)
    assert error.exit_code == 3


def test_a_stream_that_was_left_sends_no_more(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="thread") as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            async with portal.open_context(functions.double) as (ctx, _):
                async with ctx.open_stream() as stream:
                    await stream.send(1)
                with pytest.raises(errors.ChannelClosed, match="has been left"):
                    await stream.send(2)
                assert await stream.receive() == 2
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()

    run(main)
