"""`__main__` in a worker: found as multiprocessing finds it, but late; and what to say where it cannot be."""

import os
import subprocess
import sys
import textwrap
import zipapp
from pathlib import Path

import pytest

from weft._payloads import main_module
from weft.errors import Interrupted

ROOT = Path(__file__).resolve().parents[2]

# Runs in the guard of each script: it is the parent, which has one worker.
PARENT = """
if __name__ == "__main__":
    from tests.payloads.worker import Worker
    with Worker() as worker:
        parent(worker)
"""

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}


def run(*command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, timeout=50, env={**ENVIRONMENT, **more}
    )


def ran(*command: str, cwd: Path) -> list[str]:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def script(folder: Path, text: str, name: str = "script.py") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text) + PARENT)
    return file


FUNCTIONS = """
    import sys
    from dataclasses import dataclass
    with open("ran", "a") as file: print(__name__, file=file)
    import beside
    @dataclass
    class Point:
        x: int
    class Wrong(Exception):
        def __init__(self, point): super().__init__("wrong"); self.point = point
    def moved(point, by): return Point(point.x + by)
    def wrong(point): raise Wrong(point)
    def where(): return __name__, sys.argv[1:], beside.__name__, sys.modules["__main__"].moved is moved
    def parent(worker):
        assert worker.call(pow, 2, 3) == 8
        assert open("ran").read().split() == ["__main__"]       # nothing of it was needed yet
        assert worker.call(len, [Point(1)]) == 1                # a class of it is
        assert open("ran").read().split() == ["__main__", "__mp_main__"]
        assert worker.call(moved, Point(1), by=2) == Point(3)
        try: worker.call(wrong, Point(5))
        except Wrong as error: assert error.point == Point(5), error
        print(*worker.call(where))
        assert open("ran").read().split() == ["__main__", "__mp_main__"]
"""


def test_a_script(tmp_path: Path) -> None:
    (tmp_path / "beside.py").touch()
    script(tmp_path, FUNCTIONS)
    assert ran("script.py", "argument", cwd=tmp_path) == ["__mp_main__", "['argument']", "beside", "True"]


def test_a_module(tmp_path: Path) -> None:
    (tmp_path / "beside.py").touch()
    script(tmp_path, FUNCTIONS, "package/module.py")
    assert ran("-m", "package.module", cwd=tmp_path) == ["__mp_main__", "[]", "beside", "True"]


def test_a_compiled_script(tmp_path: Path) -> None:
    import py_compile

    (tmp_path / "beside.py").touch()
    compiled = py_compile.compile(str(script(tmp_path, FUNCTIONS)), cfile=str(tmp_path / "script.pyc"))
    assert ran(compiled, cwd=tmp_path) == ["__mp_main__", "[]", "beside", "True"]


BY_VALUE = """
    class Wrong(Exception):
        def __init__(self, number): super().__init__("wrong"); self.number = number
    factor = 3
    def times(number): return number * factor
    def wrong(): raise Wrong(7)
    def parent(worker):
        try: worker.call(wrong)
        except Wrong as error: assert error.number == 7
        print(worker.call(times, 2))
    {unguarded}
"""


