"""`Pipeline.visualize`: what is in the pictures, before a run and after it."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.pipelines.graphs import count, split
from weft import RuntimeConfig
from weft.errors import InvalidSetting, PipelineError
from weft.pipelines import MemoryCache, Pipeline, node
from weft.viz import RunRecord

SVG = "{http://www.w3.org/2000/svg}"


@node(output_name="total")
def add_up(counts: list[int], name: str = "<all & sundry>") -> int:
    return sum(counts)


@node(output_name="inverse")
def invert(total: int) -> float:
    return 1 / total


counting = Pipeline([split, count], name="counting")
pipeline = Pipeline(
    [
        counting.as_node(map_over="texts", input_mapping={"texts": "text"}, output_mapping={"count": "counts"}),
        add_up,
        invert,
    ],
    name="all of it",
)


def texts_of(svg: str) -> list[str]:
    return ["".join(one.itertext()) for one in ET.fromstring(svg).iter(f"{SVG}text")]


def boxes_of(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """Of each block, by its name: left, top, right, bottom."""
    found: dict[str, tuple[float, float, float, float]] = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        rect, text = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        assert rect is not None
        assert text is not None
        x, y, width, height = (float(rect.get(name, "")) for name in ("x", "y", "width", "height"))
        found[text.text or ""] = (x, y, x + width, y + height)
    return found


def test_everything_is_in_the_svg() -> None:
    texts = texts_of(pipeline.visualize().svg)
    for name in ("texts", "least", "name", "counting", "split", "count", "add_up", "invert", "for each of texts"):
        assert name in texts
    assert "= '<all & sundry>'" in texts
    assert "= 1" in texts


def test_nothing_overlaps_and_what_is_needed_is_above() -> None:
    boxes = boxes_of(pipeline.visualize().svg)
    for above, below in (("texts", "counting"), ("split", "count"), ("counting", "add_up"), ("add_up", "invert")):
        assert boxes[above][3] < boxes[below][1]
    outer = boxes.pop("counting")
    inner = {"split", "count", "text"}
    for name in ("split", "count"):
        left, top, right, bottom = boxes[name]
        assert outer[0] < left
        assert outer[1] < top
        assert right < outer[2]
        assert bottom < outer[3]
    names = sorted(boxes)
    for one in names:
        for other in names:
            if one < other:
                a, b = boxes[one], boxes[other]
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (one, other)
    assert inner & boxes.keys()


def test_lines_are_drawn_over_the_pipelines_that_they_are_in_and_under_nodes() -> None:
    drawn = [one.get("class", "").split()[0] for one in ET.fromstring(pipeline.visualize().svg) if one.get("class")]
    assert drawn.index("pipeline") < drawn.index("edge") < drawn.index("node")
    assert drawn[-1] == "node"


@pytest.mark.parametrize("width", [1, 7, 40])
def test_a_wide_graph(width: int) -> None:
    nodes = [node(output_name=f"y{number}")(lambda x: x).with_name(f"n{number}") for number in range(width)]
    boxes = boxes_of(Pipeline(nodes).visualize().svg)
    assert len(boxes) == width + 1
    assert len({top for name, (_, top, _, _) in boxes.items() if name != "x"}) == 1


def test_a_run_is_seen() -> None:
    record, cache = RunRecord(), MemoryCache()
    config = RuntimeConfig(callbacks=(record,), cache=cache)
    pipeline.run(texts=["a", "b c"], output_name="total", config=config)
    texts = texts_of(pipeline.visualize(run=record).svg)
    assert "not run" in texts  # invert
    assert sum("2 calls" in text for text in texts) == 2
    again = RunRecord()
    pipeline.run(texts=["a", "b c"], output_name="total", config=RuntimeConfig(callbacks=(again,), cache=cache))
    assert "1 cached" in texts_of(pipeline.visualize(run=again).svg)
    failed = RunRecord()
    results = pipeline.map(
        {"texts": [["a"], []]}, map_over="texts", return_exceptions=True, config=RuntimeConfig(callbacks=(failed,))
    )
    assert isinstance(results[1], PipelineError)
    picture = pipeline.visualize(run=failed)
    assert any(text.endswith("1 failed") for text in texts_of(picture.svg))
    assert 'class="node failed"' in picture.svg
    assert ":::failed" in picture.mermaid
    assert re.search(r'class="block node failed"', picture.html)


def test_mermaid() -> None:
    lines = pipeline.visualize().mermaid.splitlines()
    assert lines[0] == "flowchart TD"
    assert [line.strip() for line in lines if "subgraph" in line or line.strip() == "end"] == [
        'subgraph n2["counting for each of texts"]',
        "end",
    ]
    assert any("&lt;all &amp; sundry&gt;" in line for line in lines)
    ids = {name for line in lines for name in re.findall(r"\bn\d+\b", line)}
    declared = {match for line in lines for match in re.findall(r"^\s*(?:subgraph )?(n\d+)(?=[\[(])", line)}
    assert ids == declared


def test_html_needs_nothing_else() -> None:
    html = pipeline.visualize().html
    assert html.startswith("<!doctype html>")
    assert not re.search(r"""(src|href)=|url\(|@import|https?://(?!www\.w3\.org)""", html)
    assert html.count("<details open") == 1
    assert "&lt;all &amp; sundry&gt;" in html
    ids = re.findall(r'id="(weft-\d+)"', html)
    assert len(ids) == len({*ids})
    for needs in re.findall(r'data-needs="([^"]*)"', html):
        for need in filter(None, needs.split("|")):
            assert need.split()[0] in ids


@pytest.mark.parametrize(("name", "begins"), [("p.svg", "<svg"), ("p.html", "<!doctype"), ("p.mmd", "flowchart TD")])
def test_files(tmp_path: Path, name: str, begins: str) -> None:
    pipeline.visualize(tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_notebooks() -> None:
    assert pipeline._repr_html_() == pipeline.visualize()._repr_html_() == pipeline.visualize().svg


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"\.svg, \.html, \.mmd"):
        pipeline.visualize(tmp_path / "p.png")
    with pytest.raises(InvalidSetting, match="cannot be written"):
        pipeline.visualize("/proc/nowhere/p.svg")
    with pytest.raises(InvalidSetting, match=r"weft\.viz\.RunRecord"):
        pipeline.visualize(run=3)  # type: ignore[arg-type]
