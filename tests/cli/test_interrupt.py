"""Ctrl-C in the middle of `weft demo`, and a demo that is killed. Invariants 3 and 4, from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.support import WEFT, descendants, wait_until, watched
from tests.lateness import check_within

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes through /proc")

SECONDS = 2.0  # within which everything must be gone
FILES = 8


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A plain loop takes some seconds with it, a pool hardly less."""
    folder = tmp_path / "tree"
    folder.mkdir()
    source = "".join(f"def f{n}(x):\n    return x if x else {n}\n" for n in range(2000))
    for number in range(FILES):
        (folder / f"m{number}.py").write_text(source)
    return folder


@contextmanager
def demo(tree: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that has said what it is going to do."""
    output = tree.parent / "report.html"
    process = subprocess.Popen(
        [*WEFT, "demo", str(tree), "--output", str(output), "--workers", "2", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(f"weft demo: {FILES} files")
            yield process
        finally:
            process.kill()


def reach(process: subprocess.Popen[str], contender: str) -> None:
    """Waits until a contender is running: all before it have reported, and its workers are there."""
    assert process.stderr is not None
    if contender != "serial":
        assert process.stderr.readline().startswith("serial: ")
    if contender == "threads":
        # Its process is one more than there was when `serial` reported, or the same one on its way out.
        wait_until(lambda: bool(threads_of(descendants(process.pid)) >= 4), "main, lifeline and two workers")
    elif contender == "processes":
        wait_until(lambda: len(descendants(process.pid)) >= 4, "the trial, its tracker and two workers")
    else:
        wait_until(lambda: len(descendants(process.pid)) >= 1, "the trial")


def threads_of(pids: set[int]) -> int:
    count = 0
    for pid in pids:
        try:
            count = max(count, len(os.listdir(f"/proc/{pid}/task")))
        except OSError:
            continue
    return count


@pytest.mark.parametrize("contender", ["serial", "threads", "processes"])
def test_ctrl_c_ends_it_at_once(tree: Path, contender: str) -> None:
    with demo(tree, "--flavor", contender if contender != "serial" else "threads") as process:
        reach(process, contender)
        with watched({process.pid, *descendants(process.pid)}) as wait:
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
            left = wait(20)
            took = time.monotonic() - began
    assert process.returncode == 130
    check_within(took, SECONDS)
    assert left == set()
    assert output == ""
    assert errors.splitlines()[-1:] == ["weft: interrupted"]
    assert "Traceback" not in errors
    assert not (tree.parent / "report.html").exists()


def test_ctrl_c_to_the_whole_group_as_a_terminal_sends_it(tree: Path) -> None:
    process = subprocess.Popen(
        [*WEFT, "demo", str(tree), "--output", str(tree.parent / "report.html"), "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        process_group=0,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: bool(descendants(process.pid)), "the trial")
        with watched(descendants(process.pid)) as wait:
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=20)
            assert wait(20) == set()
            took = time.monotonic() - began
    check_within(took, SECONDS)
    assert process.returncode == 130
    assert errors == "weft: interrupted\n"


@pytest.mark.parametrize("contender", ["serial", "threads", "processes"])
def test_nothing_is_left_of_a_demo_that_is_killed(tree: Path, contender: str) -> None:
    with demo(tree, "--flavor", contender if contender != "serial" else "threads") as process:
        reach(process, contender)
        with watched(descendants(process.pid)) as wait:
            began = time.monotonic()
            process.kill()
            assert wait(20) == set()
            took = time.monotonic() - began
    check_within(took, SECONDS)
