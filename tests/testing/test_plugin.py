"""The pytest plugin, in pytest runs of their own: options, usage errors in one line, the mark, and what it costs unused."""

from __future__ import annotations

import sys

import pytest

SHOW = """
import pytest
from weft.actors._spawn import default_method

def test_method(spawn_backend):
    assert default_method() == spawn_backend
    print("\\nran by", spawn_backend)

def test_default():
    print("\\ndefault", default_method())
"""

FLAVOR = """
import weft

def test_flavor(weft_flavor):
    with weft.Run(max_workers=1) as executor:
        assert executor.submit(abs, -1).result() == 1
    print("\\ngiven", weft_flavor, "resolved", weft.last_decision().resolved)
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Runs pytest on a test's source."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(source: str, *arguments: str, ini: str = "") -> pytest.RunResult:
        pytester.makepyfile(test_it=source)
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
        return pytester.runpytest_subprocess("-s", "-p", "no:cacheprovider", "--strict-markers", *arguments, timeout=50)

    return run


def said(result: pytest.RunResult, *beginnings: str) -> list[str]:
    """The lines that tests have printed."""
    return [line for line in result.outlines if line.startswith(beginnings)]


# ---- spawn methods -------------------------------------------------------------------------------------------


def test_one_method(run) -> None:
    result = run(SHOW, "--spawn-backend=thread")
    result.assert_outcomes(passed=2)
    assert said(result, "ran by", "default") == ["ran by thread", "default thread"]


@pytest.mark.parametrize(
    "arguments", [["--spawn-backend=process,thread"], ["--spawn-backend=process", "--spawn-backend=thread"]]
)
def test_several(run, arguments: list[str]) -> None:
    result = run(SHOW, *arguments)
    result.assert_outcomes(passed=3)
    assert said(result, "ran by", "default") == ["ran by process", "ran by thread", "default process"]


def test_all(run) -> None:
    result = run(SHOW, "--spawn-backend=all")
    here = ["process", "mp_spawn", "mp_forkserver", "thread"]
    if sys.version_info >= (3, 14):
        here = ["interpreter", "interpreter_legacy", *here]
    assert said(result, "ran by") == [f"ran by {method}" for method in here]


def test_none_is_the_default_method(run) -> None:
    result = run(SHOW)
    default = "interpreter" if sys.version_info >= (3, 14) else "process"
    assert said(result, "ran by", "default") == [f"ran by {default}", f"default {default}"]


def test_those_of_the_configuration_file_that_there_are(run) -> None:
    result = run(SHOW, ini="spawn_backends = thread interpreter\n")
    here = ["thread", "interpreter"] if sys.version_info >= (3, 14) else ["thread"]
    assert said(result, "ran by") == [f"ran by {method}" for method in here]
    assert said(run(SHOW, "--spawn-backend=process", ini="spawn_backends = thread\n"), "ran by") == ["ran by process"]


def test_a_test_that_says_which_itself(run) -> None:
    source = SHOW.replace(
        "def test_method", "@pytest.mark.parametrize('spawn_backend', ['thread'], indirect=True)\ndef test_method"
    )
    assert said(run(source, "--spawn-backend=process"), "ran by") == ["ran by thread"]


# ---- the mark ------------------------------------------------------------------------------------------------


def test_the_mark_skips_by_these_methods_only(run) -> None:
    source = """
import pytest
@pytest.mark.skipon_spawn_backend("process", "mp_spawn", reason="shares objects")
def test_method(spawn_backend): print("\\nran by", spawn_backend)
@pytest.mark.skipon_spawn_backend("process")
def test_default(): print("\\nran")
"""
    result = run(source, "--spawn-backend=process,thread", "-rs")
    result.assert_outcomes(passed=1, skipped=2)
    assert said(result, "ran by") == ["ran by thread"]
    result.stdout.fnmatch_lines(["SKIPPED*not by spawn method 'process': shares objects"])
    result = run(source, "--spawn-backend=thread")
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (
            "'proces', reason='x'",
            "*test_it.py::test_x: skipon_spawn_backend='proces' is not valid: did you mean 'process'?*",
        ),
        ("", "*test_it.py::test_x: use @pytest.mark.skipon_spawn_backend(*names, reason=...)"),
        ("'thread', why='x'", "*test_it.py::test_x: use @pytest.mark.skipon_spawn_backend(*names, reason=...)"),
    ],
)
def test_a_mark_that_is_wrong(run, mark: str, message: str) -> None:
    result = run(f"import pytest\n@pytest.mark.skipon_spawn_backend({mark})\ndef test_x(): pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: " + message.replace("[", "[[]")])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


# ---- usage errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--spawn-backend=fork", "ERROR: --spawn-backend='fork' is not valid*"),
        ("--spawn-backend=proces", "ERROR: --spawn-backend='proces' is not valid: did you mean 'process'?*"),
        ("--spawn-backend=thread,", "ERROR: --spawn-backend='' is not valid*"),
        ("--weft-flavor=thread", "ERROR: --weft-flavor='thread' is not valid: did you mean 'threads'?*"),
        *(
            [
                (
                    "--spawn-backend=interpreter",
                    "ERROR: --spawn-backend=interpreter: not available here: it needs Python 3.14*",
                ),
                (
                    "--weft-flavor=interpreters",
                    "ERROR: --weft-flavor=interpreters: not available here: it needs Python 3.14*",
                ),
            ]
            if sys.version_info < (3, 14)
            else []
        ),
    ],
)
def test_what_there_is_not_is_one_line_of_usage_error(run, argument: str, message: str) -> None:
    result = run(SHOW, argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line.strip()]
    assert len(lines) == 1
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in result.stdout.str()


def test_without_anyio_it_is_the_install_line(run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(hides_anyio="import sys; sys.modules['anyio'] = None\n")
    result = run("def test_x(): pass\n", "-p", "no:anyio", "-p", "hides_anyio", "--spawn-backend=thread")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['ERROR: anyio is not installed; run: pip install "weft[[]actors]"'])


# ---- flavors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavor", ["threads", "processes", "serial"])
def test_a_flavor(run, flavor: str) -> None:
    result = run(FLAVOR, f"--weft-flavor={flavor}")
    result.assert_outcomes(passed=1)
    assert said(result, "given") == [f"given {flavor} resolved {flavor}"]


def test_no_flavor(run) -> None:
    (line,) = said(run(FLAVOR), "given")
    assert line.startswith("given auto resolved ")


# ---- unused --------------------------------------------------------------------------------------------------


def test_unused_it_loads_next_to_nothing_and_rewrites_no_asserts(run) -> None:
    source = """
import sys
def test_x():
    print("\\nloaded", *sorted(name for name in sys.modules if name.partition(".")[0] in ("weft", "anyio", "trio")))
def test_y():
    import weft.executors._spares, weft.actors._messages
    print("\\nrewritten", "@pytest_ar" in vars(weft.actors._messages))
"""
    result = run(source, "-p", "no:anyio", "-p", "no:hypothesispytest")
    assert said(result, "loaded") == ["loaded weft weft.testing weft.testing._plugin"]
    assert said(result, "rewritten") == ["rewritten False"]
