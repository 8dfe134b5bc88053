"""Nurseries: leaving waits, an error cancels the others, errors come in a group, actors of actors form a tree."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest

from tests.actors import functions
from tests.actors.conftest import Run, until
from weft import errors
from weft.actors import current_actor, open_nursery

MODULE = functions.__name__


def test_leaving_waits_for_what_runs_and_ends_who_is_idle(run: Run, spawn: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            await nursery.start_actor("idle", enable_modules=[MODULE])
            portal = await nursery.run_in_actor(functions.add, a=1, b=2)
            assert portal.name == "add"
        assert await portal.result() == 3
        assert {health.state for health in nursery.actors()} == {"ended"}
        with pytest.raises(RuntimeError, match="has been left"):
            await nursery.start_actor("late")

    run(main)


@pytest.mark.usefixtures("unhurried")
def test_an_error_cancels_the_siblings_and_leaves_in_a_group(run: Run, spawn: str, tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_nursery(spawn=spawn, grace=20.0, hard_kill=30.0) as nursery:
                sibling = await nursery.start_actor("sibling", enable_modules=[MODULE])
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lambda: sibling.run(functions.clean_up, seconds=0, path=str(path)))
                    await until(path.exists)
                    await nursery.run_in_actor(functions.fail_async, message="so")
                    await anyio.sleep_forever()
        (error,) = caught.value.exceptions
        assert isinstance(error, errors.RemoteActorError)
        assert (error.type, error.path) == (ValueError, ("root", "fail_async"))
        assert path.read_text() == "clean"

    run(main)


def test_an_error_that_the_block_raises_too_is_in_the_group_once(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_nursery(spawn="thread") as nursery:
                portal = await nursery.run_in_actor(functions.fail)
                await portal.result()
        assert [type(error) for error in caught.value.exceptions] == [errors.RemoteActorError]

    run(main)


def test_an_error_of_the_block_ends_the_actors(run: Run, spawn: str) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_nursery(spawn=spawn) as nursery:
                await nursery.run_in_actor(functions.sleep_forever)
                raise KeyError("mine")
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        assert nursery.actors()[0].state == "ended"

    run(main)


def test_cancelling_the_scope_around_it_cancels_the_actors(run: Run, spawn: str) -> None:
    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with open_nursery(spawn=spawn) as nursery:
                portal = await nursery.run_in_actor(functions.sleep_forever)
                scope.deadline = anyio.current_time()
                await portal.result()
        assert scope.cancelled_caught
        assert nursery.actors()[0].state == "ended"

    run(main)


def test_cancel_ends_block_and_actors(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="thread") as nursery:
            await nursery.run_in_actor(functions.sleep_forever)
            nursery.cancel()
            await anyio.sleep_forever()

    run(main)


def test_actors_of_actors_are_a_tree(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            child = "thread" if spawn == "interpreter" else spawn
            portal = await nursery.run_in_actor(functions.nest_in, name="top", child=child, depth=2)
            assert await portal.result() == ("root", "top", "level2", "level1")

    run(main)


def test_an_error_deep_in_the_tree_carries_its_path(run: Run, spawn: str) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_nursery(spawn=spawn) as nursery:
                await nursery.run_in_actor(functions.nest_failure, name="outer", child="thread")
        (error,) = caught.value.exceptions
        assert isinstance(error, errors.RemoteActorError)
        assert error.path == ("root", "outer")
        group = error.__cause__
        assert isinstance(group, ExceptionGroup)
        (inner,) = group.exceptions
        assert isinstance(inner, errors.RemoteActorError)
        assert inner.path == ("root", "outer", "inner")
        assert isinstance(inner.__cause__, ValueError)

    run(main)


def test_the_program_is_the_root() -> None:
    assert current_actor().path == ("root",)
    assert current_actor().spawn is None


def test_one_that_is_full_of_wrong_values_is_refused() -> None:
    for wrong in (
        {"strategy": "one_for_all"},
        {"grace": -1},
        {"grace": 2.0, "hard_kill": 1.0},
        {"max_restarts": -1},
        {"window": -1},
        {"heartbeat": 0},
        {"spawn": "fork"},
    ):
        with pytest.raises(errors.InvalidSetting):
            open_nursery(**wrong)


def test_entered_twice(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="thread") as nursery:
            with pytest.raises(RuntimeError, match="has been entered"):
                await nursery.__aenter__()

    run(main)


def test_starting_may_be_cancelled(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            for pause in (0, 0.0005, 0.002, 0.01):
                with anyio.move_on_after(pause):
                    await nursery.start_actor("a", enable_modules=[MODULE])
            await nursery.start_actor("b", enable_modules=[MODULE])

    run(main)


def test_what_is_printed_and_logged_arrives_here(
    run: Run, spawn: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("talker", enable_modules=[MODULE])
            await portal.run(functions.talk)

    with caplog.at_level("WARNING"):
        run(main)
    assert "printed there" in capsys.readouterr().out
    assert "logged there" in [record.getMessage() for record in caplog.records]


def test_many_start_and_end(run: Run) -> None:
    async def main() -> None:
        begun = time.monotonic()
        async with open_nursery(spawn="thread") as nursery:
            async with anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(lambda n=number: nursery.start_actor(f"a{n}", enable_modules=[MODULE]))
            assert len(nursery.actors()) == 50
        assert time.monotonic() - begun < 20

    run(main)
