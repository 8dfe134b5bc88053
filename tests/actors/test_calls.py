"""Calls through a portal: values, errors, cancellation; plain functions one at a time, async ones side by side."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.actors import functions
from tests.actors.conftest import PATIENCE, Run, until
from weft import errors
from weft._payloads.failures import RemoteTraceback
from weft.actors import open_nursery

MODULE = functions.__name__


def test_an_error_is_a_remote_actor_error_and_the_actor_goes_on(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            for fn in (functions.fail, functions.fail_async):
                with pytest.raises(errors.RemoteActorError) as caught:
                    await portal.run(fn, message="so")
                error = caught.value
                assert error.type is ValueError
                assert error.type_name == "ValueError"
                assert error.path == ("root", "a")
                assert isinstance(error.__cause__, ValueError)
                assert str(error.__cause__) == "so"
                assert error.traceback is not None
                assert "functions.py" in error.traceback
                assert isinstance(error.__cause__.__cause__, RemoteTraceback)
            assert await portal.run(functions.add, a=1, b=2) == 3

    run(main)


def test_what_cannot_cross_names_the_culprit(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="thread") as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            with pytest.raises(errors.PayloadError) as caught:
                await portal.run(functions.echo, value={"key": [threading.Lock()]})
            assert caught.value.path == "kwargs['value']['key'][0]"
            with pytest.raises(errors.RemoteActorError) as returned:
                await portal.run(functions.make_lock)
            assert isinstance(returned.value.__cause__, errors.PayloadError)
            with pytest.raises(errors.PayloadError):
                await nursery.run_in_actor(functions.echo, value=threading.Lock())

    run(main)


def test_buffers_go_beside(run: Run, spawn: str) -> None:
    data = bytes(range(256)) * 40_000

    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            back = await portal.run(functions.echo, value=[memoryview(data), "tail"])
            assert bytes(back[0]) == data
            assert back[1] == "tail"

    run(main)


def test_async_calls_run_side_by_side_and_plain_ones_in_order(run: Run, spawn: str) -> None:
    async def main() -> None:
        got: list[int] = []
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(portal.run, functions.sleep_forever)

                async def call() -> None:
                    got.append(await portal.run(functions.count))

                for _ in range(20):
                    tasks.start_soon(call)
                assert await portal.run(functions.add_async, a=1, b=1) == 2
                while len(got) < 20:
                    await anyio.sleep(0.001)
                tasks.cancel_scope.cancel()
        assert sorted(got) == list(range(min(got), min(got) + 20))

    run(main)


def test_plain_functions_run_in_one_thread_that_is_not_the_loops(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            assert {await portal.run(functions.thread_name) for _ in range(3)} == {"weft-actor-a-calls"}

    run(main)


def test_cancelling_a_call_cancels_it_there(run: Run, spawn: str, tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        async with open_nursery(spawn=spawn, grace=20.0, hard_kill=30.0) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: portal.run(functions.clean_up, seconds=0.05, path=str(path)))
                await until(path.exists)
                tasks.cancel_scope.cancel()
            assert path.read_text() == "clean"  # it was waited for
            assert await portal.run(functions.add, a=1, b=2) == 3

    run(main)


def test_a_call_is_cancelled_that_has_not_begun(run: Run, spawn: str, tmp_path: Path) -> None:
    """Both come in one read, since the actor's loop is stuck meanwhile."""
    is_stuck = tmp_path / "stuck"

    async def main() -> None:
        async with open_nursery(spawn=spawn, grace=2 * PATIENCE, hard_kill=3 * PATIENCE) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            async with anyio.create_task_group() as stuck:
                stuck.start_soon(partial(portal.run, functions.stick, path=str(is_stuck), seconds=0.4))
                while not is_stuck.exists():
                    await anyio.sleep(0.001)
                with anyio.move_on_after(0.1) as scope:
                    await portal.run(functions.sleep_forever)
                assert scope.cancelled_caught

    run(main)


def test_cancelling_a_plain_function_interrupts_it(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            with anyio.move_on_after(0.05) as scope:
                await portal.run(functions.spin)
            assert scope.cancelled_caught
            assert await portal.run(functions.add, a=1, b=2) == 3

    run(main)


def test_a_call_that_waits_is_dropped_when_it_is_cancelled(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="thread", grace=0.2) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE, "time"])

            async def has_in_mailbox(calls: int) -> None:
                with anyio.fail_after(30):
                    while nursery.actors()[0].mailbox != calls:
                        await anyio.sleep(0.005)

            async def call(_: int) -> None:
                await portal.run(functions.count)

            before = await portal.run(functions.count)
            async with anyio.create_task_group() as spinning:
                spinning.start_soon(portal.run, functions.spin)
                await has_in_mailbox(1)
                async with anyio.create_task_group() as waiting:
                    for number in range(5):
                        waiting.start_soon(call, number)
                    await has_in_mailbox(6)
                    waiting.cancel_scope.cancel()  # before what they wait for: else the first of them may begin
                spinning.cancel_scope.cancel()
            assert await portal.run(functions.count) == before + 1

    run(main)


def test_a_caller_that_is_cancelled_does_not_wait_for_ever(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        async with open_nursery(spawn="thread", grace=0.1) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            begun = time.monotonic()
            with anyio.move_on_after(0.05):
                await portal.run(functions.ignore_cancellation, until=30.0, path=str(path))
            assert time.monotonic() - begun < 20
            path.touch()

    run(main)


def test_a_thousand_calls_leave_nothing(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="thread") as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            for number in range(500):
                assert await portal.run(functions.add, a=number, b=1) == number + 1
                assert await portal.run(functions.add_async, a=number, b=1) == number + 1
            (health,) = nursery.actors()
            assert health.mailbox == 0

    run(main)
