"""`weft.cli.demo.measure` and `trial`: real trials in real processes, and what happens when they die."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.cli.support import descendants, results_of, wait_until, watched, write_tree
from tests.lateness import check_within
from weft.cli.demo.contenders import available_contenders
from weft.cli.demo.measure import TrialProcess, measure
from weft.cli.demo.source_tree import find_tree
from weft.cli.demo.trial import Failure, Job, Trial

ALL = frozenset({"threads", "auto", "processes", "interpreters"})
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="watches processes through /proc")


@pytest.mark.parametrize("name", [contender.name for contender in available_contenders(ALL)])
def test_a_trial(name: str, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    tree = find_tree(root)
    seen: list[int] = []
    trial = measure(Job(name, 2, tree.paths), seen.append)
    assert isinstance(trial, Trial), trial
    assert trial.contender == name
    assert trial.results == results_of(root)
    assert len(trial.spans) == len(tree.paths)
    assert seen[0] == 1
    assert seen == sorted(seen)
    assert 0 < trial.wall < 30
    assert trial.cpu > 0
    assert (trial.decision is not None) == name.startswith("auto")
    for span in trial.spans:
        assert trial.origin <= span.start <= span.end
        assert span.process != os.getpid()
    if sys.platform == "linux":
        assert trial.peak_memory is not None
        assert 5_000_000 < trial.peak_memory < 1_000_000_000


def test_a_contender_that_raises_is_a_failure(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    outcome = measure(Job("stdlib threads", 0, find_tree(root).paths), lambda _: None)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "ValueError: max_workers must be greater than 0"
    assert "Traceback" in outcome.details


def test_prints_and_warnings_do_not_disturb(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The parser warns about this escape, in this process, in threads and in other processes."""
    (tmp_path / "odd.py").write_text('x = "\\d"\n')
    for name in ("serial", "stdlib threads", "processes", "stdlib processes"):
        trial = measure(Job(name, 1, (str(tmp_path / "odd.py"),)), lambda _: None)
        assert isinstance(trial, Trial), trial
        assert trial.results[0].problem is None
    assert capfd.readouterr() == ("", "")


def test_a_module_in_the_current_folder_is_not_taken_for_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenize.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    trial = measure(Job("stdlib processes", 1, (str(tmp_path / "tokenize.py"),)), lambda _: None)
    assert isinstance(trial, Trial), trial


def long_job(name: str, tmp_path: Path) -> Job:
    """A job that lasts for minutes, so that whatever happens to it happens in the middle."""
    path = tmp_path / "long.py"
    path.write_text("".join(f"def f{n}(x):\n    return x if x else {n}\n" for n in range(2000)))
    return Job(name, 2, (str(path),) * 5000)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name", ["serial", "threads", "processes", "stdlib processes"])
def test_a_process_that_is_killed_is_a_failure(name: str, tmp_path: Path) -> None:
    with TrialProcess() as process:
        process.begin(long_job(name, tmp_path))
        assert process.receive() == 1
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(EOFError):
            while True:
                process.receive()
        failure = process.cause_of_death()
    assert failure.reason.startswith("the process ended without a result (killed by SIGKILL)")


@on_linux
@pytest.mark.parametrize("name", ["serial", "threads", "processes", "auto", "stdlib processes"])
def test_stop_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    with TrialProcess() as process:
        process.begin(long_job(name, tmp_path))
        assert process.receive() == 1
        if name.endswith("processes"):
            wait_until(lambda: len(descendants(process.pid)) >= 3, "two workers, and a resource tracker or a template")
        left = {process.pid, *descendants(process.pid)}
        with watched(left) as wait:
            process.stop()
            began = time.monotonic()
            assert wait(20) == set()
            check_within(time.monotonic() - began, 0.5, "a process closes its descriptors a moment before it has ended")
