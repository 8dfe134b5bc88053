"""The end of actors: ask, wait, interrupt, kill or abandon, each bounded; and nobody waits for one that died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.actors import functions
from tests.actors.conftest import Run, until
from tests.executors.child import times
from tests.lateness import check_within
from weft import errors
from weft.actors import open_nursery
from weft.actors._life import Life

MODULE = functions.__name__


async def cancelled_while(
    method: str,
    fn,
    grace: float = 1.0,
    hard_kill: float = 3.0,
    ready: Callable[[], Awaitable[object]] | None = None,
    **kwargs,
) -> tuple[float, float, int]:
    """Cancels an actor that runs something. How long that took, the longest step of this loop meanwhile, and abandoned.

    `ready` waits until that runs; most need not know.
    """
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await anyio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    async with anyio.create_task_group() as tasks:
        async with open_nursery(spawn=method, grace=grace, hard_kill=hard_kill) as nursery:
            await nursery.run_in_actor(fn, **kwargs)
            await (anyio.sleep(0.1) if ready is None else ready())
            tasks.start_soon(tick)
            begun = time.monotonic()
            nursery.cancel()
        took = time.monotonic() - begun
        tasks.cancel_scope.cancel()
    return took, longest, nursery.abandoned


# An interrupt that hits trio's own code leaves a loop that says so in destructors; in a thread these may be run by anybody.
a_loop_that_was_interrupted = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:Trio guest run:RuntimeWarning"
)


@a_loop_that_was_interrupted
@pytest.mark.parametrize("fn", [functions.spin_async, functions.spin])
def test_a_child_that_spins_in_python_is_stopped_and_the_parents_loop_lives(run: Run, spawn: str, fn) -> None:
    took, longest, abandoned = run(cancelled_while, spawn, fn)
    assert abandoned == 0
    print(f"took {took:.3f} s, longest step {longest:.3f} s")
    check_within(took, 2.5)
    check_within(longest, 1.0, "the longest step of the parent's loop")


@pytest.mark.leaves_threads("one is abandoned, which is the point")
@pytest.mark.methods("thread", "interpreter")
def test_a_child_stuck_in_c_is_abandoned_and_reported(run: Run, method: str, caplog: pytest.LogCaptureFixture) -> None:
    ours, its = os.pipe()
    try:
        ready = partial(anyio.wait_readable, ours)
        took, longest, abandoned = run(cancelled_while, method, functions.write_in_c, 0.1, 0.3, ready, descriptor=its)
    finally:
        os.close(ours)  # it goes on
        os.close(its)
    assert abandoned == 1
    assert "is abandoned" in caplog.text
    check_within(took, 1.5)
    check_within(longest, 1.0, "the longest step of the parent's loop")


@pytest.mark.methods("process")
def test_a_process_stuck_in_c_is_killed(run: Run, method: str) -> None:
    took, _, abandoned = run(cancelled_while, method, functions.sleep_in_c, 0.1, 0.3, seconds=60.0)
    assert abandoned == 0
    check_within(took, 2.0)


@a_loop_that_was_interrupted
def test_one_that_ignores_cancellation_is_interrupted(run: Run, spawn: str) -> None:
    took, _, abandoned = run(cancelled_while, spawn, functions.ignore_cancellation, 0.2, 10.0, until=8.0)
    assert abandoned == 0
    assert took >= 0.15
    check_within(took, 4.0)


@pytest.mark.usefixtures("unhurried")
def test_one_that_cleans_up_gets_its_grace(run: Run, spawn: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    ready = partial(until, path.exists)
    run(cancelled_while, spawn, functions.clean_up, 5.0, 6.0, ready, seconds=0.3, path=str(path))
    assert path.read_text() == "clean"


@pytest.mark.methods("thread", "process")
def test_what_the_library_makes_of_an_interruption_is_no_failure(run: Run, method: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=method) as nursery:
            await nursery.run_in_actor(functions.break_scopes)
            await anyio.sleep(0.1)
            nursery.cancel()

    run(main)


@pytest.mark.methods("thread", "process")
def test_many_that_fail_at_once_end_within_one_grace_period(run: Run, method: str) -> None:
    count, grace = times(25, 12), 2.0

    async def main() -> float:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_nursery(spawn=method, grace=grace, hard_kill=grace + 3) as nursery:
                portals = [await nursery.start_actor(f"a{n}", enable_modules=[MODULE]) for n in range(count)]
                begun = time.monotonic()
                async with anyio.create_task_group() as tasks:
                    for portal in portals:
                        tasks.start_soon(lambda portal=portal: portal.run(functions.fail_stubbornly, seconds=grace))
        assert all(health.state == "ended" for health in nursery.actors())
        assert caught.value.subgroup(errors.RemoteActorError) is not None
        return time.monotonic() - begun

    took = run(main)
    check_within(took, 2 * grace + 2, f"one grace period is {grace:g} s")


def test_a_process_that_is_killed_is_an_actor_that_died(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_nursery(spawn="process") as nursery:
                portal = await nursery.run_in_actor(functions.sleep_forever)
                os.kill(nursery.actors()[0].pid, signal.SIGKILL)
                await portal.result()
        (error,) = caught.value.exceptions
        assert isinstance(error, errors.ActorDied)
        assert error.signal == signal.SIGKILL
        assert error.path == ("root", "sleep_forever")
        assert "was killed by SIGKILL" in str(error)

    run(main)


def test_one_that_crashes_while_it_starts(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exits_at_import.py").write_text("import os; os._exit(7)\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def main() -> None:
        async with open_nursery(spawn="process") as nursery:
            with pytest.raises(errors.ActorDied) as caught:
                await nursery.start_actor("a", enable_modules=["exits_at_import"])
            assert caught.value.exit_code == 7

    run(main)


@pytest.mark.deadline(240)
@pytest.mark.parametrize("cycles", [int(os.environ.get("WEFT_ACTOR_CYCLES") or times(40, 10))])
def test_starting_and_cancelling_again_and_again_leaves_nothing(run: Run, cycles: int) -> None:
    """With WEFT_ACTOR_CYCLES=1000 the same a thousand times. Descriptors and threads are counted after each test."""

    async def main() -> None:
        for _ in range(cycles):
            async with open_nursery(spawn="thread") as nursery:
                portal = await nursery.start_actor("a", enable_modules=[MODULE])
                await portal.cancel_actor()

    run(main)


# ---- programs of their own -----------------------------------------------------------------------------------


def start(code: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "utf8", "-X", "faulthandler", "-c", textwrap.dedent(code), *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )


def finish(program: subprocess.Popen[str], seconds: float = 20) -> tuple[str, str]:
    """What it has said, when it has ended; one that takes longer says where its threads are."""
    try:
        return program.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        program.send_signal(signal.SIGABRT)
        try:
            out, said = program.communicate(timeout=seconds)
        finally:
            program.kill()
        raise AssertionError(f"not ended within {seconds:g} s\n{out}\n{said}") from None


HOLD = """
    import sys, anyio
    from tests.actors import functions
    from weft.actors import open_nursery
    library, method, name = sys.argv[1:]
    async def main():
        async with open_nursery(spawn=method) as nursery:
            await nursery.run_in_actor(getattr(functions, name))
            print(*[health.pid for health in nursery.actors()], flush=True)
            await anyio.sleep_forever()
    anyio.run(main, backend=library)
