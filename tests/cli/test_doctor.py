"""`weft doctor`: what it finds, what it would do, and what it takes for wrong."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import weft
from tests.cli.support import WEFT, run_weft, wait_until
from weft.cli._outlook import outlook
from weft.cli._sheet import Section
from weft.cli.doctor.engines import engines
from weft.cli.doctor.environment import DEVELOPMENT, MEANINGS, environment
from weft.cli.doctor.extras import EXTRAS, extras
from weft.cli.doctor.machine import machine
from weft.cli.doctor.packages import packages, with_extensions
from weft.cli.doctor.python import gil_reason
from weft.cli.doctor.workers import workers

ROOT = Path(__file__).parents[2]
FOUND = weft.capabilities()

needs_interpreters = pytest.mark.skipif(not FOUND.interpreters, reason="interpreters need 3.14")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="control groups")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("WEFT_"):
            monkeypatch.delenv(name)


def text_of(section: Section, name: str) -> str:
    (fact,) = [fact for fact in section.facts if fact.name == name]
    return fact.text


# ---- the command -----------------------------------------------------------------------------------


def test_nothing_to_mend() -> None:
    done = run_weft("doctor", "--no-packages", variables={})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("weft doctor: weft ")
    for heading in ("Python", "Machine", "Workers", "What auto would do", "Environment", "Extras", "Engines"):
        assert f"\n\n{heading}\n  " in done.stdout
    assert "Packages" not in done.stdout
    assert done.stdout.endswith("\nNothing here needs mending.\n")


def test_json() -> None:
    done = run_weft("doctor", "--json", "--packages", "json", variables={"WEFT_MAX_WORKERS": "3"})
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["python"]["gil"]["enabled"] is weft.capabilities().gil_enabled
    assert found["machine"]["cpus_that_weft_uses"]["cpu_count"] == FOUND.cpu_count
    assert found["workers"]["interpreters"] is FOUND.interpreters
    assert found["what_auto_would_do"]["run"]["max_workers"] == 3
    assert found["environment"]["weft_max_workers"]["value"] == "3"
    assert found["extras"]["progress"].keys() == {"rich"}


def test_something_to_mend() -> None:
    variables = {"WEFT_MAX_WORKER": "3", "WEFT_FLAVOR": "thread"}
    done = run_weft("doctor", "--no-packages", variables=variables)
    assert done.returncode == 1
    assert done.stderr == ""
    words = " ".join(done.stdout.split())
    assert "no variable of weft's; did you mean WEFT_MAX_WORKERS?" in words
    assert "To mend: - WEFT_FLAVOR='thread' (from the environment) is not valid: did you mean 'threads'?" in words
    assert "Run() raise InvalidSetting: WEFT_FLAVOR='thread'" in words


def test_packages_or_none() -> None:
    done = run_weft("doctor", "--packages", "json", "--no-packages")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


# ---- the environment -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "said", "mark"),
    [
        ("WEFT_MAX_WORKERS", "4", "4: how many workers", ""),
        ("WEFT_MAX_WORKERS", "", "empty, which counts as not set", ""),
        ("WEFT_MAX_WORKERS", "0", "WEFT_MAX_WORKERS='0'", "wrong"),
        ("WEFT_AUTO", "perhaps", "use one of '1'", "wrong"),
        ("WEFT_SPARE_INTERPRETERS", "-1", "a whole number from 0", "wrong"),
        ("WEFT_SPARE_INTERPRETERS", "2", "2: interpreters", ""),
        ("WEFT_EXIT_GRACE", "inf", "inf: seconds", ""),
        ("WEFT_EXIT_GRACE", "nan", "seconds, at least 0", "wrong"),
        ("WEFT_ASYNC_MODE", "later", "'async' or 'deferred'", "wrong"),
        ("WEFT_COMPAT_MODE", "passthrough", "passthrough: what weft.compat", ""),
        ("WEFT_COMPAT_MODE", "off", "'managed' or 'passthrough'", "wrong"),
        ("WEFT_TRACE_PATH", "t.json", "t.json: write what tasks did", ""),
        ("WEFT_PYTHONS", "3.14", "weft's own build and tests", ""),
        ("WEFT_FORCE_PROCESSES", "1", "did you mean WEFT_FORCE_PROCESS?", "wrong"),
        ("WEFT_XYZZY", "1", "take it out", "wrong"),
    ],
)
def test_a_variable(name: str, text: str, said: str, mark: str) -> None:
    (fact,) = environment({name: text, "OTHER": "1"}).facts
    assert said in fact.text
    assert (fact.name, fact.mark) == (name, mark)


def test_two_variables_that_contradict_each_other() -> None:
    section = environment({"WEFT_CPU_BOUND": "1", "WEFT_IO_BOUND": "1"})
    assert "contradict" in section.problems[0]


def test_every_variable_that_weft_reads_is_known() -> None:
    read: set[str] = set()
    package = ROOT / "src" / "weft"
    for file in package.rglob("*.py"):
        if not file.is_relative_to(package / "cli"):
            read |= set(re.findall(r'"(WEFT_[A-Z_]+)"', file.read_text(encoding="utf-8")))
    from weft.config import variables

    assert read
    assert read | set(variables()) == MEANINGS.keys()
    assert not DEVELOPMENT & MEANINGS.keys()


# ---- what auto would do ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WEFT_MAX_WORKERS": "1"},
        {"WEFT_MAX_WORKERS": "3"},
        {"WEFT_IO_BOUND": "1"},
        {"WEFT_CPU_BOUND": "1", "WEFT_THREAD_MODE": "gil"},
        {"WEFT_THREAD_MODE": "nogil"},
        {"WEFT_FLAVOR": "serial"},
        {"WEFT_FORCE_THREADS": "1"},
        {"WEFT_AUTO": "0"},
    ],
)
def test_the_outlook_is_what_run_decides(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = outlook()
    with weft.Run() as executor:
        decision = weft.last_decision()
    assert executor is not None
    assert decision is not None
    names = ("requested", "resolved", "code", "reason", "max_workers", "thread_mode")
    assert [getattr(before, name) for name in names] == [getattr(decision, name) for name in names]


# ---- the machine -----------------------------------------------------------------------------------


def control_group(root: Path, **files: str) -> str:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text("0::/\n")
    (root / "proc" / "self" / "mountinfo").write_text("31 23 0:28 / /cg rw shared:4 - cgroup2 cgroup2 rw\n")
    (root / "cg").mkdir()
    for name, text in files.items():
        (root / "cg" / name.replace("_", ".")).write_text(text)
    return str(root)


@needs_linux
def test_a_memory_limit(tmp_path: Path) -> None:
    root = control_group(tmp_path, memory_max="67108864\n")
    assert text_of(machine(root), "memory limit") == "64 MiB, by its control group"


@needs_linux
def test_no_room_for_processes(tmp_path: Path) -> None:
    root = control_group(tmp_path, pids_max="20\n", pids_current="18\n")
    (problem,) = workers(root).problems
    assert problem.startswith("processes: no: the control group may have 20 processes and threads, and has 18")


@needs_linux
def test_what_processes_are_spoken_to_by() -> None:
    section = workers()
    assert section.problems == []
    assert text_of(section, "processes") == "yes"
    assert text_of(section, "spoken to by").startswith("shared memory (memfd) and eventfd")
    assert "need" in text_of(section, "/dev/shm")


def test_who_has_the_gil_on() -> None:
    reason = gil_reason()
    assert reason.startswith("on" if FOUND.gil_enabled else "off")
    if not FOUND.free_threaded_build:
        assert "this build" in reason


# ---- extras and engines ----------------------------------------------------------------------------


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {
        extra: tuple(re.split(r"[<>=!\[ ]", requirement)[0] for requirement in requirements)
        for extra, requirements in project["optional-dependencies"].items()
        if extra != "all"
    }
    assert names == EXTRAS
    assert re.fullmatch(r"rich \S+", text_of(extras(), "progress"))


def test_an_engine_that_answers_and_one_that_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        section = engines({"DASK_SCHEDULER_ADDRESS": f"tcp://127.0.0.1:{port}", "RAY_ADDRESS": f"127.0.0.1:{port}"})
    assert f"tcp://127.0.0.1:{port} answers" in text_of(section, "Dask")
    assert "answers" in text_of(section, "Ray")
    assert "no address in SPARK_REMOTE" in text_of(section, "Spark")
    section = engines(
        {"DASK_SCHEDULER_ADDRESS": f"tcp://127.0.0.1:{port}", "RAY_ADDRESS": "auto", "MASTER": "local[4]"}
    )
    assert "does not answer" in text_of(section, "Dask")
    assert "names no address" in text_of(section, "Ray")
    assert "names no address" in text_of(section, "Spark")
    assert section.problems == []


# ---- packages --------------------------------------------------------------------------------------


@needs_interpreters
def test_packages_that_refuse_interpreters() -> None:
    pytest.importorskip("numpy")
    assert "numpy" in with_extensions()
    section = packages(["numpy", "json", "no_such_package"])
    assert "numpy._core._multiarray_umath does not support interpreters" in text_of(section, "numpy")
    assert text_of(section, "json") == "works in interpreters"
    assert "No module named 'no_such_package'" in text_of(section, "no_such_package")
    assert section.problems == []


@pytest.mark.skipif(not FOUND.free_threaded_build, reason="needs free threads")
def test_packages_that_leave_the_gil_off() -> None:
    assert "GIL" in text_of(packages(["json"]), "json")


@pytest.mark.skipif(not (FOUND.interpreters or FOUND.free_threaded_build), reason="nothing to ask")
def test_a_package_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hangs_when_imported.py").write_text("import time\ntime.sleep(1000)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    section = packages(["hangs_when_imported"], each=1.5)
    assert text_of(section, "hangs_when_imported") == "not known: no answer within 1.5 s"
    section = packages(["hangs_when_imported"], most=0.0)
    assert "time was up" in text_of(section, "hangs_when_imported")


@pytest.mark.skipif(not FOUND.interpreters, reason="nothing to ask, or not in this way")
def test_ctrl_c_while_a_package_hangs(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "hangs_when_imported.py").write_text(
        f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(1000)\n"
    )
    process = subprocess.Popen(
        [*WEFT, "doctor", "--packages", "hangs_when_imported", "json", "re"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=tmp_path,
    )
    with process:
        wait_until(begun.exists, "the import has begun")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=15)  # less than EACH
    assert (process.returncode, errors) == (130, "weft: interrupted\n")


@pytest.mark.skipif(FOUND.interpreters or FOUND.free_threaded_build, reason="there is something to ask")
def test_nothing_to_ask() -> None:
    assert "not asked" in text_of(packages(["json"]), "packages")
