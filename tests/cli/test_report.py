"""The page: all in one file, every outside text escaped, and the numbers that were measured."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.cli.support import make_findings, make_trial, results_of, write_tree
from weft import Decision
from weft.cli.demo.findings import Findings
from weft.cli.demo.machine import this_machine
from weft.cli.demo.report import render, write_report
from weft.cli.demo.source_metrics import FileMetrics, FunctionMetrics, LineCounts, Problem
from weft.cli.demo.trial import Failure

VOID = {"meta", "link", "wbr", "path"}


class Page(HTMLParser):
    """The page's elements, checked for balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    root = write_tree(tmp_path / "tree")
    results = results_of(root)
    decision = Decision(
        requested="auto", resolved="threads", reason="because <threads>", code="io_bound", evidence={"cpus": 2.0}
    )
    return make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("threads", results, wall=4.1, workers=2, on_core=0.5),
        make_trial("auto", results, wall=4.2, workers=2, on_core=0.5, decision=decision),
        make_trial("stdlib processes", results, wall=2.2, workers=2, processes=True),
    )


def test_nothing_is_loaded_from_elsewhere(findings: Findings) -> None:
    text = render(findings)
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text
    for tag, attributes in Page(text).elements:
        assert "src" not in attributes, tag
        assert attributes.get("href", "data:,") == "data:,", tag
        assert tag not in ("iframe", "object", "embed", "img", "base")


def test_the_numbers_are_there(findings: Findings) -> None:
    text = Page(render(findings)).text()
    assert "2 workers, no faster than one" in text
    for expected in ("1.00×", "0.98×", "0.95×", "1.82×", "50 MB", "all equal", "4.10 s"):
        assert expected in text
    assert "Because <threads>." in text
    assert "io_bound" in text
    assert "the GIL lets one thread run Python at a time" in text
    assert "f a.py:1" in text
    assert "1 file could not be measured" in text
    assert "broken.py:2" in text


def test_the_name_of_a_function_keeps_its_case(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    results = results_of(root)
    moved = Decision(
        requested="auto",
        resolved="processes",
        reason="read_all takes 9 ms",
        code="moved",
        evidence={"function": "read_all"},
    )
    findings = make_findings(
        root, make_trial("serial", results, wall=4), make_trial("auto", results, wall=2, decision=moved)
    )
    assert "read_all takes 9 ms." in Page(render(findings)).text()


def test_bars_are_as_long_as_the_speedups(findings: Findings) -> None:
    fills = re.findall(r'class="fill" style="width:([\d.]+)%"', render(findings))
    one = float(next(iter(re.findall(r"--one:([\d.]+)%", render(findings)))))
    lengths = [float(fill) for fill in fills]
    assert [round(length / one, 2) for length in lengths] == [1.0, 0.98, 0.95, 1.82]


def test_the_task_data_names_each_task_once_per_contender(findings: Findings) -> None:
    text = render(findings)
    found = re.search(r'<script type="application/json" id="tasks">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    lanes = [attributes["data-lane"] for _, attributes in Page(text).elements if "data-lane" in attributes]
    assert lanes == [str(index) for index in range(len(data["lanes"]))] == ["0", "1", "2", "3", "4", "5", "6"]
    assert data["files"] == ["a.py", "broken.py", "empty.py", "sub/b.py"]
    assert data["length"] == 4200
    assert sorted(task[2] for lane in data["lanes"] for task in lane) == sorted([0, 1, 2, 3] * 4)


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    root = tmp_path / "<b>&tree"
    root.mkdir()
    name = "<script>alert(1)<script>.py"
    (root / name).write_text("")
    function = FunctionMetrics("<i>f</i>", 1, 9)
    path = str(root / name)
    results = [
        FileMetrics(path, LineCounts(1, 1, 0, 0), (function,)),
        FileMetrics(path, problem=Problem(1, "</section><b>")),
    ]
    text = render(make_findings(root, make_trial("serial", results, wall=1), ("threads", Failure("<u>&", ""))))
    assert "<script>alert" not in text
    assert "<b>&" not in text
    assert "<i>f" not in text
    assert "<u>" not in text
    page = Page(text)
    assert "</section><b>" in page.text()
    assert "threads failed: <u>&." in page.text()


def test_a_difference_is_shown_as_bad(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    results = results_of(root)
    text = render(
        make_findings(root, make_trial("serial", results, wall=4), make_trial("threads", results[::-1], wall=2))
    )
    assert 'class="bad">not equal' in text
    assert "threads computed something else than serial: first at a.py." in Page(text).text()


@pytest.mark.parametrize("workers", [1, 3, 40])
def test_other_shapes_are_balanced_too(tmp_path: Path, workers: int) -> None:
    """One contender, no function, more workers than are shown, a job of a millisecond."""
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(50):
        (root / f"m{number}.py").write_text("")
    trial = make_trial("serial", results_of(root), wall=0.001, workers=workers)
    text = Page(render(make_findings(root, trial, workers=workers))).text()
    assert "There is no function in this tree." in text
    assert ("and 24 workers more" in text) == (workers == 40)


def test_a_page_is_replaced_whole(findings: Findings, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("the old one")
    write_report(findings, output)
    assert output.read_text(encoding="utf-8").endswith("</html>\n")
    assert [path.name for path in tmp_path.glob("report*")] == ["report.html"]


def test_names_that_are_not_text(tmp_path: Path, findings: Findings) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    try:
        (root / "\udce9.py").write_text("if x\n")
    except OSError:
        pytest.skip("this file system only has names that are text")
    write_report(make_findings(root, make_trial("serial", results_of(root), wall=1)), tmp_path / "r.html")
    assert "\\udce9.py" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_machine_is_not_named() -> None:
    import getpass
    import platform

    facts = " ".join(value for _, value in this_machine().facts())
    assert platform.python_version() in facts
    for private in (platform.node(), str(Path.home())):
        assert private not in facts.split()
    assert getpass.getuser() not in facts.split()
