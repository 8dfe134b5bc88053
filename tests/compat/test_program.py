"""`python -m weft.compat` runs a program as `python` does, but on weft's executors."""

import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.compat.child import end_of, output_of, run_python, start_python

COMPAT = ("-m", "weft.compat")


def write(folder: Path, text: str, name: str = "program.py") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return file


def test_the_executors_are_wefts_for_the_program_and_its_libraries(tmp_path: Path) -> None:
    write(tmp_path, "from concurrent.futures import Future, ThreadPoolExecutor, wait", "library.py")
    program = """
        import concurrent.futures.process
        from concurrent import futures
        from concurrent.futures.thread import ThreadPoolExecutor as Threads
        import library
        import weft
        assert library.ThreadPoolExecutor is Threads is futures.ThreadPoolExecutor is weft.executors.ThreadPoolExecutor
        assert futures.ProcessPoolExecutor is weft.executors.ProcessPoolExecutor
        assert futures.process.ProcessPoolExecutor is weft.executors.ProcessPoolExecutor
        assert weft.executors.ThreadPoolExecutor.__mro__.count(Threads) == 1
        if hasattr(futures, "InterpreterPoolExecutor"):
            from concurrent.futures.interpreter import InterpreterPoolExecutor
            assert futures.InterpreterPoolExecutor is InterpreterPoolExecutor is weft.executors.InterpreterPoolExecutor
        with library.ThreadPoolExecutor(1) as pool:
            done, _ = library.wait([pool.submit(pow, 2, 10)])
        for future in done:
            assert isinstance(future, library.Future)
            print(future.result(), type(future).__module__)
    """
    write(tmp_path, program)
    assert output_of(*COMPAT, "program.py", cwd=tmp_path) == "1024 weft._core\n"


def test_in_passthrough_nothing_is_replaced(tmp_path: Path) -> None:
    program = """
        import asyncio
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
        import sys
        print(ThreadPoolExecutor.__module__, ProcessPoolExecutor.__module__, asyncio.run.__module__)
        print("weft.executors" in sys.modules)
    """
    write(tmp_path, program)
    shown = "concurrent.futures.thread concurrent.futures.process asyncio.runners\nFalse\n"
    assert output_of(*COMPAT, "program.py", cwd=tmp_path, mode="passthrough") == shown


def test_a_loops_threads_are_wefts(tmp_path: Path) -> None:
    program = """
        import importlib.util, sys
        assert importlib.util.find_spec("asyncio") is not None
        assert "asyncio" not in sys.modules
        finders = len(sys.meta_path)
        import asyncio, asyncio.runners, asyncio.threads
        import weft.compat.asyncio
        assert asyncio.run is asyncio.runners.run is weft.compat.asyncio.run
        assert asyncio.to_thread is asyncio.threads.to_thread
        assert len(sys.meta_path) == finders  # or an import of another thread would miss one
        assert importlib.util.find_spec("asyncio") is not None
        async def main():
            print(await asyncio.to_thread(pow, 2, 10))
            return asyncio.get_running_loop()._default_executor
        with asyncio.Runner() as runner:
            print(type(runner.run(main())).__module__)
        print(type(asyncio.run(main())).__module__)
    """
    write(tmp_path, program)
    assert output_of(*COMPAT, "program.py", cwd=tmp_path) == "1024\nweft.executors.threads\n" * 2


def test_asyncio_that_was_imported_before_is_patched_too() -> None:
    program = """
import asyncio
from weft.compat._patching import install
install(); install()
print(asyncio.run.__module__, asyncio.events.new_event_loop.__module__)
loop = asyncio.events.new_event_loop()
print(type(loop._default_executor).__module__)
loop.close()
"""
    assert output_of("-c", program) == "weft.compat._loops weft.compat._loops\nweft.executors.threads\n"


