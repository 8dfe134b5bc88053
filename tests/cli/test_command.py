"""The `weft` command from outside: what it prints where, and its exit status."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.support import WEFT, run_weft, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree")


def test_a_whole_demo(tree: Path, tmp_path: Path) -> None:
    done = run_weft("demo", str(tree), "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert out.startswith("weft demo: 4 files")
    for name in ("serial", "threads", "processes", "auto", "auto, cpu_bound", "stdlib threads", "stdlib processes"):
        assert f"\n{name} " in out
        assert f"{name}: " in done.stderr
    for heading in ("wall", "CPU", "speed-up", "tasks/s", "peak memory"):
        assert heading in out
    assert "All results are equal: 4 files" in out
    assert "\nauto took threads: " in out
    assert "     3  f  a.py:1\n     2  C.m  sub/b.py:5\n     1  g  a.py:5\n" in out
    assert "1 file could not be measured:\n\n  broken.py:2: expected ':'\n" in out
    page = tmp_path / "demo" / "report.html"
    assert f"The page with charts: {Path('demo', 'report.html')}" in out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_one_flavor_and_no_progress(tree: Path, tmp_path: Path) -> None:
    done = run_weft("demo", str(tree), "--flavor", "threads", "--no-progress", "--output", str(tmp_path / "r.html"))
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\nserial " in done.stdout
    assert "\nthreads " in done.stdout
    assert "\nstdlib processes " not in done.stdout


def test_a_file_alone(tree: Path, tmp_path: Path) -> None:
    done = run_weft(
        "demo", str(tree / "broken.py"), "--flavor", "threads", "--no-progress", "--output", str(tmp_path / "r.html")
    )
    assert done.returncode == 0
    assert "  broken.py:2: expected ':'\n" in done.stdout


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    done = run_weft("demo", str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"weft demo: {tmp_path / 'none'}: no such file or folder\n"


def test_an_empty_tree(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no Python\n")
    done = run_weft("demo", str(tmp_path / "empty"), cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == f"{tmp_path / 'empty'}: no Python files there, so there is nothing to measure\n"
    assert not (tmp_path / "demo").exists()


def test_an_output_that_cannot_be(tree: Path, tmp_path: Path) -> None:
    done = run_weft("demo", str(tree), "--output", str(tree))
    assert done.returncode == 2
    assert done.stderr == f"weft demo: {tree}: is a folder; --output wants a file\n"
    done = run_weft("demo", str(tree), "--output", str(tree / "a.py" / "r.html"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"weft demo: {tree / 'a.py' / 'r.html'}: cannot be written: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demmo"], "weft: no command 'demmo'; did you mean `weft demo`?\n"),
        (["xyz"], "weft: no command 'xyz'; there is: demo, doctor, explain, run, trace, bench\n"),
        (
            ["demo", "--workers", "0"],
            "weft demo: argument --workers: a whole number of 1 or more is needed, not '0'; see `weft demo --help`\n",
        ),
    ],
)
def test_usage_errors(arguments: list[str], message: str) -> None:
    done = run_weft(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_a_wrong_option_is_one_line() -> None:
    done = run_weft("demo", "--flavour", "threads")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_help() -> None:
    assert "demo" in run_weft().stdout
    done = run_weft("demo", "--help")
    assert done.returncode == 0
    assert "--workers" in done.stdout


def test_a_reader_that_leaves(tree: Path, tmp_path: Path) -> None:
    """As `weft demo | head -1` does; the page is written all the same."""
    process = subprocess.Popen(
        [*WEFT, "demo", str(tree), "--flavor", "threads", "--no-progress", "--output", str(tmp_path / "r.html")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert errors == ""
    assert process.returncode == 141
    assert (tmp_path / "r.html").exists()
