"""The tree of Python files that the demo works on.

Pinned by tests/cli/test_source_tree.py.
"""

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Installed packages, caches and the like: not what the owner of a tree means by its source.
SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__", "node_modules"})


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The Python files under `root`, sorted by path; `root` may be a file itself."""

    root: Path
    paths: tuple[str, ...]
    is_stdlib: bool

    @property
    def title(self) -> str:
        """What the tree is called in a sentence."""
        return "the standard library" if self.is_stdlib else self.root.name or str(self.root)

    def relative(self, path: str) -> str:
        """A file's path as shown: from the root, with forward slashes."""
        if path == str(self.root):
            return self.root.name
        return Path(path).relative_to(self.root).as_posix()


def find_tree(path: Path | None) -> SourceTree:
    """Lists the Python files of a folder (or just a file); of the standard library if no path is given.

    Folders of installed packages, caches, virtual environments and those that begin with a dot are left out,
    unless one of them is the root.

    Raises:
        FileNotFoundError: nothing is there.
    """
    root = Path(path or sysconfig.get_path("stdlib")).absolute()
    if not root.exists():
        raise FileNotFoundError(root)
    return SourceTree(root, tuple(sorted(_python_files(root))), is_stdlib=path is None)


def _python_files(root: Path) -> Iterator[str]:
    if root.is_file():
        yield str(root)
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if _is_source(folder, name)]
        yield from (os.path.join(folder, name) for name in files if name.endswith(".py"))


def _is_source(folder: str, name: str) -> bool:
    if name.startswith(".") or name in SKIPPED_FOLDERS:
        return False
    return not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))


def read_all(tree: SourceTree) -> int:
    """Reads every file once and gives their size in bytes.

    Done before anything is measured: else the first to run would be the only one that waits for the disk.
    """
    size = 0
    for path in tree.paths:
        try:
            with open(path, "rb") as file:
                size += len(file.read())
        except OSError:
            continue  # measured like the others, and reported there
    return size
