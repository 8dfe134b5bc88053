"""A drawing as a page of HTML: the browser lays it out, nested pipelines fold and unfold, a script draws the lines."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from itertools import count

from weft.viz._colors import VARIABLES, shade
from weft.viz._drawing import Block, Drawing

__all__ = ["fragment_of", "page_of"]


def page_of(drawing: Drawing, title: str) -> str:
    """The whole page, which needs nothing else."""
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<body class="weft-page">\n{fragment_of(drawing, title)}</body>\n</html>\n'
    )


def fragment_of(drawing: Drawing, title: str) -> str:
    """The same, as a part of another page."""
    here = files("weft.viz")
    style = VARIABLES + here.joinpath("page.css").read_text(encoding="utf-8")
    script = here.joinpath("page.js").read_text(encoding="utf-8")
    ids = {block.id: f"weft-{number}" for block, number in zip(_all(drawing), count(), strict=False)}
    return (
        f'<div class="weft">\n<style>{style}</style>\n<h1>{escape(title)}</h1>\n'
        f'<svg class="lines" aria-hidden="true"></svg>\n{_layers(drawing, ids)}'
        f"<script>{script}</script>\n</div>\n"
    )


def _all(drawing: Drawing) -> list[Block]:
    return [one for block in drawing.blocks for one in (block, *([] if block.inner is None else _all(block.inner)))]


def _layers(drawing: Drawing, ids: dict[str, str]) -> str:
    needs: dict[str, list[str]] = {}
    for maker, to, labels in drawing.edges:
        needs.setdefault(to.id, []).append(f"{ids[maker.id]} {', '.join(labels)}")
    rows = [
        f'<div class="layer">{"".join(_block(block, needs.get(block.id, []), ids) for block in layer)}</div>\n'
        for layer in drawing.layers
    ]
    return f'<div class="graph">\n{"".join(rows)}</div>\n'


def _block(block: Block, needs: list[str], ids: dict[str, str]) -> str:
    lines = [f"for each of {', '.join(block.over)}"] if block.over else []
    lines += [*block.notes, *([block.told] if block.told else [])]
    notes = "".join(f'<div class="note">{escape(line)}</div>' for line in lines)
    attributes = f'id="{ids[block.id]}" class="block {block.kind} {block.state}" data-needs="{escape("|".join(needs))}"'
    head = f'<span class="name">{escape(block.name)}</span>'
    if block.inner is not None:
        return f"<details open {attributes}><summary>{head}{notes}</summary>{_layers(block.inner, ids)}</details>"
    style = f' style="background:{shade(block.share)}"' if block.state == "ran" else ""
    return f"<div {attributes}{style}>{head}{notes}</div>"
