"""The page that the demo writes: one HTML file with everything in it, and nothing loaded from elsewhere.

`page.html` is the frame, `page.css` and `page.js` are put into it as they are; `charts` draws, `sections` writes
the rest. Every text that comes from outside (a path, a function's name, an error) goes through `html.escape`.
Without JavaScript the page loses only the names of tasks under the pointer.

Pinned by tests/cli/test_report.py.
"""

import os
from importlib.resources import files
from pathlib import Path
from string import Template

from weft.cli.demo.findings import Findings
from weft.cli.demo.report import charts, sections


def write_report(findings: Findings, output: Path) -> None:
    """Writes the page; a page that is there already is replaced whole, or not at all."""
    unfinished = output.with_name(f"{output.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(render(findings), encoding="utf-8", errors="backslashreplace")
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)


def render(findings: Findings) -> str:
    """The page as text. The findings must have at least one trial."""
    parts = files(__package__)
    return Template(parts.joinpath("page.html").read_text("utf-8")).substitute(
        style=parts.joinpath("page.css").read_text("utf-8"),
        script=parts.joinpath("page.js").read_text("utf-8"),
        title=sections.title(findings),
        kicker=sections.kicker(findings),
        headline=sections.headline(findings),
        standfirst=sections.standfirst(findings),
        totals=sections.totals(findings),
        warning=sections.warning(findings),
        speedups=charts.speedup_bars(findings),
        timeline=charts.timeline(findings),
        tasks=charts.task_data(findings),
        meaning=sections.meaning(findings),
        decisions=sections.decisions(findings),
        table=sections.table(findings),
        complexity=charts.complexity_bars(findings),
        problems=sections.problems(findings),
        facts=sections.facts(findings),
        tree=sections.tree_title(findings),
    )