@pytest.mark.parametrize("how", ["zip", "package", "folder", "-c", "stdin"])
def test_a_main_that_cannot_be_run_again_goes_by_value(tmp_path: Path, how: str) -> None:
    pytest.importorskip("cloudpickle")
    text = BY_VALUE.format(unguarded="print('once')")
    file = script(tmp_path, text, "package/__main__.py")
    match how:
        case "zip":
            zipapp.create_archive(tmp_path / "package", tmp_path / "app.pyz")
            output = ran("app.pyz", cwd=tmp_path)
        case "package":
            output = ran("-m", "package", cwd=tmp_path)
        case "folder":
            output = ran("package", cwd=tmp_path)
        case "-c":
            output = ran("-c", file.read_text(), cwd=tmp_path)
        case _:
            done = subprocess.run(
                [sys.executable, "-"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=50,
                env=ENVIRONMENT,
                input=file.read_text(),
            )
            assert done.returncode == 0, done.stderr
            output = done.stdout.split()
    assert output == ["once", "6"]


def test_without_cloudpickle_it_says_what_to_do(tmp_path: Path) -> None:
    text = """
        import sys
        def times(number): return number * 3
        def parent(worker):
            sys.modules["cloudpickle"] = None
            try: worker.call(times, 2)
            except ImportError as error: print(error)
    """
    file = script(tmp_path, text)
    done = run("-c", file.read_text(), cwd=tmp_path)
    assert "times is defined in a __main__ that workers cannot import" in done.stdout, done.stderr
    assert 'move it to a module of its own, or run: pip install "weft[closures]"' in done.stdout


@pytest.mark.parametrize("unguarded", ["raise SystemExit(3)", "1 / 0"])
def test_a_script_that_fails_in_the_worker_is_not_run_twice(tmp_path: Path, unguarded: str) -> None:
    text = f"""
        import os
        with open("ran", "a") as file: print(__name__, file=file)
        def times(number): return number * 3
        def parent(worker):
            for _ in range(2):
                try: worker.call(times, 2)
                except TypeError as error: print("if __name__ ==" in str(error), type(error).__name__)
            assert worker.call(pow, 2, 3) == 8
            print(*open("ran").read().split())
        if __name__ != "__main__": {unguarded}
    """
    script(tmp_path, text)
    output = ran("script.py", cwd=tmp_path)
    assert output == ["True", "PayloadError", "True", "PayloadError", "__main__", "__mp_main__"]


def test_a_script_without_a_guard_can_tell(tmp_path: Path) -> None:
    text = """
        from weft._payloads.main_module import preparing_main
        def told(): return was_preparing, preparing_main()
        was_preparing = preparing_main()
        def parent(worker): print(was_preparing, *worker.call(told))
    """
    script(tmp_path, text)
    assert ran("script.py", cwd=tmp_path) == ["False", "True", "False"]


def test_what_was_typed_after_a_script_goes_by_value(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    text = """
        exec(compile("def typed(): return 5", "<python-input-0>", "exec"))
        def parent(worker): print(worker.call(typed))
    """
    script(tmp_path, text.replace("exec(", "if __name__ == '__main__': exec("))
    assert ran("script.py", cwd=tmp_path) == ["5"]


def test_a_worker_of_a_worker_finds_what_it_has_found(monkeypatch: pytest.MonkeyPatch) -> None:
    info = main_module.main_info()
    assert info["kind"] == ""  # pytest's own
    assert info["argv"] == sys.argv
    assert "" not in info["path"]
    given = {**info, "kind": "path", "where": "a script"}
    for name in ("_prepared", "_pending"):
        monkeypatch.setattr(main_module, name, getattr(main_module, name))
    main_module.prepare_main(given)  # type: ignore[arg-type]
    assert main_module.main_info() == given
    assert main_module.main_is_pending()


def test_a_request_to_stop_is_not_the_script_s_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "script.py"
    file.write_text("from weft.errors import Interrupted\nraise Interrupted\n")
    before = {name: sys.modules.get(name) for name in ("__main__", "__mp_main__")}
    for name in ("_prepared", "_pending", "_failure"):
        monkeypatch.setattr(main_module, name, getattr(main_module, name))
    main_module.prepare_main({"kind": "path", "where": str(file), "argv": sys.argv, "path": sys.path})
    with pytest.raises(Interrupted):
        main_module.ensure_main()
    assert {name: sys.modules.get(name) for name in before} == before
    assert not main_module.preparing_main()
    file.write_text("1 / 0")  # so the next task tries again
    with pytest.raises(
        RuntimeError, match=r"__main__ \(script\.py\) could not be run .*: it raised ZeroDivisionError; "
    ):
        main_module.ensure_main()
    file.write_text("")
    with pytest.raises(RuntimeError, match="it raised ZeroDivisionError"):
        main_module.ensure_main()
