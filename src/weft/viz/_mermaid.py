"""A drawing as Mermaid: text that GitHub and many others draw."""

from __future__ import annotations

from weft.viz._drawing import Block, Drawing

__all__ = ["mermaid_of"]

_STYLES = {
    "failed": "fill:#fde8e8,stroke:#c81e1e,color:#771d1d",
    "cached": "fill:#e3f6ec,stroke:#0e7a4a,color:#0b4f31",
    "idle": "stroke-dasharray:4 3",
}


def mermaid_of(drawing: Drawing) -> str:
    """The text of a flow chart."""
    names: dict[str, str] = {}
    lines = ["flowchart TD", *_blocks(drawing, names, "  ")]
    lines += _edges(drawing, names)
    lines += [f"  classDef {state} {style}" for state, style in _STYLES.items() if _any(drawing, state)]
    return "\n".join(lines) + "\n"


def _blocks(drawing: Drawing, names: dict[str, str], indent: str) -> list[str]:
    lines: list[str] = []
    for block in drawing.blocks:
        name = names[block.id] = f"n{len(names)}"
        if block.inner is not None:
            over = f" for each of {', '.join(block.over)}" if block.over else ""
            lines.append(f"{indent}subgraph {name}[{_quoted(block.name + over)}]")
            lines += _blocks(block.inner, names, f"{indent}  ")
            lines.append(f"{indent}end")
            continue
        text = "<br/>".join([block.name, *block.notes, *([block.told] if block.told else [])])
        left, right = ("([", "])") if block.kind == "input" else ("[", "]")
        state = f":::{block.state}" if block.state in _STYLES else ""
        lines.append(f"{indent}{name}{left}{_quoted(text)}{right}{state}")
    return lines


def _edges(drawing: Drawing, names: dict[str, str]) -> list[str]:
    lines = [f"  {names[maker.id]} -->{_label(maker, labels)} {names[to.id]}" for maker, to, labels in drawing.edges]
    for block in drawing.blocks:
        if block.inner is not None:
            lines += _edges(block.inner, names)
    return lines


def _label(maker: Block, labels: list[str]) -> str:
    return "" if maker.kind == "input" else f"|{_quoted(', '.join(labels))}|"


def _quoted(text: str) -> str:
    return (
        '"'
        + text.replace("&", "&amp;")
        .replace('"', "&quot;")
        .replace("<br/>", "\0")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\0", "<br/>")
        + '"'
    )


def _any(drawing: Drawing, state: str) -> bool:
    return any(
        block.state == state or (block.inner is not None and _any(block.inner, state)) for block in drawing.blocks
    )
