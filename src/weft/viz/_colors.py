"""What both pictures look like, in light and dark."""

__all__ = ["STYLE", "VARIABLES", "shade"]

VARIABLES = """
.weft{--paper:#ffffff;--ink:#1b2430;--faint:#5b6878;--line:#9aa7b5;--box:#f4f7fa;--in:#eef1f5;--nest:#fafbfc;
--hot:#f0a04b;--failed:#c81e1e;--failed-box:#fde8e8;--cached:#0e7a4a;--cached-box:#e3f6ec}
@media (prefers-color-scheme:dark){.weft{--paper:#12171d;--ink:#e6ebf1;--faint:#9fadbb;--line:#5d6b7a;--box:#1d252e;
--in:#232c36;--nest:#171d24;--hot:#b9671a;--failed:#f48a8a;--failed-box:#4a1f22;--cached:#5fd39b;--cached-box:#173a2a}}
"""

STYLE = (
    VARIABLES.replace("\n", "")
    + ".weft rect{fill:var(--box);stroke:var(--line)}.weft .input rect{fill:var(--in)}"
    + ".weft .pipeline rect{fill:var(--nest)}.weft .failed rect{fill:var(--failed-box);stroke:var(--failed)}"
    + ".weft .cached rect{fill:var(--cached-box);stroke:var(--cached)}.weft .idle rect{stroke-dasharray:4 3}"
    + ".weft text{fill:var(--ink)}.weft .name{font-weight:600}.weft .note{fill:var(--faint);font-size:12px}"
    + ".weft .edge{fill:none;stroke:var(--line);stroke-width:1.4}.weft .arrow{fill:var(--line)}"
)


def shade(share: float) -> str:
    """The colour of a node that took such a share of the time, from 0 to 1."""
    return f"color-mix(in oklab, var(--hot) {round(8 + 84 * share)}%, var(--box))"
