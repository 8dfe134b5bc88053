"""What happens when an actor fails: all are cancelled, or the one is started again; health and heartbeats."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

import anyio
import pytest

from tests.actors import functions
from tests.actors.conftest import PATIENCE, Run
from tests.lateness import Late, crowding
from weft import errors
from weft.actors import open_nursery

MODULE = functions.__name__


def test_one_for_one_starts_a_dead_actor_again_and_its_portal_stays(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="process", strategy="one_for_one") as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            other = await nursery.start_actor("b", enable_modules=[MODULE])
            first = await portal.run(functions.pid)
            assert await portal.run(functions.count) == 1
            with pytest.raises(errors.ChannelClosed):
                await portal.run(functions.die)
            assert await portal.run(functions.pid) != first
            assert await portal.run(functions.count) == 1  # its state is new
            assert await other.run(functions.count) == 1
            assert [health.restarts for health in nursery.actors()] == [1, 0]

    run(main)


def test_a_function_is_run_again_until_it_succeeds(run: Run, spawn: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn, strategy="one_for_one") as nursery:
            portal = await nursery.run_in_actor(functions.fail_twice, path=str(tmp_path / "file"))
            assert await portal.result() == 3
            assert nursery.actors()[0].restarts == 2

    run(main)


def test_one_that_fails_too_often_fails_the_nursery(run: Run, spawn: str) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_nursery(spawn=spawn, strategy="one_for_one", max_restarts=2) as nursery:
                await nursery.start_actor("b", enable_modules=[MODULE])
                portal = await nursery.run_in_actor(functions.fail)
                await portal.result()
        assert nursery.actors()[1].restarts == 2
        (error,) = caught.value.exceptions
        assert isinstance(error, errors.RemoteActorError)
        assert error.type is ValueError

    run(main)


def test_failures_outside_the_window_do_not_count(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="process", strategy="one_for_one", max_restarts=1, window=0.0) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            for _ in range(3):
                os.kill(await portal.run(functions.pid), signal.SIGKILL)
                with pytest.raises(errors.ChannelClosed):
                    await portal.run(functions.sleep_forever)
            assert await portal.run(functions.add, a=1, b=2) == 3

    run(main)


def test_whoever_hears_of_a_death_and_calls_again_reaches_the_next_life(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="process", strategy="one_for_one") as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            pid = await portal.run(functions.pid)
            watch = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            assert select.select([watch], [], [], PATIENCE)[0]  # the loop does not turn meanwhile
            os.close(watch)
            with pytest.raises(errors.ChannelClosed):
                await portal.run(functions.pid)
            assert await portal.run(functions.pid) != pid

    run(main)


def test_health(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(portal.run, functions.sleep_forever)
                await anyio.sleep(0.01)
                (health,) = nursery.actors()
                tasks.cancel_scope.cancel()
            assert (health.name, health.path, health.spawn) == ("a", ("root", "a"), spawn)
            assert (health.state, health.mailbox, health.restarts) == ("running", 1, 0)
            assert health.uptime > 0
            assert health.silence >= 0

    run(main)


def test_an_actor_that_gives_no_sign_of_life_has_failed(run: Run, spawn: str) -> None:
    heartbeat = 0.5

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_nursery(spawn=spawn, heartbeat=heartbeat) as nursery:
                await nursery.run_in_actor(functions.spin_async)
                await anyio.sleep_forever()
        (error,) = caught.value.exceptions
        assert isinstance(error, errors.ActorDied)
        assert error.path == ("root", "spin_async")
        assert f"gave no sign of life for {heartbeat:g} s" in str(error)

    run(main)


def test_one_that_has_nothing_to_do_gives_signs_of_life(run: Run, spawn: str) -> None:
    heartbeat = 0.3 * crowding()

    async def main() -> None:
        async with open_nursery(spawn=spawn, heartbeat=heartbeat) as nursery:
            quiet = await nursery.start_actor("quiet", enable_modules=[MODULE])
            await anyio.sleep(1.5 * heartbeat)
            assert await quiet.run(functions.add, a=1, b=2) == 3

    try:
        run(main)
    except* errors.ActorDied as died:
        raise Late(str(died.exceptions[0])) from None


def test_a_caller_that_was_stuck_itself_hears_what_was_sent_meanwhile(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="process", heartbeat=0.3 * crowding()) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            for _ in range(3):
                await anyio.sleep(0.02)
                time.sleep(0.5 * crowding())  # stuck, which is the point
            assert await portal.run(functions.add, a=1, b=2) == 3

    try:
        run(main)
    except* errors.ActorDied as died:
        raise Late(str(died.exceptions[0])) from None
