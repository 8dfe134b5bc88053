"""What the demo computes about one Python file: its lines, functions, complexity and imports.

Pure Python over `ast` and `tokenize`, no I/O but reading the file, no shared state: any thread, interpreter
or process may call `measure_file`, and it holds the GIL nearly all the time. That is the point of it.

A file that cannot be read, decoded or parsed is a result with a `problem`, never an exception, so that one
bad file in a tree costs one line of the report and not the run.

**Complexity** is McCabe's v(G) = pi + 1, where pi is the number of predicates (T. J. McCabe, "A Complexity
Measure", IEEE Transactions on Software Engineering SE-2(4), 1976, sections IV and VII; a compound predicate
counts each of its conditions). Counted as one predicate each:

- `if`, `elif`, the conditional expression, `while`, `assert`;
- `for`, and each `for` and `if` of a comprehension;
- each `except` clause;
- each operand of `and` and `or` after the first;
- each `case` that can fail to match, each of its alternatives after the first, and each guard.

`else`, `finally` and `with` decide nothing and count nothing. A nested `def` and a method are functions of their
own; a lambda has no name to report, so its predicates belong to the function that it is written in. What
a nested `def` evaluates outside its body (decorators, defaults, annotations) belongs to the enclosing one.

Pinned by tests/cli/test_source_metrics.py.
"""

import ast
import io
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LineCounts:
    """Lines of a file by what is on them; the last three add up to `total`.

    A line that has code and a comment is code. A docstring is code, blank lines within it included: it is a
    string that the program holds.
    """

    total: int = 0
    code: int = 0
    comment: int = 0
    blank: int = 0


@dataclass(frozen=True, slots=True)
class FunctionMetrics:
    """One `def`: its qualified name, the line of its `def`, and its cyclomatic complexity (1 or more)."""

    name: str
    line: int
    complexity: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file could not be measured; `line` is 1-based, None where the reason has no line."""

    line: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class FileMetrics:
    """All that is computed about one file. With a `problem`, everything else is empty."""

    path: str
    lines: LineCounts = LineCounts()
    functions: tuple[FunctionMetrics, ...] = ()
    imports: tuple[str, ...] = ()
    problem: Problem | None = None

    @property
    def most_complex(self) -> FunctionMetrics | None:
        """The function of the highest complexity, the first of them in the file; None if there is none."""
        return max(self.functions, key=lambda function: function.complexity, default=None)


def measure_file(path: str) -> FileMetrics:
    """Reads one file and measures it. Never raises for what is in the file.

    Example:
        >>> measure_file("no such file.py").problem
        Problem(line=None, reason='cannot be read: No such file or directory')
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        return FileMetrics(path, problem=Problem(None, f"cannot be read: {error.strerror or error}"))
    return measure_source(source, path)


def measure_source(source: bytes, path: str = "<source>") -> FileMetrics:
    r"""Measures a file's bytes; the encoding is found the way Python does (a BOM, a coding line, else UTF-8).

    Example:
        >>> measure_source(b"def f(x):\n    return 1 if x else 2\n").most_complex
        FunctionMetrics(name='f', line=1, complexity=2)
    """
    try:
        text = decode_source(source)
        tree = ast.parse(text, path)
        lines = count_lines(text)
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        return FileMetrics(path, problem=Problem(line, f"not valid {error.encoding}: {error.reason}"))
    except SyntaxError as error:
        # The tokenizer's own errors, raised before there is a line, name the path again: leave it out.
        reason = error.msg.replace(f" for {path!r}", "")
        return FileMetrics(path, problem=Problem(error.lineno or None, reason))
    except (RecursionError, MemoryError):
        return FileMetrics(path, problem=Problem(None, "nested too deeply for Python's parser"))
    except (tokenize.TokenError, ValueError) as error:
        return FileMetrics(path, problem=Problem(None, str(error.args[0] if error.args else error)))
    functions, imports = walk_module(tree)
    return FileMetrics(path, lines, functions, imports)


