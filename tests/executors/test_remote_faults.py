"""The table of faults, for interpreters and processes; the full counts under WEFT_CHAOS=full (`make chaos`)."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.executors import remote_tasks as tasks
from tests.executors import saboteurs
from tests.executors.child import descriptors_of_this_process, times, wait_until
from tests.executors.test_processes import alive, check_full_strength, memories
from tests.executors.test_remote import KINDS
from tests.lateness import Late, check_within
from weft.errors import PayloadError, TaskTimeout, WorkerCrashed
from weft.executors import ProcessPoolExecutor

ROOT = Path(__file__).parents[2]
NAMES = sorted(KINDS)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def session_of(leader: int) -> set[int]:
    """The living processes of a session: whatever a program has started, in whatever group."""
    found: set[int] = set()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.add(int(entry))
    return found


# ---- workers that die


@pytest.mark.invariant(7)
def test_one_kill_in_a_thousand_tasks() -> None:
    with ProcessPoolExecutor(2) as pool:
        futures = [pool.submit(tasks.die_at, number, 500) for number in range(1000)]
        outcomes = [future.exception(60) for future in futures]
        errors = [error for error in outcomes if error is not None]
        assert [type(error) for error in errors] == [type(outcomes[500])]
        assert isinstance(errors[0], WorkerCrashed)
        assert errors[0].signal == signal.SIGKILL
        assert errors[0].pid not in pool._processes
        assert [future.result() for future in futures if future.exception() is None] == [
            number for number in range(1000) if number != 500
        ]
        check_full_strength(pool)


@pytest.mark.deadline(3600)
def test_kills_during_large_results(rng: random.Random) -> None:
    pytest.importorskip("numpy")
    items, kills = times(12_500_000, 1_000_000), times(1000, 12)
    with ProcessPoolExecutor(1) as pool:  # the template is there from now on
        assert pool.submit(abs, -1).result(30) == 1
    mapped, opened = memories(), len(descriptors_of_this_process())
    killed = done = crashed = 0
    with ProcessPoolExecutor(2) as pool:
        while killed < kills:
            futures = [pool.submit(tasks.large_array, number, items) for number in range(4)]
            futures[0].exception(60)  # one works: five that die before that are too many for the pool
            time.sleep(rng.uniform(0, 0.1))
            for pid in rng.sample(sorted(pool._processes), k=min(1, len(pool._processes))):
                with suppress(ProcessLookupError):  # it has just been replaced
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            for number, future in enumerate(futures):
                error, result = future.exception(60), None
                if error is None:
                    result = future.result()
                    assert len(result) == items
                    assert result[0] == result[-1] == number
                    done += 1
                else:
                    assert isinstance(error, WorkerCrashed)
                    crashed += 1
            del future, futures, error, result
    print(f"{killed} processes killed, {done} results, {crashed} tasks crashed")
    assert crashed <= killed
    wait_until(lambda: memories() <= mapped, "its memory is gone")
    wait_until(lambda: len(descriptors_of_this_process()) <= opened, "its descriptors are closed")


@pytest.mark.deadline(300)
@pytest.mark.parametrize("kind", NAMES)
def test_an_endless_loop_among_many_tasks(kind: str) -> None:
    count = times(10_000, 2_000)
    with KINDS[kind](2) as pool:
        view = pool.options(timeout=1.0)
        futures = [view.submit(tasks.spin_at, number, count // 2) for number in range(count)]
        outcomes = [future.exception(120) for future in futures]
        (late,) = (number for number, error in enumerate(outcomes) if error is not None)
        assert late == count // 2
        assert isinstance(outcomes[late], TaskTimeout)
        assert sum(future.result() for number, future in enumerate(futures) if number != late) == sum(
            number for number in range(count) if number != late
        )
        check_full_strength(pool)


DEADLY = ("leave", "crash", "kill")
SABOTAGE = [
    (kind, how, where)
    for kind in NAMES
    for where in ("pickle", "unpickle", "run", "collect", "result")
    for how in ("raise", "exit", *DEADLY)
    # Else what dies is this process.
    if how not in DEADLY or (kind == "processes" and where not in ("pickle", "result"))
]


@pytest.mark.parametrize(("kind", "how", "where"), SABOTAGE)
def test_saboteurs(kind: str, how: str, where: str) -> None:
    deadly = how in DEADLY
    with KINDS[kind](2) as pool:
        expected: Any = WorkerCrashed if deadly else PayloadError
        if where == "pickle":
            with pytest.raises(PayloadError):
                pool.submit(saboteurs.take, saboteurs.WhenPickled(how, -1))
        elif where == "unpickle":
            assert isinstance(pool.submit(saboteurs.take, saboteurs.WhenRebuilt(how)).exception(60), expected)
        elif where == "run":
            expected = WorkerCrashed if deadly else {"raise": ArithmeticError, "exit": SystemExit}[how]
            assert isinstance(pool.submit(saboteurs.harm, how).exception(60), expected)
        elif where == "result":
            future = pool.submit(saboteurs.give_when_pickled, how, os.getpid() if kind == "processes" else -1)
            assert isinstance(future.exception(60), PayloadError)
        else:
            error = pool.submit(saboteurs.collect, how).exception(60)
            assert isinstance(error, WorkerCrashed) if deadly else error is None  # Python says it on stderr
        assert sorted(pool.map(abs, range(-20, 0), chunksize=1)) == list(range(1, 21))


# ---- the caller that dies, is stopped, forks

PROGRAM = """
import os, random, signal, sys, threading, time
from tests.executors import remote_tasks as tasks
from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor

