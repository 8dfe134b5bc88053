"""resource_delta_fixture: a test that leaves something behind fails, in pytest runs of their own."""

from __future__ import annotations

import pytest

from tests.without import said_without
from weft.errors import InvalidSetting
from weft.testing import resource_delta_fixture


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Runs pytest on a test's source with a fixture that is made so."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(source: str, arguments: str) -> pytest.RunResult:
        pytester.makeconftest(
            "from weft.testing import resource_delta_fixture\n"
            "def write(delta): print('written', delta.label, delta.growth)\n"
            f"nothing_is_left = resource_delta_fixture({arguments})\n"
        )
        pytester.makepyfile(test_it=source)
        return pytester.runpytest_subprocess("-s", "-p", "no:cacheprovider", "-p", "no:threadexception", timeout=50)

    return run


LEAVES = """
import threading
gate = threading.Event()
def test_leaves_one():
    threading.Thread(target=gate.wait, name="the-straggler", daemon=True).start()
def test_leaves_none():
    gate.set()
"""


def test_a_test_that_leaves_something_behind_fails(run) -> None:
    result = run(LEAVES, "autouse=True, settle=0.1")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["test_it.py::test_leaves_one: 1 thread more", "  thread *: the-straggler"])


def test_a_writer_gets_what_there_is(run) -> None:
    result = run(LEAVES, "autouse=True, settle=0.1, writer=write")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*written test_it.py::test_leaves_one {'threads': 1}", "*written test_it.py::test_leaves_none {}"]
    )


def test_only_those_that_take_it(run) -> None:
    result = run(LEAVES.replace("test_leaves_none()", "test_leaves_none(nothing_is_left)"), "writer=write, settle=0.1")
    result.assert_outcomes(passed=2)
    assert "test_leaves_one {" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*written test_it.py::test_leaves_none {}"])


def test_what_weft_keeps_warm_does_not_count(run) -> None:
    source = """
import fractions, anyio, weft
from weft.actors import open_nursery
def test_actors(spawn_backend):
    async def main():
        async with open_nursery() as nursery:
            portal = await nursery.start_actor("a", enable_modules=["fractions"])
            return await portal.run(fractions.Fraction, numerator=2, denominator=4)
    assert anyio.run(main) == fractions.Fraction(1, 2)
def test_default_pool():
    assert weft.async_(abs, -1).result() == 1
def test_processes():
    with weft.executors.ProcessPoolExecutor(1) as pool:
        assert pool.submit(abs, -1).result() == 1
"""
    result = run(source, "autouse=True, settle=20")
    result.assert_outcomes(passed=3)


def test_what_is_wrong_is_said_at_once() -> None:
    with pytest.raises(TypeError, match="writer must be a function"):
        resource_delta_fixture(writer=3)
    with pytest.raises(InvalidSetting, match="settle="):
        resource_delta_fixture(settle=float("nan"))


def test_without_pytest_there_is_the_install_line() -> None:
    said = said_without("pytest", "weft.testing.resource_delta_fixture()")
    assert said == "pytest is not installed; run: pip install pytest\n"
