"""What the documentation shows runs: each page's Python blocks as one program, and each docstring's example."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import weft

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def program_of(page: Path) -> str:
    """The page's Python blocks as one program, on the lines that they have in the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * len(text.splitlines())
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    program = program_of(page)
    if not program.strip():
        pytest.skip("no Python on this page")
    # A file, not -c: processes import the program they come from. Its lines are the page's, for tracebacks.
    script = tmp_path / f"page_{page.stem}.py"
    script.write_text(program, encoding="utf-8")
    command = [sys.executable, "-X", "utf8", "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=50)
    assert done.returncode == 0, f"{page}:\n{done.stdout}{done.stderr}"


def links_of(page: Path) -> list[str]:
    """Where the page points to that is no address on the net."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors_of(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors_of(target), f"{page}: {link}: no such heading"


def modules() -> list[str]:
    """Every module of the package but the command, private ones too: public objects live in those."""
    found = pkgutil.walk_packages(weft.__path__, "weft.", onerror=lambda _: None)
    without = ["weft.cli", "weft.__main__"]
    if sys.version_info < (3, 14):
        without.append("weft.compat.concurrent.futures.interpreter")  # which is not in the stdlib either
    return [module.name for module in found if not module.name.startswith(tuple(without))]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        output: list[str] = []
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        failures = doctest.DocTestRunner(optionflags=flags).run(test, out=output.append).failed
        assert failures == 0, "".join(output)


def test_every_public_function_and_class_has_an_example() -> None:
    import inspect

    without: list[str] = []
    for name in weft.__all__:
        value = getattr(weft, name)
        members = vars(value) if inspect.ismodule(value) else {name: value}
        public = getattr(value, "__all__", members) if inspect.ismodule(value) else members
        for member in public:
            target = getattr(value, member) if inspect.ismodule(value) else value
            if callable(target) and ">>>" not in (inspect.getdoc(target) or ""):
                without.append(f"{name}: {member}")
    assert without == []
