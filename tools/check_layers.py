"""Checks that nothing looks up: each module imports only from its own layer and those under it.

Looked at are the imports that run when a module is loaded. One inside a function is a decision of its own, made
late on purpose (a default pool, an engine that may not be installed), and one under TYPE_CHECKING never runs.
The C++ runtime has rules of its own: no Python in native/, and what threads share is made only of native/sync/.
A module that is in no layer yet is an error too: give it one here.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "weft"

LAYERS = [
    {"_core"},
    {
        "errors",
        "config",
        "_capabilities",
        "_cgroups",
        "_decisions",
        "_ending",
        "_live",
        "_locks",
        "_payloads",
        "_reset",
    },
    {"futures", "parallel", "kernels", "execution"},
    {"executors"},
    {"_run", "_flavors", "_rules", "aio", "compat"},
    {"actors", "pipelines"},
    {"debug", "testing", "viz"},
    {"cli", "__main__"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}

SHARED = re.compile(r"#\s*include\s*<(atomic|mutex|shared_mutex|condition_variable|semaphore|latch|barrier)>")
PYTHON = re.compile(r'#\s*include\s*[<"](Python\.h|pybind11/)')


def imports_at_load(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import statement that runs when the module does."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports_at_load(node.orelse)
        else:
            for field in ("body", "orelse", "finalbody", "handlers"):
                for child in getattr(node, field, []):
                    if isinstance(child, ast.ExceptHandler):
                        yield from imports_at_load(child.body)
                    elif isinstance(child, ast.stmt):
                        yield from imports_at_load([child])


def modules_named(node: ast.Import | ast.ImportFrom, parts: tuple[str, ...]) -> Iterator[str]:
    """The absolute names of the modules that an import statement in weft/<parts> may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = ["weft", *parts[:-1]][: 1 + len(parts) - node.level] if node.level else []
    prefix = ".".join([*base, *([node.module] if node.module else [])])
    if prefix == "weft":
        yield from (f"weft.{alias.name}" for alias in node.names)
    else:
        yield prefix


def python_faults() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        where = path.relative_to(ROOT)
        own = LAYER.get(parts[0])
        if own is None and parts != ("__init__",):
            yield f"{where}: in no layer; give '{parts[0]}' one in tools/check_layers.py"
            continue
        for node in imports_at_load(ast.parse(path.read_text(encoding="utf-8")).body):
            for module in modules_named(node, parts):
                top, _, rest = module.partition(".")
                name = rest.partition(".")[0]
                if top != "weft":
                    continue
                if own is None:
                    yield f"{where}:{node.lineno}: imports {module}, but `import weft` loads nothing (invariant 10)"
                elif name and LAYER.get(name, -1) > own:
                    yield f"{where}:{node.lineno}: layer {own} imports {module} of layer {LAYER[name]}"


def native_faults() -> Iterator[str]:
    sources = [p for p in sorted((ROOT / "native").rglob("*")) if p.suffix in {".hpp", ".cpp", ".h", ".cc"}]
    for path in sources:
        where = path.relative_to(ROOT)
        free = where.parts[1] in {"sync", "tests"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if PYTHON.search(line):
                yield f"{where}:{number}: native/ knows nothing of Python"
            elif not free and (match := SHARED.search(line)):
                yield f"{where}:{number}: includes <{match[1]}>; what threads share is made of native/sync/"


if __name__ == "__main__":
    faults = [*python_faults(), *native_faults()]
    for fault in faults:
        print(fault)
    sys.exit(bool(faults))