def main(kind, seed):
    chance = random.Random(seed)
    make = {"interpreters": InterpreterPoolExecutor, "processes": ProcessPoolExecutor}[kind]
    print("begin", flush=True)
    pool = make(2)
    if chance.random() < 0.2:
        return
    work = [(abs, -3), (tasks.nap_for_ever,), (tasks.pid_after, 0.1), (tasks.spin,), (tasks.large, 300_000), (tasks.say_much, 50)]
    futures = [pool.submit(*chance.choice(work)) for _ in range(chance.randrange(1, 12))]
    time.sleep(chance.choice([0, 0.01, 0.1, 0.3]))
    how = chance.choice(["leave", "exit", "raise", "shutdown", "drop", "wait"])
    if how == "exit":
        sys.exit(3)
    if how == "raise":
        raise KeyError("no good")
    if how == "shutdown":
        pool.shutdown(wait=False, cancel_futures=chance.random() < 0.5)
    if how == "drop":
        del pool, futures
    if how == "wait":
        pool.shutdown(wait=False, cancel_futures=True)
        try:
            futures[0].result(0.2)
        except Exception:
            pass

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
    print("end", flush=True)
"""


def start(kind: str, seed: int, program: str = PROGRAM) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", program, kind, str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        env={**os.environ, "WEFT_EXIT_GRACE": "0.3"},
    )


def check_nothing_left(leader: int, seconds: float) -> None:
    began = time.monotonic()
    wait_until(lambda: not session_of(leader), f"processes of session {leader} have ended", seconds=20)
    check_within(time.monotonic() - began, seconds)


def exit_once(kind: str, seed: int) -> str:
    with start(kind, seed) as process:
        try:
            output, errors = process.communicate(timeout=40)
        finally:
            process.kill()
    shown = f"seed {seed}: status {process.returncode}\n{errors}"
    assert process.returncode in (0, 1, 3), shown
    assert "Fatal Python error" not in errors, shown
    assert output.startswith("begin\n"), shown
    wait_until(lambda: not session_of(process.pid), f"nothing is left: {shown}")
    return errors


@pytest.mark.deadline(3600)
@pytest.mark.parametrize("kind", NAMES)
def test_exit_in_every_phase(kind: str, rng: random.Random) -> None:
    seeds = [rng.randrange(1 << 30) for _ in range(times(500, 6))]
    with ThreadPoolExecutor(3) as several:
        for future in [several.submit(exit_once, kind, seed) for seed in seeds]:
            future.result()


@pytest.mark.deadline(3600)
@pytest.mark.parametrize("kind", NAMES)
def test_a_parent_that_is_killed_in_any_phase(kind: str, rng: random.Random) -> None:
    for _ in range(times(100, 6)):
        with start(kind, rng.randrange(1 << 30)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begin\n"
            time.sleep(rng.uniform(0, 0.4))
            process.kill()
            process.communicate(timeout=40)
        check_nothing_left(process.pid, 2)


CTRL_C = """
import os, sys, threading, time
from tests.executors import remote_tasks as tasks
from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor
if __name__ == "__main__":
    make = {"interpreters": InterpreterPoolExecutor, "processes": ProcessPoolExecutor}[sys.argv[1]]
    with make(2) as pool:
        futures = [pool.submit(tasks.nap_for_ever) for _ in range(4)]
        while not futures[1].running():
            pass
        what = ["result", "map", "shutdown"][int(sys.argv[2])]
        print("begin", flush=True)
        try:
            if what == "result":
                futures[0].result()
            elif what == "map":
                list(pool.map(tasks.nap_often, range(9)))
            else:
                pool.shutdown()
        except KeyboardInterrupt:
            print(f"caught {time.monotonic()}", flush=True)
            raise
