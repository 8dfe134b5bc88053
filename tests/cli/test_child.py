"""`weft.cli._child`: questions that are asked of a process, which may do what it likes."""

import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cli.support import wait_until, watched
from weft.cli._child import Answer, ask, give_up, search_path

ROOT = str(Path(__file__).parents[2])
PATIENCE = 40.0


def put(question: str, argument: object = None, seconds: float = PATIENCE) -> Answer:
    return ask(f"tests.cli.child_questions:{question}", argument, seconds, path=[ROOT, *sys.path])


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_an_answer_without_the_noise() -> None:
    assert put("echo", {"a": [1, "é"]}) == Answer(({"a": [1, "é"]}, True), None)


def test_the_path_is_ours() -> None:
    (path,) = put("path").lines
    assert path[:2] == [ROOT, next(entry for entry in [*sys.path] if entry is not None)]
    assert "" not in search_path()
    assert search_path()[0] == str(Path.cwd())


def test_what_it_raises_is_told() -> None:
    answer = put("fail")
    assert answer.lines == (1,)
    assert answer.ended == "the process ended: exit status 1: LookupError: not today"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_is_told_and_what_was_answered_counts() -> None:
    assert put("crash") == Answer((1,), "the process ended: killed by SIGKILL")


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd")
def test_a_hang_ends_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(put("hang", str(file))))
    asking.start()
    wait_until(lambda: file.exists() and len(file.read_text().split()) == 2, "it has begun")
    with watched({int(pid) for pid in file.read_text().split()}) as wait:
        give_up()
        assert wait(PATIENCE) == set()
    asking.join(PATIENCE)
    assert answers[0].ended == "the process ended: killed by SIGKILL"


def test_time_is_up() -> None:
    began = time.monotonic()
    assert put("hang", "/dev/null", 0.5).ended == "no answer within 0.5 s"
    assert time.monotonic() - began < PATIENCE
