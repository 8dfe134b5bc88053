"""`examples/stdlib_search`, run as its reader would: on every executor, with the same index from each."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "stdlib_search"


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--most", "40", *arguments], capture_output=True, text=True, timeout=55
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_the_same_everywhere_and_finds_something(tmp_path: Path) -> None:
    arguments = ("read a configuration file", "--picture", str(tmp_path / "p.html"), "--cache", str(tmp_path / "cache"))
    first = run(*arguments)
    rows = re.findall(r"^(\w+) +[\d.]+ s +([\d,]+) terms, (\w{12})$", first, re.MULTILINE)
    assert len(rows) >= 5
    assert len({digest for _, _, digest in rows}) == 1
    assert re.search(r"^    0\.\d+  \S+\.py", first, re.MULTILINE)
    assert "cached" in (tmp_path / "p.html").read_text()  # the first executor's, by all others
    again = run(*arguments)
    assert re.findall(r"terms, (\w{12})", again) == [digest for _, _, digest in rows]
