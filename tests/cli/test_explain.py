"""`weft explain`: where a function could run, why not elsewhere, and what `auto` would do."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import weft
from tests.cli.support import run_weft
from weft.cli._target import NotFoundError, find_function
from weft.cli.explain import run_explain
from weft.cli.explain.words import after_call

HERE = "tests.cli.explained"
FOUND = weft.capabilities()

needs_interpreters = pytest.mark.skipif(not FOUND.interpreters, reason="interpreters need 3.14")
needs_processes = pytest.mark.skipif(sys.platform == "win32", reason="processes need fork")


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of weft's own, but one: as if there were a GIL, so that `auto` says the same on every build."""
    for name in list(os.environ):
        if name.startswith("WEFT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WEFT_THREAD_MODE", "gil")


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(name: str, **options: Any) -> dict[str, Any]:
        assert run_explain(name, json=True, **options) == 0
        return json.loads(capsys.readouterr().out)

    return run


def can(found: dict[str, Any]) -> dict[str, bool]:
    return {name: place["can_run"] for name, place in found["where_it_could_run"].items() if name != "free_threads"}


def everywhere() -> dict[str, bool]:
    return {"threads": True, "interpreters": FOUND.interpreters, "processes": True}


# ---- the command -----------------------------------------------------------------------------------


@needs_processes
def test_a_function_that_can_run_anywhere() -> None:
    done = run_weft("explain", "json:dumps", variables={"WEFT_THREAD_MODE": "gil"})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("json:dumps: a Python function, json")
    assert "  sent  by its name, json:dumps, which the worker imports" in lines
    assert "  processes     yes: found there by its name" in lines
    if FOUND.interpreters:
        assert "  interpreters  yes: found there by its name; json and what it imports can be imported there" in lines
    assert "  against moving it  nothing that can be seen before a call" in lines


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("json:dump_", 2, "json has no 'dump_'; did you mean 'dump'?"),
        ("json:JSONEncoder.encod", 2, "json:JSONEncoder has no 'encod'; did you mean 'encode'?"),
        ("jsn:dumps", 2, "there is no module 'jsn'; did you mean json?"),
        ("json.decodr:x", 2, "there is no module 'json.decodr'; did you mean json.decoder?"),
        ("json.dumps", 2, "'json.dumps' is not MODULE:FUNCTION; did you mean json:dumps?"),
        ("nothing", 2, "'nothing' is not MODULE:FUNCTION, such as json:dumps or jobs.py:resize"),
        ("json:__name__", 2, "json:__name__ is a str, which cannot be called"),
        ("jobs.py:f", 2, "there is no file jobs.py; did you mean job.py?"),
        ("wants.py:f", 1, "wants.py cannot be imported: it raised ModuleNotFoundError: No module named 'no_such_one'"),
        ("quits:f", 1, "quits cannot be imported: it raised SystemExit: 3"),
        ("json.py:f", 2, "json.py cannot be imported: Python has another module called 'json'; rename the file"),
    ],
)
def test_what_is_not_there(
    name: str,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for file, text in {"job.py": "", "wants.py": "import no_such_one", "quits.py": "raise SystemExit(3)"}.items():
        (tmp_path / file).write_text(text)
    if name == "json.py:f":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "json.py").write_text("f = print")
        name = "elsewhere/json.py:f"
        said = f"elsewhere/{said}"
    monkeypatch.chdir(tmp_path)
    assert run_explain(name) == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"weft explain: {said}\n")


def test_usage_errors() -> None:
    for arguments in (["explain"], ["explain", "json:dumps", "--timeout", "0"], ["explain", "json:dumps", "--cal"]):
        done = run_weft(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1


def test_a_module_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hangs.py").write_text("import time\nprint('noise')\ntime.sleep(1000)\n")
    monkeypatch.chdir(tmp_path)
    assert run_explain("hangs:f", seconds=1.0) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "weft explain: importing hangs: no answer within 1 s\n")


@needs_interpreters
def test_a_module_that_brings_an_interpreter_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, explain: Any
) -> None:
    (tmp_path / "crashes.py").write_text(
        "import os\nfrom concurrent import interpreters\nf = abs\ndef g(): pass\n"
        "if interpreters.get_current() != interpreters.get_main(): os.kill(os.getpid(), 9)\n"
    )
    monkeypatch.chdir(tmp_path)
    found = explain("crashes:g")
    assert can(found) == {"threads": True, "interpreters": False, "processes": True}
    assert found["where_it_could_run"]["interpreters"]["reason"].endswith("the process ended: killed by SIGKILL")


