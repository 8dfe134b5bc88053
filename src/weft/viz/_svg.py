"""A drawing as SVG, laid out here: blocks as wide as their text, layers one below another, nested pipelines open."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from weft.viz._colors import STYLE, shade
from weft.viz._drawing import Block, Drawing

__all__ = ["svg_of"]

_LETTER = 7.4  # pixels, of a sans-serif of 13 px, on the safe side
_LINE = 17.0
_PAD = 12.0
_BESIDE = 22.0
_BELOW = 46.0
_MARGIN = 16.0


@dataclass(slots=True)
class _Box:
    """A block that has its size, and its place within what is around it."""

    block: Block
    width: float
    height: float
    inner: _Layout | None
    x: float = 0.0
    y: float = 0.0


@dataclass(slots=True)
class _Layout:
    boxes: dict[str, _Box]
    drawing: Drawing
    width: float
    height: float


def svg_of(drawing: Drawing, title: str) -> str:
    """The picture."""
    layout = _laid_out(drawing)
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" class="weft" font-family="system-ui, sans-serif" font-size="13">'
    )
    arrow = (
        '<defs><marker id="weft-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0.5 L7.5 4 L0 7.5 z" class="arrow"/></marker></defs>'
    )
    style = f"<title>{escape(title)}</title>\n<style>{STYLE}</style>"
    return "\n".join([head, style, arrow, *_drawn(layout, _MARGIN, _MARGIN), "</svg>", ""])


def _laid_out(drawing: Drawing) -> _Layout:
    boxes = {block.id: _box(block) for block in drawing.blocks}
    rows = [[boxes[block.id] for block in layer] for layer in drawing.layers]
    widths = [sum(box.width for box in row) + _BESIDE * (len(row) - 1) for row in rows]
    width, y = max(widths, default=0.0), 0.0
    for row, taken in zip(rows, widths, strict=True):
        x, tallest = (width - taken) / 2, max(box.height for box in row)
        for box in row:
            # An input has nothing above it: it stands close to what takes it.
            box.x, box.y = x, y + (tallest - box.height) / (1 if box.block.kind == "input" else 2)
            x += box.width + _BESIDE
        y += tallest + _BELOW
    return _Layout(boxes, drawing, width, y - _BELOW if rows else 0.0)


def _box(block: Block) -> _Box:
    lines = _lines(block)
    width = max(len(line) for line in lines) * _LETTER + 2 * _PAD
    height = len(lines) * _LINE + 2 * _PAD - 4
    if block.inner is None:
        return _Box(block, width, height, None)
    inner = _laid_out(block.inner)
    return _Box(block, max(width, inner.width + 2 * _PAD), height + inner.height + _PAD, inner)


def _lines(block: Block) -> list[str]:
    over = [f"for each of {', '.join(block.over)}"] if block.over else []
    return [block.name, *over, *block.notes, *([block.told] if block.told else [])]


def _drawn(layout: _Layout, left: float, top: float) -> list[str]:
    placed = [(box, left + box.x, top + box.y) for box in layout.boxes.values()]
    parts = [part for box, x, y in placed if box.inner is not None for part in _block(box, x, y)]
    for maker, to, labels in layout.drawing.edges:
        above, below = layout.boxes[maker.id], layout.boxes[to.id]
        x1, y1 = left + above.x + above.width / 2, top + above.y + above.height
        x2, y2 = left + below.x + below.width / 2, top + below.y
        bend = max((y2 - y1) / 2, 14)
        parts.append(
            f'<path class="edge" marker-end="url(#weft-arrow)" d="M{x1:.1f} {y1:.1f} C{x1:.1f} {y1 + bend:.1f} '
            f'{x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"><title>{escape(", ".join(labels))}</title></path>'
        )
    return parts + [part for box, x, y in placed if box.inner is None for part in _block(box, x, y)]


def _block(box: _Box, x: float, y: float) -> list[str]:
    block = box.block
    lines = _lines(block)
    radius = box.height / 2 if block.kind == "input" else 8
    fill = f' style="fill:{shade(block.share)}"' if block.state == "ran" else ""
    parts = [
        f'<g class="{block.kind} {block.state}">',
        f"<title>{escape(' · '.join(lines))}</title>",
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius:.1f}"{fill}/>',
    ]
    for number, line in enumerate(lines):
        kind = "name" if number == 0 else "note"
        parts.append(
            f'<text class="{kind}" x="{x + box.width / 2:.1f}" y="{y + _PAD + 10 + number * _LINE:.1f}" '
            f'text-anchor="middle">{escape(line)}</text>'
        )
    parts.append("</g>")
    if box.inner is not None:
        below = y + len(lines) * _LINE + 2 * _PAD - 4
        parts += _drawn(box.inner, x + (box.width - box.inner.width) / 2, below)
    return parts
