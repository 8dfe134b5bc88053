"""`weft.cli._progress`: what is shown where."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import WEFT, write_tree
from weft.cli._progress import Lines, Progress, RewrittenLine, make_progress


def test_nothing_where_nothing_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with make_progress(show=False) as progress:
        assert type(progress) is Progress
        progress.begin("serial", 2)
        progress.update(1)
        progress.finish("0.10 s")
    assert capsys.readouterr() == ("", "")


def test_a_line_per_contender_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with make_progress(show=True) as progress:
        assert type(progress) is Lines
        for name in ("serial", "threads"):
            progress.begin(name, 2)
            progress.update(1)
            progress.finish("0.10 s")
    assert capsys.readouterr() == ("", "serial: 0.10 s\nthreads: 0.10 s\n")


def test_one_line_again_and_again_on_a_plain_terminal() -> None:
    stream = io.StringIO()
    with RewrittenLine(stream) as progress:
        progress.begin("serial", 1726)
        progress.update(1)
        progress.update(1000)
        progress.finish("0.10 s")
    lines = stream.getvalue().split("\r\x1b[K")
    assert lines == ["", "serial: 1 of 1,726 files", "serial: 1,000 of 1,726 files", "serial: 0.10 s\n"]


def test_a_plain_terminal_is_tidied_up_after_an_interrupt() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), RewrittenLine(stream) as progress:
        progress.begin("serial", 2)
        progress.update(1)
        raise KeyboardInterrupt
    assert stream.getvalue().endswith("\r\x1b[K")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
@pytest.mark.parametrize("rich_installed", [True, False])
def test_on_a_real_terminal(rich_installed: bool, tmp_path: Path) -> None:
    if rich_installed:
        pytest.importorskip("rich")
    write_tree(tmp_path / "tree")
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    if not rich_installed:
        # A package of that name that cannot be imported.
        (tmp_path / "path" / "rich").mkdir(parents=True)
        (tmp_path / "path" / "rich" / "__init__.py").write_text("raise ImportError('not installed')\n")
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(tmp_path / "path"), os.environ.get("PYTHONPATH")])
        )
    ours, theirs = os.openpty()
    try:
        process = subprocess.Popen(
            [*WEFT, "demo", str(tmp_path / "tree"), "--output", str(tmp_path / "r.html"), "--flavor", "threads"],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            env=environment,
        )
        os.close(theirs)
        shown = bytearray()
        with process:
            while True:
                try:
                    chunk = os.read(ours, 65536)
                except OSError:  # how Linux says that the other end is closed
                    break
                if not chunk:
                    break
                shown += chunk
    finally:
        os.close(ours)
    text = shown.decode()
    assert process.returncode == 0
    assert ("4/4" in text) == rich_installed
    assert ("of 4 files" in text) == (not rich_installed)
    assert "stdlib threads" in text