def test_default_executors_of_both_kinds_are_taken(tmp_path: Path) -> None:
    program = """
        import asyncio
        from concurrent import futures
        import weft
        loop = asyncio.new_event_loop()
        class Own(futures.ThreadPoolExecutor): pass
        original = weft.executors.ThreadPoolExecutor.__bases__[1]
        kinds = [Own, original, *([futures.InterpreterPoolExecutor] if "InterpreterPoolExecutor" in dir(futures) else [])]
        for kind in kinds:
            with kind(1) as pool:
                loop.set_default_executor(pool)
                assert loop.run_until_complete(loop.run_in_executor(None, pow, 2, 3)) == 8
        for wrong in (futures.Executor(), None):
            try: loop.set_default_executor(wrong)
            except TypeError as error: print(error)
        loop.close()
    """
    write(tmp_path, program)
    assert output_of(*COMPAT, "program.py", cwd=tmp_path) == "executor must be ThreadPoolExecutor instance\n" * 2


PROCESSES = """
    from concurrent.futures import ProcessPoolExecutor
    from dataclasses import dataclass
    import os, sys
    import beside

    @dataclass
    class Point:
        x: int

    def moved(point):
        return Point(point.x + beside.step), os.getpid(), sys.argv

    if __name__ == "__main__":
        with ProcessPoolExecutor(2) as pool:
            for point, pid, argv in pool.map(moved, [Point(1), Point(2)]):
                print(point, pid != os.getpid(), argv == sys.argv)
        assert ProcessPoolExecutor.__module__ == sys.argv[1]
"""


@pytest.mark.skipif(sys.platform == "win32", reason="weft has no processes there")
@pytest.mark.parametrize("how", ["script", "module"])
@pytest.mark.parametrize("mode", ["managed", "passthrough"])
def test_a_process_pool_finds_the_program(tmp_path: Path, how: str, mode: str) -> None:
    write(tmp_path, "step = 10", "folder/beside.py")
    write(tmp_path, PROCESSES, "folder/program.py")
    module = "weft.executors.processes" if mode == "managed" else "concurrent.futures.process"
    shown = "Point(x=11) True True\nPoint(x=12) True True\n"
    if how == "script":
        assert output_of(*COMPAT, "folder/program.py", module, cwd=tmp_path, mode=mode) == shown
    else:
        assert output_of(*COMPAT, "-m", "program", module, cwd=tmp_path / "folder", mode=mode) == shown


def test_multiprocessing_finds_the_program(tmp_path: Path) -> None:
    program = """
        import multiprocessing
        def twice(number): return number * 2
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(twice, [1, 2]))
    """
    write(tmp_path, program)
    assert output_of(*COMPAT, "program.py", cwd=tmp_path) == "[2, 4]\n"


# ---- as if it were run plainly ---------------------------------------------------------------------------

ABOUT = """
    import sys
    print(__name__, __file__, __package__, __spec__ and __spec__.name, __cached__ and 1, type(__loader__).__name__)
    print(sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals(), __builtins__.__name__)
    print(sorted(name for name in globals() if name != "__annotations__"))
"""


def same_as_plain(*command: str, cwd: Path) -> int:
    """What a program says must be what it says without weft. Its exit status."""
    both = start_python(*command, cwd=cwd), start_python(*COMPAT, *command, cwd=cwd)
    plain, ours = map(end_of, both)
    assert ours == plain
    return ours.returncode


def test_a_script_sees_what_it_sees_when_run_plainly(tmp_path: Path) -> None:
    write(tmp_path, ABOUT, "folder/program.py")
    same_as_plain("folder/program.py", "an argument", "--help", "-m", cwd=tmp_path)
    (tmp_path / "link.py").symlink_to("folder/program.py")
    same_as_plain("./link.py", cwd=tmp_path)


def test_a_module_sees_what_it_sees_when_run_plainly(tmp_path: Path) -> None:
    write(tmp_path, ABOUT, "package/program.py")
    write(tmp_path, ABOUT, "package/__main__.py")
    same_as_plain("-m", "package.program", "an argument", "-m", cwd=tmp_path)
    same_as_plain("-m", "package", cwd=tmp_path)


def test_a_folder_and_an_archive(tmp_path: Path) -> None:
    write(tmp_path, ABOUT, "folder/__main__.py")
    same_as_plain("folder", "argument", cwd=tmp_path)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", textwrap.dedent(ABOUT))
    same_as_plain("archive.zip", "argument", cwd=tmp_path)
    (tmp_path / "empty").mkdir()
    same_as_plain("empty", cwd=tmp_path)