# ---- finding it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "name"), [(weft.config, "set_default_config"), (weft.errors, "TaskTimeout")])
def test_a_file_of_a_package_is_its_module(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = find_function(f"{module.__file__}:{name}")
    assert found.module is module
    assert found.value is getattr(module, name)
    assert found.script is not None


def test_names_with_dots() -> None:
    assert find_function("json:JSONEncoder.encode").value is json.JSONEncoder.encode
    assert find_function("os.path:join").value is os.path.join
    with pytest.raises(NotFoundError, match="no name of a module|no module"):
        find_function("..x:f")


# ---- where it could run ----------------------------------------------------------------------------


@needs_processes
@pytest.mark.parametrize(
    "name", ["json:dumps", "json:JSONEncoder.encode", "math:sqrt", f"{HERE}:add", f"{HERE}:Shape.area"]
)
def test_these_can_run_anywhere(name: str, explain: Any) -> None:
    found = explain(name)
    assert can(found) == everywhere()
    assert found["sent"]["how"] == "name"
    assert found["what_auto_would_do"]["against_moving_it"] == []


@needs_processes
def test_numpy(explain: Any) -> None:
    pytest.importorskip("numpy")
    found = explain("numpy:dot")
    assert can(found) == {"threads": True, "interpreters": False, "processes": True}
    if FOUND.interpreters:
        reason = found["where_it_could_run"]["interpreters"]["reason"]
        assert reason.startswith("numpy needs the extension numpy._core._multiarray_umath, which does not support")
        assert found["what_auto_would_do"]["run"]["then"] == ("processes" if FOUND.cpus > 1 else None)
    found = explain(f"{HERE}:late")
    assert can(found) == {"threads": True, "interpreters": False, "processes": True}
    if FOUND.interpreters:
        assert found["where_it_could_run"]["interpreters"]["reason"].startswith("when it runs it imports numpy, whose")


@needs_processes
def test_a_lambda_of_a_file(tmp_path: Path, explain: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cloudpickle")
    file = tmp_path / "lambdas.py"
    file.write_text("double = lambda number: 2 * number\n")
    found = explain(f"{file}:double")
    assert (found["function"]["kind"], found["function"]["file"]) == ("a lambda", "lambdas.py")
    assert found["sent"]["how"] == "value"
    assert can(found) == everywhere()
    assert found["function"]["script_guarded"] is False
    run_explain(f"{file}:double")
    words = " ".join(capsys.readouterr().out.split())
    assert "sent by value, with cloudpickle: " in words
    assert "run as a script without a guard, `if __name__ == '__main__':`, each worker would run it as a whole" in words
    file.write_text(f"{file.read_text()}\n\nif __name__ == '__main__':\n    print(double(1))\n")
    assert explain(f"{file}:double")["function"]["script_guarded"] is True


def test_a_lambda_without_cloudpickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, explain: Any) -> None:
    (tmp_path / "cloudpickle.py").write_text("raise ImportError('as if it were not installed')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lambdas.py").write_text("double = lambda number: 2 * number\n")
    monkeypatch.chdir(tmp_path)
    found = explain("lambdas:double")
    assert can(found) == {"threads": True, "interpreters": False, "processes": False}
    assert 'pip install "weft[closures]"' in found["where_it_could_run"]["processes"]["reason"]
    assert found["sent"]["how"] is None


def test_what_gives_no_plain_result(explain: Any) -> None:
    for name, gives in (("numbers", "generator"), ("soon", "coroutine")):
        found = explain(f"{HERE}:{name}")
        assert can(found) == {"threads": True, "interpreters": False, "processes": False}
        assert found["function"]["gives"] == gives


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        (f"{HERE}:nap", ["time.sleep"]),
        (f"{HERE}:read", ["open"]),
        (f"{HERE}:fetch", ["urllib.request"]),
        ("urllib.request:urlopen", ["urllib.request.urlopen"]),
        ("time:sleep", ["time.sleep"]),
        (f"{HERE}:compute", []),
    ],
)
def test_what_waits(name: str, waits: list[str], explain: Any) -> None:
    assert explain(name)["function"]["waits"] == waits


def test_what_waits_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    run_explain("time:sleep")
    assert "waits it seems to wait for something: time.sleep;" in " ".join(capsys.readouterr().out.split())


# ---- what auto would do ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "against"),
    [
        ("count_up", "it assigns to 'COUNT', which is not its own"),
        ("locked", "it uses the global 'LOCK', a lock that may have to be this one"),
    ],
)
def test_what_speaks_against_moving_it(name: str, against: str, explain: Any) -> None:
    found = explain(f"{HERE}:{name}")["what_auto_would_do"]
    assert found["against_moving_it"] == [against]
    assert found["run"].get("then") is None


def test_what_a_call_is_watched_for(explain: Any) -> None:
    found = explain(f"{HERE}:look_up")["what_auto_would_do"]
    assert found["against_moving_it"] == []
    assert found["watched_in_a_call"] == ["the global 'TABLE'"]


