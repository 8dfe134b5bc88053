"""Interpreters that are kept ready."""

import importlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.executors import remote_tasks as tasks
from tests.executors.child import run_child, times, wait_until
from weft import _core
from weft.executors import InterpreterPoolExecutor
from weft.executors._spares import Spares

if sys.version_info < (3, 14):
    pytest.skip("interpreters need 3.14", allow_module_level=True)

from concurrent import interpreters


def living() -> set[int]:
    return {one.id for one in interpreters.list_all()}


def new_ones(before: set[int], count: int) -> set[int]:
    wait_until(lambda: len(living() - before) == count, f"there are {count} more interpreters")
    return living() - before


@pytest.fixture
def spares(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spares]:
    """One is kept ready, and there is none yet."""
    own = Spares(1)
    monkeypatch.setattr("weft.executors.interpreters.spares", own)
    yield own
    own.close()


def test_a_worker_takes_the_one_that_is_ready(spares: Spares) -> None:
    before = living()
    spares.expect()
    ready = new_ones(before, 1)
    with InterpreterPoolExecutor(1) as pool:
        assert {pool.submit(tasks.where).result(30)[1]} == ready
        new_ones(before, 2)
    new_ones(before, 1)
    spares.close()
    assert living() == before


def test_whoever_needs_one_now_waits_for_the_one_that_is_being_made(spares: Spares) -> None:
    before = living()
    with InterpreterPoolExecutor(1) as pool:
        first = pool.submit(tasks.where).result(30)[1]
    assert first == min(living() - before | {first})


def test_what_was_about_to_be_made_is_not_made_after_the_end() -> None:
    """Another one is made a little after one was taken; whoever has ended them all meanwhile is to find none later."""
    made: list[int] = []
    own = Spares(1, lambda: made.append(1) or object(), lambda _: None)
    own.expect()
    wait_until(lambda: len(made) == 1, "one is made")
    wait_until(lambda: own.take() is not None, "it is ready")
    makers = [thread for thread in threading.enumerate() if thread.name == "weft-spares"]
    own.close()
    own.reopen()
    for thread in makers:
        thread.join(30)
        assert not thread.is_alive()
    assert len(made) == 1
    own.expect()
    wait_until(lambda: len(made) == 2, "one is made again")
    own.close()


def test_many_at_once(spares: Spares) -> None:
    for _ in range(3):
        with InterpreterPoolExecutor(4) as pool:
            found = set(pool.map(tasks.place_after, [0.2] * 8, chunksize=1))
            assert 2 <= len(found) <= 4


def test_it_finds_what_the_caller_finds_now(spares: Spares, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = living()
    spares.expect()
    new_ones(before, 1)
    (tmp_path / "made_after_the_spare.py").write_text("def answer(): return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("MADE_AFTER_THE_SPARE", "yes")
    answer = importlib.import_module("made_after_the_spare").answer
    with InterpreterPoolExecutor(1) as pool:
        assert pool.submit(answer).result(30) == 42
        assert pool.submit(os.getenv, "MADE_AFTER_THE_SPARE").result(30) == "yes"


def test_closing_while_one_is_made_and_taken(spares: Spares, rng: random.Random) -> None:
    before = living()
    for _ in range(times(100, 8)):
        spares.reopen()
        with ThreadPoolExecutor(3) as several:
            taken = [several.submit(spares.take) for _ in range(3)]
            spares.expect()
            time.sleep(rng.uniform(0, 0.05))
            spares.close()
        for future in taken:
            if (spare := future.result()) is not None:
                _core.end_spare_interpreter(spare)
        assert living() == before


def test_its_thread_does_not_stay(spares: Spares) -> None:
    spares.expect()
    wait_until(lambda: "weft-spares" not in [thread.name for thread in threading.enumerate()], "it has ended")


PROGRAM = """
import os, sys, time
from weft import _core
from weft.executors import InterpreterPoolExecutor
if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as pool:
        print(pool.submit(abs, -1).result(30))
    time.sleep(float(sys.argv[1]))
"""


def test_the_end_of_the_program_at_any_moment(rng: random.Random) -> None:
    for _ in range(times(60, 5)):
        ended = run_child(PROGRAM, str(rng.uniform(0, 0.3)))
        ended.check_sound()
        assert ended.errors == ""


@pytest.mark.parametrize("pause", ["0", "0.12", "0.4"])
def test_a_fork(pause: str) -> None:
    ended = run_child(
        PROGRAM
        + """
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            with InterpreterPoolExecutor(1) as pool:
                good = pool.submit(abs, -7).result(30) == 7
            os._exit(0 if good else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        with InterpreterPoolExecutor(1) as pool:
            assert pool.submit(abs, -1).result(30) == 1
""",
        pause,
    )
    ended.check_sound()


def test_how_many() -> None:
    count = """
    from concurrent import interpreters
    print(len(interpreters.list_all()) - 1)
"""
    for wanted in ("0", "2"):
        ended = run_child(PROGRAM + count, "0.1" if wanted == "0" else "1.5", WEFT_SPARE_INTERPRETERS=wanted)
        assert ended.output.split() == ["1", wanted], ended
    ended = run_child(PROGRAM, "0", WEFT_SPARE_INTERPRETERS="some")
    ended.check_sound()
    assert "WEFT_SPARE_INTERPRETERS='some' is not a number" in ended.errors


def test_weft_is_found_where_the_caller_found_it(tmp_path: Path) -> None:
    """It may have put that folder on `sys.path` itself."""
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nsys.path[:] = {sys.path!r}\n{PROGRAM}")
    for spare in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(program), "0"],
            capture_output=True,
            text=True,
            timeout=50,
            env={**os.environ, "WEFT_SPARE_INTERPRETERS": spare},
        )
        assert done.stdout == "1\n", done.stderr