def decode_source(source: bytes) -> str:
    """The text of a file, with `tokenize.open`'s rules: declared encoding, universal newlines, no BOM."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    return io.StringIO(source.decode(encoding), newline=None).read()


def count_lines(text: str) -> LineCounts:
    """Counts lines by the tokens on them; every line of a string of several lines is code."""
    code = comments = last_code = 0
    for kind, _, (first, _), (last, _), _ in tokenize.generate_tokens(io.StringIO(text).readline):
        if kind in LAYOUT_TOKENS:
            continue
        if kind == tokenize.COMMENT:
            # Code, if there is any, comes before the comment on its line.
            if first > last_code:
                comments += 1
        elif last > last_code:
            code += last - max(first - 1, last_code)
            last_code = last
    total = text.count("\n") + (1 if text and not text.endswith("\n") else 0)
    return LineCounts(total, code, comments, total - code - comments)


def walk_module(tree: ast.Module) -> tuple[tuple[FunctionMetrics, ...], tuple[str, ...]]:
    """One pass over a module: its functions in the order in which they are written, and what it imports.

    The imports are sorted, once each, wherever they stand; relative ones keep their dots. The stack is our
    own, for a tree may be deeper than Python's recursion limit. Fields are read here rather than with
    `ast.iter_child_nodes`, whose generators cost more than all the rest over a million nodes.
    """
    functions: list[_Function] = []
    modules: set[str] = set()
    # A node, the function that its predicates count for, and the prefix of qualified names in it.
    stack: list[tuple[Any, _Function, str]] = [(tree, _Function("<module>", (0, 0)), "")]
    while stack:
        node, owner, prefix = stack.pop()
        kind: type[ast.AST] = node.__class__
        if kind in PREDICATES:
            owner.predicates += PREDICATES[kind](node)
        for field in kind._fields:
            children: Any = getattr(node, field)
            if children.__class__ is not list:
                if children.__class__ not in LEAVES:
                    stack.append((children, owner, prefix))
            elif field != "body" or kind not in DEFINITIONS:
                stack += [(child, owner, prefix) for child in children if child.__class__ not in LEAVES]
            elif kind is ast.ClassDef:
                stack += [(statement, owner, f"{prefix}{node.name}.") for statement in children]
            else:
                function = _Function(prefix + node.name, (node.lineno, node.col_offset))
                functions.append(function)
                stack += [(statement, function, f"{function.name}.<locals>.") for statement in children]
        if kind is ast.Import:
            modules.update(alias.name for alias in node.names)
        elif kind is ast.ImportFrom:
            modules.add("." * node.level + (node.module or ""))
    functions.sort(key=lambda function: function.position)
    return (
        tuple(FunctionMetrics(each.name, each.position[0], each.predicates + 1) for each in functions),
        tuple(sorted(modules)),
    )


@dataclass(slots=True)
class _Function:
    """A function while its body is walked. Module level has one too, whose count nobody reads."""

    name: str
    position: tuple[int, int]
    predicates: int = 0


def count_case_predicates(case: ast.match_case) -> int:
    """One if the pattern can fail to match, and one for a guard."""
    return (not is_irrefutable(case.pattern)) + (case.guard is not None)


def is_irrefutable(pattern: ast.pattern) -> bool:
    """Whether a pattern matches everything: a wildcard, a capture, or either of them in `|` or `as`."""
    match pattern:
        case ast.MatchAs(pattern=None):
            return True
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return is_irrefutable(inner)
        case ast.MatchOr(patterns=alternatives):
            return is_irrefutable(alternatives[-1])
        case _:
            return False


def _one(node: Any) -> int:
    return 1


# How many predicates a node of each type adds, its children not included.
PREDICATES: dict[type[ast.AST], Callable[[Any], int]] = {
    ast.If: _one,
    ast.IfExp: _one,
    ast.While: _one,
    ast.For: _one,
    ast.AsyncFor: _one,
    ast.Assert: _one,
    ast.ExceptHandler: _one,
    ast.BoolOp: lambda node: len(node.values) - 1,
    ast.comprehension: lambda node: 1 + len(node.ifs),
    ast.match_case: count_case_predicates,
    # `x | _` never fails as a whole, but its first alternative still may.
    ast.MatchOr: lambda node: len(node.patterns) - 1,
}

DEFINITIONS = frozenset[type]({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef})

# What a field may hold that has nothing under it: values that are not nodes, and nodes without children.
LEAVES = frozenset[type](
    {
        *(str, bytes, int, float, complex, bool, type(None), type(...)),
        *(ast.Name, ast.Constant, ast.Pass, ast.Break, ast.Continue, ast.Global, ast.Nonlocal, ast.alias),
        *ast.expr_context.__subclasses__(),
        *ast.operator.__subclasses__(),
        *ast.unaryop.__subclasses__(),
        *ast.boolop.__subclasses__(),
        *ast.cmpop.__subclasses__(),
    }
)

LAYOUT_TOKENS = frozenset(
    {
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)
