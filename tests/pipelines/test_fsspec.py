"""`FsspecCache`: what is particular to files that may be anywhere."""

import logging
import os
import pickle
from pathlib import Path

import pytest

from tests.pipelines.conftest import Places
from weft.errors import InvalidSetting, MissingDependency
from weft.pipelines import FsspecCache, Pipeline, node


@node(output_name="square")
def square(x: int) -> int:
    return x * x


@pytest.mark.parametrize("kind", ["sequential", "threads", "processes"])
@pytest.mark.parametrize("scheme", ["file", "memory"])
@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_every_run_finds_what_another_has_made(places: Places, tmp_path: Path, kind: str, scheme: str) -> None:
    """A file system of this process is of no use to the others, and does no harm."""
    cache = FsspecCache(f"{scheme}://{tmp_path}/results")
    config = places.config(kind, cache=cache)
    for _ in range(2):
        assert Pipeline([square], config=config).map({"x": [1, 2]}, map_over="x") == [{"square": 1}, {"square": 4}]
    if scheme == "file":
        assert len(cache) == 2
        assert len(pickle.loads(pickle.dumps(cache))) == 2
        assert not [*tmp_path.glob("**/*.part")]
    cache.clear()
    assert len(cache) == 0


def test_a_torn_entry_is_a_miss_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = FsspecCache(str(tmp_path))
    cache.put(b"key", [1], node="n", parts=b"made of")
    (file,) = (tmp_path / "entries").glob("*/*")
    os.truncate(file, file.stat().st_size - 1)
    with caplog.at_level(logging.WARNING, "weft.pipelines"):
        assert cache.get(b"key", "none") == "none"
    assert "damaged" in caplog.text
    assert not cache.contains(b"key")
    assert cache.history("n") == [b"made of"]


def test_a_folder_that_goes_costs_no_result(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = FsspecCache(str(tmp_path / "cache"))
    (tmp_path / "cache" / "entries").write_text("no folder any more")
    with caplog.at_level(logging.WARNING, "weft.pipelines"):
        for number in range(3):  # each in a file of another name
            cache.put(b"%d" % number, 1)
        assert cache.get(b"0", "none") == "none"
    assert caplog.text.count("goes on without") == 1
    assert cache.stats.refused == 4


def test_addresses_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="no such file system"):
        FsspecCache("nosuch://folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match="cannot be written"):
        FsspecCache(str(tmp_path / "file" / "cache"))
    for wrong in ("", 1):
        with pytest.raises(InvalidSetting, match="url"):
            FsspecCache(wrong)  # type: ignore[arg-type]
    with pytest.raises(MissingDependency, match="needs a package"):
        FsspecCache("adl://store/folder")
