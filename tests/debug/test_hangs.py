"""dump_on_hang: what it writes, where, when, and what it leaves behind.

In child processes: the watchdog is the one that the tests' own deadline is kept by.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.executors.child import Ended, run_child
from weft import debug
from weft.errors import InvalidSetting

BEGIN = """
import json, os, sys, threading, time
from pathlib import Path
from weft.debug import dump_on_hang
def wait_for(condition):
    end = time.monotonic() + 25
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
def text(path):
    return Path(path).read_text() if Path(path).exists() else ""
def wait_for_all(*paths):
    wait_for(lambda: all("has not been left within" in text(path) and text(path).endswith("\\n") for path in paths))
"""


def run(program: str, *arguments: object) -> Ended:
    ended = run_child(BEGIN + program, *map(str, arguments))
    ended.check_sound()
    assert ended.errors == ""  # never to stderr
    return ended


def test_a_block_in_time_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hang.txt"
    ended = run(
        """
before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
for _ in range(20):
    with dump_on_hang(30, path=sys.argv[1]) as watch:
        assert watch.path == Path(sys.argv[1])
        assert Path(sys.argv[1]).exists()
assert threading.enumerate() == [threading.main_thread()]
assert before == (sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [])
print("done")
""",
        path,
    )
    assert ended.output == "done\n"
    assert not path.exists()


def test_a_block_that_hangs_is_written_about_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "hang.txt"
    run(
        """
from weft.executors import ThreadPoolExecutor
def stuck_in_a_task(): wait_for_all(sys.argv[1])
with ThreadPoolExecutor(1, thread_name_prefix="io") as pool:
    with dump_on_hang(0.2, path=sys.argv[1]):
        pool.submit(stuck_in_a_task).result()
""",
        path,
    )
    said = path.read_text()
    assert said.startswith("Timeout")
    assert said.count("Timeout") == 1
    assert "in stuck_in_a_task" in said
    assert "a block has not been left within 0.2 s" in said
    assert "pool io (threads): 1 worker, 1 running, 0 waiting" in said
    assert ": stuck_in_a_task, for " in said


def test_the_watchdog_that_reads_frames_of_running_threads_is_left_out_where_python_runs(tmp_path: Path) -> None:
    """It crashes a process now and then, before 3.14."""
    path = tmp_path / "hang.txt"
    run(
        """
def busy(): return [n for n in (m + 1 for m in range(5))]
for _ in range(60):
    end = time.monotonic() + 0.03
    with dump_on_hang(0.001, path=sys.argv[1]):
        while time.monotonic() < end:
            (lambda: busy())()
""",
        path,
    )
    said = path.read_text()
    assert said.count("Timeout (0.001 s)!") == said.count("Timeout"), said  # how weft's thread writes it


@pytest.mark.skipif(sys.platform == "win32", reason="needs a C library that ctypes can call with the GIL held")
def test_code_that_holds_the_gil_is_written_about_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "hang.txt"
    ended = run(
        """
import ctypes
def hold(): ctypes.PyDLL(None).sleep(5)
with dump_on_hang(0.2, path=sys.argv[1]):
    hold()
    print(json.dumps(text(sys.argv[1])))
""",
        path,
    )
    # Without a GIL the other thread may have had its turn as well.
    meanwhile = json.loads(ended.output)
    assert meanwhile.startswith("Timeout")
    assert "in hold" in meanwhile


def test_nested_and_side_by_side_each_into_its_own_file(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("outer", "inner", "other", "in_time")]
    run(
        """
outer, inner, other, in_time = sys.argv[1:]
inside = threading.Event()
def in_another_thread():
    with dump_on_hang(0.25, path=other):
        inside.set()
        wait_for_all(outer, inner, other)
thread = threading.Thread(target=in_another_thread)
thread.start()
assert inside.wait(20)
with dump_on_hang(0.5, path=outer), dump_on_hang(60, path=in_time):
    with dump_on_hang(0.3, path=inner):
        wait_for_all(outer, inner, other)
thread.join()
assert threading.enumerate() == [threading.main_thread()]
""",
        *paths,
    )
    for path in paths[:3]:
        said = path.read_text()
        assert said.count("Timeout") == 1, said
        assert "in in_another_thread" in said
        assert said.count("has not been left within") == 1
    assert not paths[3].exists()


def test_one_file_for_several_and_what_is_in_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "hang.txt"
    path.write_text("from before\n")
    run(
        """
path = sys.argv[1]
with dump_on_hang(0.2, path=path), dump_on_hang(0.4, path=path):
    with dump_on_hang(60, path=path):
        pass
    wait_for(lambda: text(path).count("has not been left within") == 2)