"""


@pytest.mark.invariant(4)
@pytest.mark.parametrize("name", ["spin_async", "sleep_forever"][: times(2, 1)])
def test_ctrl_c_ends_a_nursery_and_its_actors(library: str, spawn: str, name: str) -> None:
    with start(HOLD, library, spawn, name) as program:
        assert program.stdout is not None
        pids = program.stdout.readline().split()
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        _, said = finish(program)
        took = time.monotonic() - begun
    assert program.returncode in (130, -signal.SIGINT), said
    assert said.count("KeyboardInterrupt") >= 1
    for pid in pids:
        assert int(pid) == program.pid or not Path(f"/proc/{pid}").exists()
    check_within(took, 3.0)


def test_one_whose_reader_was_ended_before_its_first_line_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trio raises KeyboardInterrupt in whatever task runs just then."""

    async def read(_: Life) -> None:
        raise LookupError("as by Ctrl-C")

    async def main() -> None:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_nursery(spawn="thread", grace=0.1) as nursery:
                await nursery.start_actor("a", enable_modules=[MODULE])
                await anyio.sleep_forever()
        assert caught.group_contains(LookupError)
        assert nursery.actors()[0].state == "ended"

    monkeypatch.setattr(Life, "read", read)
    run(main)


@pytest.mark.methods("process", "mp_spawn", "mp_forkserver")
def test_no_actor_outlives_a_parent_that_is_killed(method: str) -> None:
    with start(HOLD_MAIN, "asyncio", method, "spin_async") as program:
        assert program.stdout is not None
        pids = program.stdout.readline().split()
        program.kill()
        program.wait(20)
        end = time.monotonic() + 20
        while any(is_alive(int(pid)) for pid in pids):
            assert time.monotonic() < end
            time.sleep(0.01)  # nothing tells when another's child is gone


HOLD_MAIN = HOLD.replace("    anyio.run(main", "    if __name__ == '__main__': anyio.run(main")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.methods("thread", "interpreter")
def test_an_abandoned_actor_does_not_keep_the_program(method: str) -> None:
    code = """
        import os, sys, anyio, atexit
        from tests.actors import functions
        from weft.actors import open_nursery
        atexit.register(print, "at exit")
        async def main():
            ours, its = os.pipe()
            async with open_nursery(spawn=sys.argv[1], grace=0.1, hard_kill=0.3) as nursery:
                await nursery.run_in_actor(functions.write_in_c, descriptor=its)
                await anyio.wait_readable(ours)
                nursery.cancel()
            print(nursery.abandoned)
        anyio.run(main)
    """
    with start(code, method) as program:
        out, said = finish(program)
    assert out.split("\n")[0] == "1"
    assert "at exit" in out
    assert "is abandoned" in said
    assert program.returncode == (0 if method == "thread" else 1), said
