"""`weft.cli.demo.source_tree`: which files are the tree's source."""

import sysconfig
from pathlib import Path

import pytest

from weft.cli.demo.source_tree import find_tree, read_all


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")


def test_sorted_and_without_what_is_not_source(tmp_path: Path) -> None:
    write(tmp_path, "b.py", "a.py", "sub/c.py", "sub/notes.txt", "site-packages/x.py", "sub/dist-packages/x.py")
    write(tmp_path, ".git/x.py", "sub/__pycache__/x.py", "venv/pyvenv.cfg", "venv/lib/x.py", "node_modules/x.py")
    tree = find_tree(tmp_path)
    assert [tree.relative(path) for path in tree.paths] == ["a.py", "b.py", "sub/c.py"]
    assert read_all(tree) == 3 * len("x = 1\n")
    assert tree.title == tmp_path.name
    assert not tree.is_stdlib


def test_a_file(tmp_path: Path) -> None:
    write(tmp_path, "one.py", "two.py")
    tree = find_tree(tmp_path / "one.py")
    assert [tree.relative(path) for path in tree.paths] == ["one.py"]


def test_a_root_that_would_be_skipped_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, "site-packages/x.py", "site-packages/p/y.py")
    assert len(find_tree(tmp_path / "site-packages").paths) == 2


def test_a_relative_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "here/x.py")
    monkeypatch.chdir(tmp_path / "here")
    tree = find_tree(Path("."))
    assert tree.title == "here"
    assert [tree.relative(path) for path in tree.paths] == ["x.py"]


def test_the_standard_library_by_default() -> None:
    tree = find_tree(None)
    names = {tree.relative(path) for path in tree.paths}
    assert tree.is_stdlib
    assert {"ast.py", "concurrent/futures/thread.py"} <= names
    assert not any("site-packages" in name for name in names)
    assert str(tree.root) == sysconfig.get_path("stdlib")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_tree(tmp_path / "none")


def test_a_dangling_link_is_read_over(tmp_path: Path) -> None:
    try:
        (tmp_path / "link.py").symlink_to(tmp_path / "none.py")
    except OSError:
        pytest.skip("this user may not make symbolic links here")
    tree = find_tree(tmp_path)
    assert len(tree.paths) == 1
    assert read_all(tree) == 0