def test_a_variable_decides(explain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_FORCE_THREADS", "1")
    assert explain("json:dumps")["what_auto_would_do"]["run"] == {"resolved": "threads", "code": "force_threads"}
    monkeypatch.setenv("WEFT_FORCE_THREADS", "perhaps")
    assert "WEFT_FORCE_THREADS" in explain("json:dumps")["what_auto_would_do"]["run"]["error"]


def measured(**changes: Any) -> dict[str, Any]:
    """What is known of one call that took 10 ms of Python, with changes."""
    call = {"wall": 0.01, "cpu": 0.01, "process_cpu": 0.01, "delayed": 0.0, "raised": None, "why_not": None}
    crossing = {flavor: {"seconds": 5e-5, "why_not": None} for flavor in ("interpreters", "processes")}
    return {"call": call | changes, "crossing": crossing}


@needs_processes
def test_where_a_measured_call_would_send_the_next_ones() -> None:
    about: dict[str, Any] = {
        "function": {"gives": None, "waits": []},
        "sent": {"why_not": None},
        "static": {"objections": []},
        "processes": {"why_not": None},
        "interpreters": {"problem": None, "late": False},
    }
    away = "interpreters" if FOUND.interpreters else "processes"

    def place_and_words(**changes: Any) -> tuple[str | None, str]:
        return after_call(about, measured(**changes))

    assert place_and_words()[0] == away
    assert place_and_words(wall=0.05, delayed=0.04)[0] == away  # it waited for a CPU, not for anything else
    for changes, words in (
        ({"cpu": 0.0001, "wall": 0.0001}, "a call takes 100 µs of CPU"),
        ({"cpu": 0.0001}, "it waits for 99% of the time"),
        ({"wall": 0.1}, "it waits for 90% of the time"),
        ({"why_not": "it changes an argument"}, "it changes an argument"),
        ({"raised": "ValueError: x"}, "the call raised"),
    ):
        place, said = place_and_words(**changes)
        assert place is None
        assert words in said
    dear = measured()
    dear["crossing"] = {flavor: {"seconds": 0.006, "why_not": None} for flavor in ("interpreters", "processes")}
    assert after_call(about, dear)[0] is None
    if FOUND.interpreters:
        refused = measured()
        refused["crossing"]["interpreters"] = {"seconds": None, "why_not": "PayloadError: no"}
        assert after_call(about, refused)[0] == "processes"


# ---- a call, and costs -----------------------------------------------------------------------------


@needs_processes
def test_one_call(explain: Any) -> None:
    found = explain(f"{HERE}:compute", call="(300_000,)")["one_call_on_a_thread"]
    assert 0 < found["time"]["cpu"] <= found["time"]["wall"] * 1.1
    assert found["cpu_over_wall"] > 0.5
    assert found["arguments"]["why_not"] is None
    assert found["result"]["bytes"] > 0
    assert found["to_processes"] > 0


@needs_processes
def test_the_arguments_are_an_expression_of_the_module(explain: Any) -> None:
    found = explain(f"{HERE}:add", call="constant, TABLE['a']")["one_call_on_a_thread"]
    assert found["result"]["why_not"] is None
    found = explain(f"{HERE}:nap", call="0.05")["one_call_on_a_thread"]  # no tuple: the one argument
    assert found["cpu_over_wall"] < 0.5


@needs_processes
def test_a_call_whose_result_cannot_cross(explain: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = explain(f"{HERE}:give_lock", call="()")
    assert "cannot pickle" in found["one_call_on_a_thread"]["result"]["why_not"]
    assert "its result cannot be pickled" in found["one_call_on_a_thread"]["against_moving_it"]


def test_a_call_that_raises(explain: Any) -> None:
    assert explain(f"{HERE}:add", call="1, 'x'")["one_call_on_a_thread"]["raised"].startswith("TypeError: unsupported")


def test_a_call_that_hangs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_explain(f"{HERE}:nap", call="1000,", seconds=6) == 1
    words = " ".join(capsys.readouterr().out.split())
    assert "One call, on a thread result none: no answer within 6 s" in words


@pytest.mark.parametrize(
    ("call", "said"), [("(1", "SyntaxError: '(' was never closed"), ("nobody", "NameError: name 'nobody'")]
)
def test_arguments_that_are_none(call: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_explain(f"{HERE}:add", call=call) == 2
    assert f"weft explain: --call {call!r}: {said}" in capsys.readouterr().err


@needs_processes
def test_what_workers_cost(explain: Any) -> None:
    found = explain("json:dumps", measure=True)["what_workers_cost_here"]
    assert found.keys() == {name for name, there in everywhere().items() if there}
    assert all(0 < each["call"] < each["start"] for each in found.values())
