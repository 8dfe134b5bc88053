"""Spawn methods: each starts an actor, by the same signature; what fails at the start reaches the parent as itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.actors import functions
from tests.actors.conftest import HERE, Run
from tests.without import said_without
from weft import actors, errors
from weft.actors import _spawn, open_nursery, try_set_start_method

MODULE = functions.__name__


def test_each_method_runs_calls_and_ends(run: Run, method: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=method) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            assert await portal.run(functions.add, a=1, b=2) == 3
            assert await portal.run(functions.add_async, a=1, b=2) == 3
            assert await portal.run(functions.whoami) == ("a", ("root", "a"), method)
            assert await portal.run(functions.whoami_async) == ("a", ("root", "a"), method)
            assert await portal.run(functions.echo, value=bytearray(b"x" * 100_000)) == bytearray(b"x" * 100_000)
            own_process = await portal.run(functions.pid) != os.getpid()
            assert own_process == (method in ("process", "mp_spawn", "mp_forkserver"))
            count = await portal.run(functions.count)
            assert await portal.run(functions.count) == count + 1
            (health,) = nursery.actors()
            assert health.state == "running"
            assert health.pid == await portal.run(functions.pid)
            await portal.cancel_actor()
            with pytest.raises(errors.ChannelClosed):
                await portal.run(functions.add, a=1, b=2)
        assert nursery.abandoned == 0
        assert [health.state for health in nursery.actors()] == ["ended"]

    run(main)


def test_what_this_python_lacks_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.version_info < (3, 14):
        for method in ("interpreter", "interpreter_legacy"):
            with pytest.raises(errors.SpawnMethodUnavailable, match=r"needs Python 3\.14 or newer"):
                try_set_start_method(method)
            with pytest.raises(errors.SpawnMethodUnavailable):
                open_nursery(spawn=method)
    with pytest.raises(errors.InvalidSetting, match="did you mean 'interpreter'"):
        open_nursery(spawn="interpreters")
    with pytest.raises(errors.InvalidSetting):
        try_set_start_method("fork")


def test_the_default_method_can_be_set(run: Run) -> None:
    _spawn.forget()  # what --spawn-backend has said
    assert _spawn.default_method() == ("interpreter" if "interpreter" in HERE else "process")
    try_set_start_method("thread")

    async def main() -> str:
        async with open_nursery() as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            return (await portal.run(functions.whoami))[2]

    assert run(main) == "thread"


# ---- errors at the start ---------------------------------------------------------------------------------


def test_a_module_that_is_missing_or_wrong_raises_here_what_it_raised_there(
    run: Run, spawn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong_syntax.py").write_text("def f(:\n")
    (tmp_path / "raises_at_import.py").write_text("raise LookupError('not here')\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            with pytest.raises(ModuleNotFoundError, match="no_such_module"):
                await nursery.start_actor("a", enable_modules=["no_such_module"])
            with pytest.raises(SyntaxError) as caught:
                await nursery.start_actor("a", enable_modules=["wrong_syntax"])
            assert caught.value.filename == str(tmp_path / "wrong_syntax.py")
            with pytest.raises(LookupError, match="not here") as raised:
                await nursery.start_actor("a", enable_modules=["raises_at_import"])
            assert f"in spawn method {spawn!r}" in "".join(raised.value.__notes__)
            # Nobody else minds.
            portal = await nursery.start_actor("b", enable_modules=[MODULE])
            assert await portal.run(functions.add, a=1, b=1) == 2
        assert [health.name for health in nursery.actors()] == ["b"]

    run(main)


@pytest.mark.skipif("interpreter" not in HERE, reason="needs interpreters")
def test_an_extension_that_refuses_isolation_says_so_and_what_to_do(run: Run) -> None:
    pytest.importorskip("numpy")

    async def main() -> None:
        async with open_nursery(spawn="interpreter") as nursery:
            with pytest.raises(ImportError, match="does not support loading in subinterpreters|numpy") as caught:
                await nursery.start_actor("a", enable_modules=["numpy"])
            assert 'spawn="process"' in "".join(caught.value.__notes__)

    run(main)


def test_functions_of_other_modules_are_refused_on_this_side(run: Run) -> None:
    async def main() -> None:
        async with open_nursery(spawn="thread") as nursery:
            portal = await nursery.start_actor("a", enable_modules=["math"])
            with pytest.raises(errors.InvalidSetting, match=r"enable_modules=\['tests.actors.functions'\]"):
                await portal.run(functions.add, a=1, b=2)

    run(main)


def test_start_arguments_are_data(run: Run, spawn: str) -> None:
    name = "a'; import os; os._exit(7) #\n"

    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor(name, enable_modules=[MODULE])
            assert (await portal.run(functions.whoami))[0] == name

    run(main)


# ---- the package ---------------------------------------------------------------------------------------------


def test_importing_the_package_loads_no_anyio() -> None:
    code = "import sys, weft; weft.actors; import weft.actors; print('anyio' in sys.modules, 'asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == "False False\n"


def test_without_anyio_there_is_the_install_line() -> None:
    said = said_without("anyio", "weft.actors.open_nursery")
    assert said == 'anyio is not installed; run: pip install "weft[actors]"\n'


def test_all_names_are_there() -> None:
    for name in actors.__all__:
        assert getattr(actors, name) is not None
    assert set(actors.__all__) <= set(dir(actors))
    with pytest.raises(AttributeError):
        actors.nothing  # noqa: B018