""",
        path,
    )
    said = path.read_text()
    assert said.startswith("from before\n")
    assert "within 0.2 s" in said
    assert "within 0.4 s" in said


def test_a_watchdog_that_somebody_else_has_taken(tmp_path: Path) -> None:
    path = tmp_path / "hang.txt"
    run(
        """
import faulthandler
with dump_on_hang(0.2, path=sys.argv[1]):
    faulthandler.cancel_dump_traceback_later()
    wait_for_all(sys.argv[1])
""",
        path,
    )
    said = path.read_text()
    assert said.startswith("Timeout (0.2 s)!\n")
    assert "in wait_for_all" in said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_watched_and_can_watch(tmp_path: Path) -> None:
    path, own = tmp_path / "hang.txt", tmp_path / "own.txt"
    run(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
with dump_on_hang(1, path=sys.argv[1]):
    pid = os.fork()
    if pid == 0:
        with dump_on_hang(0.1, path=sys.argv[2]):
            wait_for_all(sys.argv[2])
        sys.exit(7)  # all of the end of an interpreter
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    wait_for_all(sys.argv[1])
""",
        path,
        own,
    )
    assert own.read_text().count("has not been left within 0.1 s") == 1
    assert path.read_text().count("has not been left within 1 s") == 1


@pytest.mark.parametrize("moment", ["enters", "leaves"])
def test_who_is_interrupted_as_it_enters_or_leaves_is_not_watched_and_others_can_be(
    tmp_path: Path, moment: str
) -> None:
    run(
        """
from weft import _core
from weft.debug._hangs import _watches
from weft.errors import Interrupted
entered, may_leave, interrupted = threading.Event(), threading.Event(), []
def work():
    try:
        with dump_on_hang(60, path=sys.argv[1]):
            entered.set()
            assert may_leave.wait(20)
    except Interrupted:
        interrupted.append(True)
def waits_for_lock():
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and frame.f_code is threading.Condition.__enter__.__code__
thread = threading.Thread(target=work)
if sys.argv[2] == "leaves":
    thread.start()
    assert entered.wait(20)
with _watches._changed:
    may_leave.set()
    if sys.argv[2] == "enters":
        thread.start()
    wait_for(waits_for_lock)
    assert _core.raise_in_thread(thread.ident, Interrupted)
thread.join(20)
assert interrupted == [True]
with dump_on_hang(60, path=sys.argv[1]):
    pass
assert _watches._entered == []
assert threading.enumerate() == [threading.main_thread()]
assert not Path(sys.argv[1]).exists()
""",
        tmp_path / "hang.txt",
        moment,
    )


def test_the_end_of_the_program_does_not_wait_for_a_block_that_is_open(tmp_path: Path) -> None:
    ended = run("dump_on_hang(500, path=sys.argv[1]).__enter__()\nprint('exit', time.monotonic())\n", tmp_path / "hang")
    assert ended.exit_seconds < 20


def test_one_that_is_entered_twice(tmp_path: Path) -> None:
    run(
        """
watch = dump_on_hang(60, path=sys.argv[1])
with watch:
    pass
try:
    watch.__enter__()
except RuntimeError as error:
    assert "call dump_on_hang() for each" in str(error)
else:
    raise AssertionError
""",
        tmp_path / "hang.txt",
    )


# ---- what is wrong is said at once ---------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", None, True, 1e9])
def test_seconds_that_are_none(seconds: object) -> None:
    with pytest.raises(InvalidSetting, match="seconds="):
        debug.dump_on_hang(seconds, path="hang.txt")


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="path is where stacks are written") as caught:
        debug.dump_on_hang(5, path=tmp_path / "no such folder" / "hang.txt").__enter__()
    assert caught.value.filename == str(tmp_path / "no such folder" / "hang.txt")
    with pytest.raises(IsADirectoryError, match="name a file"):
        debug.dump_on_hang(5, path=tmp_path).__enter__()
    with pytest.raises(TypeError, match="path must be"):
        debug.dump_on_hang(5, path=sys.stderr)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters need 3.14")
def test_another_interpreter_has_the_module_and_is_refused() -> None:
    """faulthandler, which writes the stacks, cannot be imported there."""
    from concurrent import interpreters

    interpreter = interpreters.create()
    try:
        with pytest.raises(interpreters.ExecutionFailed, match="main interpreter only: call it there"):
            interpreter.exec("from weft import debug; debug.dump(); debug.dump_on_hang(5, path='hang.txt')")
    finally:
        interpreter.close()