def test_a_compiled_script(tmp_path: Path) -> None:
    import py_compile

    py_compile.compile(str(write(tmp_path, ABOUT)), cfile=str(tmp_path / "program.pyc"))
    same_as_plain("program.pyc", "argument", cwd=tmp_path)


def test_a_safe_path_stays_safe(tmp_path: Path) -> None:
    write(tmp_path, "import sys; print(sys.path[0])")
    plain, ours = run_python("-P", "program.py", cwd=tmp_path), run_python("-P", *COMPAT, "program.py", cwd=tmp_path)
    assert ours.stdout == plain.stdout != ""
    assert ours.stderr == ""


FAILING = """\
import sys
def outer(): inner()
def inner(): 1 / 0
"""


@pytest.mark.parametrize(
    "last",
    [
        "sys.exit()",
        "sys.exit(7)",
        "sys.exit('a message')",
        "outer()",
        "raise KeyError('context') from ValueError('cause')",
        "raise ExceptionGroup('group', [ValueError(1), KeyError(2)])",
        "sys.excepthook = lambda kind, value, traceback: print(kind, traceback.tb_lineno, value.__traceback__.tb_lineno)\nouter()",
        "import threading; threading.Thread(target=outer).start()",
        "import atexit; atexit.register(print, 'at exit'); outer()",
        "def f(:",
        "\\x00",
        "import os; os._exit(5)",
    ],
)
def test_every_end_is_that_of_the_program(tmp_path: Path, last: str) -> None:
    (tmp_path / "program.py").write_text(f"{FAILING}{last}\n")
    same_as_plain("program.py", cwd=tmp_path)


@pytest.mark.parametrize("last", ["sys.exit(7)", "outer()", "def f(:"])
def test_every_end_is_that_of_the_module(tmp_path: Path, last: str) -> None:
    (tmp_path / "program.py").write_text(f"{FAILING}{last}\n")
    same_as_plain("-m", "program", cwd=tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_it_as_it_ends_a_program(tmp_path: Path) -> None:
    write(tmp_path, "import signal\nsignal.raise_signal(signal.SIGINT)\n")
    assert same_as_plain("program.py", cwd=tmp_path) == -signal.SIGINT


def test_work_that_goes_on_after_the_last_line_is_done(tmp_path: Path) -> None:
    program = """
        from concurrent.futures import ProcessPoolExecutor
        def work(number): return number * factor
        factor = 3
        if __name__ == "__main__":
            ProcessPoolExecutor(1).submit(work, 2).add_done_callback(lambda done: print(done.result()))
    """
    write(tmp_path, program)
    assert output_of(*COMPAT, "program.py", cwd=tmp_path) == "6\n"


def test_it_reads_the_standard_input(tmp_path: Path) -> None:
    write(tmp_path, "print(input())")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, *COMPAT, "program.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, input="in\n", capture_output=True, text=True, timeout=50
    )
    assert (done.stdout, done.stderr) == ("in\n", "")


# ---- the command itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str) -> None:
    shown = output_of(*COMPAT, option)
    assert shown.startswith("usage: python -m weft.compat script.py [argument ...]\n")
    assert "WEFT_COMPAT_MODE=passthrough" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give the script to run; see `python -m weft.compat --help`"),
        ([""], "give the script to run; see `python -m weft.compat --help`"),
        (["-m"], "-m needs the name of a module; see `python -m weft.compat --help`"),
        (["--wrong", "program.py"], "no option '--wrong'; see `python -m weft.compat --help`"),
        (["none.py"], "cannot open '{folder}/none.py': No such file or directory"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = run_python(*COMPAT, *arguments, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == f"weft.compat: {says.format(folder=tmp_path)}\n"


def test_a_missing_module_is_what_it_is_to_python(tmp_path: Path) -> None:
    same_as_plain("-m", "nothing_by_this_name", cwd=tmp_path)


def test_a_wrong_mode_is_one_line_and_status_2(tmp_path: Path) -> None:
    write(tmp_path, "print('ran')")
    done = run_python(*COMPAT, "program.py", cwd=tmp_path, mode="off")
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == (
        "weft.compat: WEFT_COMPAT_MODE='off' (from the environment) is not valid: use one of 'managed', 'passthrough'\n"
    )