"""


@pytest.mark.parametrize("what", [0, 1, 2], ids=["result", "map", "shutdown"])
@pytest.mark.parametrize("kind", NAMES)
def test_ctrl_c_once(kind: str, what: int) -> None:
    with start(kind, what, CTRL_C) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        time.sleep(0.2)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        caught = process.stdout.readline().split()
        _, errors = process.communicate(timeout=40)
    assert caught[:1] == ["caught"], errors
    if process.returncode == 130 and "are left behind" in errors:  # it does not wait for them for long
        raise Late(errors)
    assert process.returncode == -signal.SIGINT, errors
    assert "Fatal" not in errors
    check_nothing_left(process.pid, 2)
    check_within(float(caught[1]) - sent, 0.2)


FORKING = """
import os, sys
from tests.executors import remote_tasks as tasks
from weft.errors import PoolForked
from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor
if __name__ == "__main__":
    make = {"interpreters": InterpreterPoolExecutor, "processes": ProcessPoolExecutor}[sys.argv[1]]
    print("begin", flush=True)
    with make(2) as pool:
        for number in range(int(sys.argv[2])):
            futures = [pool.submit(abs, -n) for n in range(50)]
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    futures[-1].result(10)
                except PoolForked:
                    status = 2
                except BaseException as error:
                    print(repr(error), file=sys.stderr)
                else:
                    status = 2  # it was there already
                if status == 2:
                    with make(1) as own:
                        assert own.submit(abs, -7).result(20) == 7
                    status = 0
                os._exit(status)
            assert [future.result(20) for future in futures] == list(range(50))
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, number
    print("end", flush=True)
"""


@pytest.mark.deadline(1200)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forks_while_the_pool_is_busy() -> None:
    with start("processes", times(200, 6), FORKING) as process:
        output, errors = process.communicate(timeout=1000)
    assert output == "begin\nend\n", errors
    check_nothing_left(process.pid, 5)


@pytest.mark.invariant(7)
def test_threads_that_submit_while_workers_die() -> None:
    with ProcessPoolExecutor(2) as pool:
        done: list[int] = []
        crashed: list[BaseException] = []

        def submit_some(first: int) -> None:
            for number in range(first, first + 100):
                error = (future := pool.submit(tasks.die_at, number, -1 if number % 50 else number)).exception(60)
                done.append(future.result()) if error is None else crashed.append(error)

        threads = [threading.Thread(target=submit_some, args=(first,)) for first in range(0, 400, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 392
        assert len(crashed) == 8
        assert all(isinstance(error, WorkerCrashed) for error in crashed)
        pids = list(pool._processes)
    wait_until(lambda: not any(map(alive, pids)), "its processes have ended")
