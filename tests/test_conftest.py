"""The safety net is a test subject too: pytest is run in a child process on tests that hang or leak."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lateness import Late

CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def run(tmp_path: Path):
    """Runs pytest with this suite's conftest on a test's source; gives the process that was, and its hang dumps."""
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nmarkers =\n    deadline(seconds): x\n    leaves_threads(reason): x\n"
    )

    def run(source: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], str]:
        (tmp_path / "test_it.py").write_text(source)
        env = {
            **os.environ,
            "WEFT_HANGS": str(tmp_path / "hangs"),
            "PYTHONPATH": str(CONFTEST.parents[1]),
            **environment,
        }
        # A plugin the outer run uses must not join in: of the environment only what pytest itself reads is dropped.
        env.pop("PYTEST_ADDOPTS", None)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=50)
        return done, "".join(dump.read_text() for dump in (tmp_path / "hangs").glob("*.txt"))

    return run


def test_a_hang_ends_the_run_with_every_stack_in_the_file(run):
    done, dump = run(
        "import threading, pytest\n"
        "@pytest.mark.deadline(0.5)\n"
        "def test_waits_for_ever():\n"
        "    threading.Event().wait()\n"
    )
    assert done.returncode == 1
    assert "test_it.py::test_waits_for_ever (deadline 0.5 s)\nTimeout" in dump
    if "in test_waits_for_ever" not in dump:
        raise Late("its fixtures took all of its time")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a C library that ctypes can call with the GIL held")
def test_native_code_that_holds_the_gil_cannot_hold_up_the_deadline(run):
    done, dump = run(
        "import ctypes, pytest\n@pytest.mark.deadline(0.5)\ndef test_sleeps_in_c():\n    ctypes.PyDLL(None).sleep(40)\n"
    )
    assert done.returncode == 1
    assert "test_it.py::test_sleeps_in_c (deadline 0.5 s)\nTimeout" in dump


LATE = "from tests.lateness import check_within\ntook = [3e6, 2e6, 1e3]\n"


def test_a_test_that_is_late_is_tried_three_times(run):
    done, _ = run(LATE + "def test_it():\n    check_within(took.pop(0), 1e3)\n")
    assert done.returncode == 0, done.stdout
    done, _ = run(LATE + "def test_it():\n    check_within(took.pop(0), 1)\n    assert took\n")
    assert done.returncode == 1
    assert "took 1000.000 s, may take" in done.stdout


def test_a_test_that_is_late_draws_the_same_again(run):
    done, _ = run(
        LATE + "drawn = []\n"
        "def test_it(rng):\n"
        "    drawn.append(rng.random())\n"
        "    check_within(took.pop(0), 1e3)\n"
        "    assert len(drawn) == 3 and len(set(drawn)) == 1\n"
    )
    assert done.returncode == 0, done.stdout


def test_what_else_goes_wrong_counts_at_once(run):
    done, _ = run(LATE + "def test_it():\n    assert took.pop() > 1e4\n")
    assert done.returncode == 1
    assert "assert 1000.0 > 10000.0" in done.stdout


def test_a_thread_that_outlives_its_test_is_an_error(run):
    done, dump = run(
        "import threading, pytest, conftest\n"
        "conftest.GRACE = 0.1\n"
        "stop = threading.Event()\n"
        "def start():\n"
        "    threading.Thread(target=stop.wait, name='the-straggler', daemon=True).start()\n"
        "def test_leaves_one(): start()\n"
        "@pytest.mark.leaves_threads('on purpose')\n"
        "def test_may_leave_one(): start()\n"
        "def test_leaves_none(): stop.set()\n"
    )
    assert done.returncode == 1
    assert "3 passed, 1 error" in done.stdout
    assert "the-straggler" in done.stdout
    assert dump == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's threads with their names")
def test_a_native_thread_that_outlives_its_test_is_an_error(run):
    done, _ = run(
        "import threading, conftest\n"
        "conftest.GRACE = 0.1\n"
        "conftest.threading.enumerate = lambda: []\n"  # as for a thread that Python does not know
        "ready = threading.Event()\n"
        "def work():\n"
        "    open(f'/proc/self/task/{threading.get_native_id()}/comm', 'w').write('weft-left')\n"
        "    ready.set()\n"
        "    threading.Event().wait()\n"
        "def test_leaves_one():\n"
        "    threading.Thread(target=work, daemon=True).start()\n"
        "    assert ready.wait(5)\n"
    )
    assert done.returncode == 1
    assert "weft-left" in done.stdout


def test_a_seed_repeats_the_random_numbers_of_a_run(run):
    source = (
        "from hypothesis import given, settings, strategies as st\n"
        "def test_rng(rng): print('drawn', rng.random()); assert False\n"
        "@settings(database=None, max_examples=3)\n"
        "@given(st.integers())\n"
        "def test_given(n): print('given', n)\n"
        "def test_show(): assert False\n"
    )

    def drawn(output: str) -> list[str]:
        return [line for line in output.splitlines() if line.startswith("drawn")]

    first, _ = run(source, WEFT_TEST_SEED="1")
    again, _ = run(source, WEFT_TEST_SEED="1")
    other, _ = run(source, WEFT_TEST_SEED="2")
    assert drawn(first.stdout) == drawn(again.stdout) != drawn(other.stdout)
    assert "WEFT_TEST_SEED=1" in first.stdout
