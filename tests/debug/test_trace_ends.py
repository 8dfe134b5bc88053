"""How traces end: with the interpreter, whatever it was doing; by a crash; in a forked child; in a sub-interpreter."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.debug import trace_event_format
from tests.executors.child import finish_child, run_child, start_child, wait_until

HEAD = r"""
import os, signal, sys, threading, time
from weft import debug
from weft.executors import ThreadPoolExecutor

def nothing(*_):
    pass

path = sys.argv[1]
debug.enable_tracing(path)
"""


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Every line is whole, the last one too."""
    text = path.read_text(encoding="utf-8").rstrip(" ")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def events_of(path: Path, *, cut_off: bool = False) -> list[dict[str, Any]]:
    """The tasks that ran, from either kind of file, checked."""
    if path.suffix == ".json":
        slices = trace_event_format.check(trace_event_format.load(path, cut_off=cut_off), cut_off=cut_off)["X"]
        return [{"name": event["name"], **event["args"]} for event in slices]
    return [line for line in lines_of(path) if line["start"] is not None]


@pytest.fixture(params=["trace.jsonl", "trace.json"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


# ---- the end of the interpreter ---------------------------------------------------------------------------


def test_exit_with_tracing_on(path: Path) -> None:
    run_child(
        HEAD + "with ThreadPoolExecutor(2) as pool: list(pool.map(nothing, range(100), chunksize=1))", str(path)
    ).check_sound()
    assert len(events_of(path)) == 100


def test_exit_with_work_pending(path: Path) -> None:
    """What a pool that nobody shut down does until its end is in the trace, to its last task."""
    ended = run_child(
        HEAD
        + """
pool = ThreadPoolExecutor(1)
gate = threading.Event()
pool.submit(gate.wait, 20)
for number in range(500):
    pool.options(name=f"task {number}").submit(nothing)
gate.set()
""",
        str(path),
    )
    ended.check_sound()
    assert [event["name"] for event in events_of(path)] == ["Event.wait", *(f"task {number}" for number in range(500))]


def test_exit_with_a_task_that_does_not_end(path: Path) -> None:
    ended = run_child(
        HEAD
        + """
def spin():
    while True: pass
pool = ThreadPoolExecutor(1)
pool.submit(nothing).result()
future = pool.submit(spin)
while not future.running(): pass
waiting = pool.submit(nothing)
""",
        str(path),
        WEFT_EXIT_GRACE="0.1",
    )
    ended.check_sound()
    assert [(event["name"], event["state"]) for event in events_of(path)] == [
        ("nothing", "done"),
        ("spin", "interrupted"),
    ]


def test_ctrl_c(path: Path) -> None:
    ended = run_child(
        HEAD
        + """
pool = ThreadPoolExecutor(1)
pool.submit(nothing).result()
pool.submit(os.kill, os.getpid(), signal.SIGINT)
for _ in range(400):
    time.sleep(0.05)  # one that comes just before it is seen after it; in a Condition's wait it could break the lock
""",
        str(path),
    )
    ended.check_sound(-signal.SIGINT)
    assert "KeyboardInterrupt" in ended.errors
    assert [event["name"] for event in events_of(path)] == ["nothing", "kill"]


def test_sys_exit_in_the_middle(path: Path) -> None:
    ended = run_child(
        HEAD + "with ThreadPoolExecutor(1) as pool:\n    pool.submit(nothing).result()\n    sys.exit(3)", str(path)
    )
    ended.check_sound(3)
    assert len(events_of(path)) == 1


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)", "os.abort()"])
def test_a_crash_loses_only_the_last_moment(path: Path, how: str) -> None:
    """What was there when the drainer last came round is in the file, in whole lines, and the file can be read."""
    ended = run_child(
        HEAD
        + f"""
pool = ThreadPoolExecutor(2)
for future in [pool.submit(nothing) for _ in range(5000)]: future.result()
end = time.monotonic() + 20
mentioned = 3 if path.endswith(".json") else 1  # begin and end of the wait, and the slice
while open(path).read().count("nothing") < 5000 * mentioned:
    assert time.monotonic() < end
for future in [pool.submit(nothing) for _ in range(1000)]: future.result()
{how}
""",
        str(path),
    )
    assert ended.status != 0
    if path.suffix == ".json":
        assert len(events_of(path, cut_off=True)) >= 5000
    else:
        assert 5000 <= len(events_of(path)) <= 6000


def test_killed_at_any_moment(path: Path) -> None:
    program = (
        HEAD
        + "pool = ThreadPoolExecutor(2)\nwhile True:\n    for _ in pool.map(nothing, range(1000), chunksize=1): pass\n"
    )
    with start_child(program, str(path)) as process:
        wait_until(lambda: path.exists() and path.stat().st_size > 300_000, "something is written")
        process.kill()
        finish_child(process, 20)
    assert len(events_of(path, cut_off=True)) > 100


# ---- fork -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.deadline(120)
def test_a_forked_child_is_not_traced_and_can_trace_itself(path: Path) -> None:
    ended = run_child(
        HEAD
        + r"""
import warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)

def count(open_file):
    return sum(os.path.realpath(f"/proc/self/fd/{fd}") == os.path.realpath(open_file) for fd in os.listdir("/proc/self/fd"))

def child(number):
    assert count(path) == 0
    with ThreadPoolExecutor(2) as own:
        own.options(name="child, untraced").submit(nothing).result()
    assert debug.disable_tracing() is None
    try:
        debug.enable_tracing(path)
    except RuntimeError as error:
        assert "another process is writing" in str(error), error
    else:
        raise AssertionError("two processes write one file")
    debug.enable_tracing(f"{path}.{number}")
    with ThreadPoolExecutor(2) as own:
        own.options(name="child").submit(nothing).result()
    assert debug.disable_tracing().written == 1

stop = threading.Event()
with ThreadPoolExecutor(2) as pool:
    def busy():
        while not stop.is_set():
            for future in [pool.options(name="parent").submit(nothing) for _ in range(20)]: future.result()
    thread = threading.Thread(target=busy)
    thread.start()
    for number in range(20):
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            try:
                child(number)
                os._exit(0)
            except BaseException:
                import traceback; traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
    stop.set()
    thread.join()
assert count(path) == 1
debug.disable_tracing()
""",
        str(path),
        seconds=100,
    )
    ended.check_sound()
    assert {event["name"] for event in events_of(path)} == {"parent"}
    for number in range(20):
        assert [event["name"] for event in lines_of(Path(f"{path}.{number}"))] == ["child"]


# ---- sub-interpreters -------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters comes with Python 3.14")
@pytest.mark.deadline(120)
def test_each_interpreter_traces_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    ended = run_child(
        HEAD
        + r"""
from concurrent import interpreters

INSIDE = '''
from weft import debug
from weft.executors import SerialExecutor, ThreadPoolExecutor

def nothing(*_):
    pass

for _ in range(3):
    debug.enable_tracing(path)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.options(name="inside").submit(nothing) for _ in range(100)]: future.result()
        SerialExecutor().options(name="serial inside").submit(nothing)
        assert debug.get_num_worker_threads() >= 1
    if end:
        assert debug.disable_tracing().written == 101
    else:
        break
'''
pool = ThreadPoolExecutor(2)
for number in range(5):
    interpreter = interpreters.create()
    interpreter.prepare_main(path=f"{path}.{number}", end=number != 4)
    interpreter.exec(INSIDE)
    interpreter.close()
    for future in [pool.options(name="outside").submit(nothing) for _ in range(100)]: future.result()
pool.shutdown()
assert debug.disable_tracing().written == 500
""",
        str(path),
        seconds=100,
    )
    ended.check_sound()
    assert {event["name"] for event in events_of(path)} == {"outside"}
    for number in range(5):
        names = [event["name"] for event in lines_of(Path(f"{path}.{number}"))]
        assert sorted(names) == ["inside"] * 100 + ["serial inside"]
