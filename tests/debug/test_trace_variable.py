"""`WEFT_TRACE_PATH`: on at the first pool, a file for each process, and no harm done by a wrong path."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.executors.child import run_child

HEAD = r"""
import os, sys, warnings
from weft import debug
from weft.executors import SerialExecutor, ThreadPoolExecutor
warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)

def nothing(*_):
    pass

def work(name):
    with ThreadPoolExecutor(1) as pool:
        pool.options(name=name).submit(nothing).result()
"""


def names(path: Path) -> list[str]:
    return [json.loads(line)["name"] for line in path.read_text().splitlines()]


def test_without_it_nothing_is_loaded() -> None:
    run_child(
        HEAD.replace("from weft import debug", "") + "work('a'); assert 'weft.debug' not in sys.modules"
    ).check_sound()


def test_on_at_the_first_pool(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    program = HEAD + f"import weft\nassert not os.path.exists({str(path)!r})\nwork('one')\nwork('two')"
    run_child(program, WEFT_TRACE_PATH=str(path)).check_sound()
    assert names(path) == ["one", "two"]


@pytest.mark.parametrize(
    "program",
    [
        "SerialExecutor().submit(nothing)",
        "import weft; weft.async_(nothing).result()",
        "import weft\nwith weft.Run() as executor: executor.submit(nothing).result()",
    ],
)
def test_whatever_pool_is_the_first(tmp_path: Path, program: str) -> None:
    path = tmp_path / "trace"
    run_child(HEAD + program, WEFT_TRACE_PATH=str(path)).check_sound()
    assert names(path) == ["nothing"]


def test_pools_that_are_the_first_at_the_same_time_are_both_traced(tmp_path: Path) -> None:
    """The second one waits until tracing is on."""
    program = (
        HEAD
        + """
import threading, time
from weft.debug import _trace_file
opening, may_open, open_own = threading.Event(), threading.Event(), _trace_file.open_own
def open_late(path):
    opening.set()
    assert may_open.wait(20)
    return open_own(path)
_trace_file.open_own = open_late
def waits(thread):
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and frame.f_code.co_qualname == "Guard.__call__"
first, second = (threading.Thread(target=work, args=(name,)) for name in ("first", "second"))
first.start()
assert opening.wait(20)
second.start()
while second.is_alive() and not waits(second):
    time.sleep(0.001)
may_open.set()
first.join()
second.join()
"""
    )
    ended = run_child(program, WEFT_TRACE_PATH=str(tmp_path / "trace"))
    ended.check_sound()
    assert ended.errors == ""
    assert sorted(names(tmp_path / "trace")) == ["first", "second"]


def test_a_warning_that_makes_a_pool_is_the_only_one() -> None:
    program = (
        HEAD
        + """
import logging
class Handler(logging.StreamHandler):
    def emit(self, record):
        work("handling")
        super().emit(record)
logging.getLogger("weft").addHandler(Handler())
work("one")
"""
    )
    ended = run_child(program, WEFT_TRACE_PATH="/no/such/folder/trace")
    ended.check_sound()
    assert ended.errors.count("there will be no trace: ") == 1


def test_a_program_that_traces_itself_goes_before(tmp_path: Path) -> None:
    program = HEAD + "debug.enable_tracing()\nwork('mine')\nprint(debug.disable_tracing().written)\nwork('mine')"
    ended = run_child(program, WEFT_TRACE_PATH=str(tmp_path / "trace"))
    ended.check_sound()
    assert ended.output == "1\n"
    assert not (tmp_path / "trace").exists()


def test_it_is_not_turned_on_again(tmp_path: Path) -> None:
    program = HEAD + "work('one')\ndebug.disable_tracing()\nwork('two')"
    run_child(program, WEFT_TRACE_PATH=str(tmp_path / "trace")).check_sound()
    assert names(tmp_path / "trace") == ["one"]


def test_the_process_id_in_the_path(tmp_path: Path) -> None:
    ended = run_child(HEAD + "work('one'); print(os.getpid())", WEFT_TRACE_PATH=str(tmp_path / "{pid}.jsonl"))
    ended.check_sound()
    assert names(tmp_path / f"{int(ended.output)}.jsonl") == ["one"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_children_have_files_of_their_own(tmp_path: Path) -> None:
    """Forked ones, and others that inherit the variable."""
    program = (
        HEAD
        + """
import subprocess
work("parent")
if (pid := os.fork()) == 0:
    work("forked")
    debug.disable_tracing()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
if len(sys.argv) == 1:
    subprocess.run([sys.executable, "-c", sys.orig_argv[sys.orig_argv.index("-c") + 1], "child"], check=True)
work("parent again")
"""
    )
    run_child(program, WEFT_TRACE_PATH=str(tmp_path / "trace.jsonl")).check_sound()
    assert names(tmp_path / "trace.jsonl") == ["parent", "parent again"]
    others = [names(path) for path in tmp_path.iterdir() if path.name != "trace.jsonl"]
    assert sorted(others) == [["forked"], ["forked"], ["parent", "parent again"]]
    assert all(path.suffix == ".jsonl" for path in tmp_path.iterdir())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters comes with Python 3.14")
def test_interpreters_have_files_of_their_own(tmp_path: Path) -> None:
    program = HEAD + f"work('outside')\nfrom concurrent import interpreters\ninside = {HEAD!r} + 'work(\"inside\")'\n"
    program += (
        "first = interpreters.create(); first.exec(inside)\nsecond = interpreters.create(); second.exec(inside)\n"
    )
    program += "first.close()\nsecond.close()"
    run_child(program, WEFT_TRACE_PATH=str(tmp_path / "trace")).check_sound()
    assert sorted(names(path) for path in tmp_path.iterdir()) == [["inside"], ["inside"], ["outside"]]


@pytest.mark.parametrize("path", ["/no/such/folder/trace", "/"])
def test_a_path_that_cannot_be_written_is_a_warning(path: str) -> None:
    ended = run_child(HEAD + "work('one'); work('two'); print('worked')", WEFT_TRACE_PATH=path)
    ended.check_sound()
    assert ended.output == "worked\n"
    assert ended.errors.count(f"WEFT_TRACE_PATH={path!r}: there will be no trace: ") == 1


def test_an_empty_variable_is_none() -> None:
    run_child(HEAD + "work('one'); assert debug.disable_tracing() is None", WEFT_TRACE_PATH="").check_sound()
