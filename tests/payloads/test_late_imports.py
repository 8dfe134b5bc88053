"""What is done to a module once it is imported."""

import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from weft._payloads import late_imports
from weft._payloads.late_imports import when_imported

HERE = "module_of_test_late_imports"


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / HERE
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "part.py").write_text("loader = __loader__\n")
    (folder / "other.py").write_text("")
    (folder / "broken.py").write_text("raise LookupError('not today')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    yield
    assert [finder for finder in sys.meta_path if finder is not late_imports._finder] == [
        finder for finder in finders if finder is not late_imports._finder
    ]
    assert sys.meta_path.count(late_imports._finder) <= 1
    for name in [name for name in sys.modules if name.startswith(HERE)]:
        del sys.modules[name]


def test_it_is_called_after_the_import_and_once() -> None:
    seen: list[bool] = []
    when_imported(f"{HERE}.part", lambda: seen.append(hasattr(sys.modules[f"{HERE}.part"], "loader")))
    assert seen == []
    for _ in range(2):
        __import__(f"{HERE}.part")
    assert seen == [True]


def test_of_a_module_that_is_there_already() -> None:
    seen: list[str] = []
    when_imported("sys", lambda: seen.append("sys"))()
    assert seen == ["sys"]


def test_the_module_does_not_notice() -> None:
    when_imported(f"{HERE}.part", lambda: None)
    __import__(f"{HERE}.part")
    part = sys.modules[f"{HERE}.part"]
    assert type(part.__loader__).__name__ == type(part.loader).__name__ == "SourceFileLoader"
    assert part.__spec__ is not None
    assert part.__spec__.loader is part.__loader__


def test_it_can_be_taken_back() -> None:
    seen: list[str] = []
    when_imported(f"{HERE}.part", lambda: seen.append("called"))()
    __import__(f"{HERE}.part")
    assert seen == []


def test_an_import_that_fails_calls_nothing() -> None:
    seen: list[str] = []
    take_back = when_imported(f"{HERE}.broken", lambda: seen.append("called"))
    with pytest.raises(LookupError, match="not today"):
        __import__(f"{HERE}.broken")
    assert seen == []
    take_back()


def test_of_a_module_that_is_not_there() -> None:
    take_back = when_imported(f"{HERE}.missing", lambda: None)
    with pytest.raises(ModuleNotFoundError):
        __import__(f"{HERE}.missing")
    take_back()


def test_several_wait_for_one_module() -> None:
    seen: list[int] = []
    for number in range(3):
        when_imported(f"{HERE}.part", lambda number=number: seen.append(number))
    __import__(f"{HERE}.part")
    assert seen == [0, 1, 2]


def test_who_only_asks_does_not_end_the_wait() -> None:
    seen: list[str] = []
    when_imported(f"{HERE}.part", lambda: seen.append("called"))
    spec = importlib.util.find_spec(f"{HERE}.part")
    assert spec is not None
    assert spec.loader is not None
    assert not spec.loader.is_package(f"{HERE}.part")  # type: ignore[attr-defined]
    assert seen == []
    __import__(f"{HERE}.part")
    assert seen == ["called"]


def test_an_import_under_way_misses_no_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Python 3.14 it goes through the list by position: what is taken out before that has it skip one."""

    class Between:
        """Just before the one that finds the module; there, somebody imports what is waited for."""

        def find_spec(self, name: str, *_: object) -> None:
            if name == f"{HERE}.other":
                __import__(f"{HERE}.part")

    seen: list[str] = []
    when_imported(f"{HERE}.part", lambda: seen.append("called"))
    finders = list(sys.meta_path)
    finders.insert(finders.index(PathFinder), Between())  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "meta_path", finders)
    __import__(f"{HERE}.other")
    assert seen == ["called"]
    monkeypatch.undo()
