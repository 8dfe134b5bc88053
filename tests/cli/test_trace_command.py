"""`weft trace`: a program that is run with tracing on, and traces that are read."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import WEFT, run_weft
from weft import debug
from weft.cli.trace import run_trace
from weft.executors import SerialExecutor, ThreadPoolExecutor

PROGRAM = """
import sys
from weft.executors import ThreadPoolExecutor

def double(number):
    return number * 2

def fail():
    raise ValueError

if __name__ == "__main__":
    with ThreadPoolExecutor(2, thread_name_prefix="io") as pool:
        assert list(pool.map(double, range(50), chunksize=1)) == list(range(0, 100, 2))
        pool.submit(fail).exception()
    print(*sys.argv[1:])
    sys.exit(len(sys.argv) - 1)
"""

needs_processes = pytest.mark.skipif(sys.platform == "win32", reason="processes need fork")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def test_a_program_and_what_its_tasks_did(program: Path) -> None:
    done = run_weft("trace", str(program), "--json", "x")
    assert (done.returncode, done.stderr) == (2, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "--json x"  # what follows the program is the program's
    assert lines[1].startswith("51 tasks in ")
    assert "  done    50" in lines
    assert "  failed  1" in lines
    assert any(line.startswith("  double") and " in 50 runs: " in line for line in lines)
    assert any(line.startswith(("  io_0 (threads)", "  io_1 (threads)")) for line in lines)  # one may have done it all


def test_a_module_and_a_trace_that_is_kept(program: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    done = run_weft("trace", "--json", "--output", str(kept), "-m", "program", "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    said, _, found = done.stdout.partition("\n")
    assert said == "--help"
    assert json.loads(found)["what_became_of_them"] == {"done": 50, "failed": 1}
    again = run_weft("trace", "--json", str(kept))
    assert json.loads(again.stdout) == json.loads(found)


@needs_processes
def test_processes_of_the_program_are_in_it(tmp_path: Path) -> None:
    program = tmp_path / "nested.py"
    program.write_text(
        "from weft.executors import ProcessPoolExecutor, ThreadPoolExecutor\n"
        "def inner():\n"
        "    with ThreadPoolExecutor(1) as pool:\n"
        "        return pool.submit(int).result()\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1) as pool:\n"
        "        pool.submit(inner).result()\n"
    )
    done = run_weft("trace", "--json", str(program))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["where_the_time_went"].keys() == {"inner", "int"}
    assert len(found["traces"]) == 2


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_trace(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"trace{suffix}"
    debug.enable_tracing(path)
    with ThreadPoolExecutor(1) as pool, SerialExecutor() as serial:
        assert pool.submit(int).result() == serial.submit(int).result()
        pool.options(name="divide").submit(divmod, 1, 0).exception()
    with ThreadPoolExecutor(1) as pool:
        gate = hold_worker(pool)
        waits = pool.submit(abs, -1)
        assert waits.cancel()
        gate.set()
    debug.disable_tracing()
    assert run_trace([str(path)], as_json=True) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["what_became_of_them"] == {"done": 3, "failed": 1, "cancelled": 1}
    assert found["where_the_time_went"]["int"]["tasks"] == 2
    assert found["where_the_time_went"]["divide"]["tasks"] == 1


def hold_worker(pool: ThreadPoolExecutor) -> Any:
    """Keeps its only worker, until it is set."""
    begun, gate = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(30)

    pool.submit(hold)
    begun.wait(30)
    return gate


def test_a_trace_whose_process_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trace.json"
    debug.enable_tracing(path)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
    debug.disable_tracing()
    path.write_text(path.read_text().rstrip().removesuffix("]").rstrip() + ",\n")
    assert run_trace([str(path)]) == 0
    assert capsys.readouterr().out.startswith("1 task in ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read: No such file"),
        ("nonsense", "is no trace of weft's"),
        ("[{}]", "is no trace of weft's"),
        ("3\n", "is no trace of weft's"),
    ],
)
def test_what_is_no_trace(tmp_path: Path, text: str | None, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trace.jsonl"
    if text is not None:
        path.write_text(text)
    assert run_trace([str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"weft trace: {path} {why}")
    assert told.count("\n") == 1


def test_usage_errors(tmp_path: Path, program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, why in [
        (([],), "what is to be traced?"),
        ((["no_such.py"],), "there is no file no_such.py"),
    ]:
        assert run_trace(*arguments) == 2
        assert why in capsys.readouterr().err
    assert run_trace([str(program)], output=tmp_path / "nowhere" / "trace.json") == 2
    assert "there is no folder" in capsys.readouterr().err
    assert run_trace(["trace.json"], output=tmp_path / "trace.json") == 2
    assert "is one already" in capsys.readouterr().err


def test_a_program_without_pools(tmp_path: Path) -> None:
    program = tmp_path / "plain.py"
    program.write_text("print('hello')")
    done = run_weft("trace", str(program))
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert done.stderr == "weft trace: the program has made no pool of weft's, so there is no trace\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
def test_ctrl_c_ends_the_program_and_is_reported(tmp_path: Path) -> None:
    program = tmp_path / "waits.py"
    program.write_text(
        "import time\n"
        "from weft.executors import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(1) as pool:\n"
        "    pool.submit(int).result()\n"
        "    print('begun', flush=True)\n"
        "    while True: time.sleep(0.05)\n"  # a signal that comes just before a sleep does not end it
    )
    with subprocess.Popen(
        [*WEFT, "trace", str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output.startswith("1 task in ")
    assert "KeyboardInterrupt" in errors
