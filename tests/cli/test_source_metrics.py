"""`weft.cli.demo.source_metrics` against cases worked out by hand."""

import textwrap
from pathlib import Path

import pytest

from weft.cli.demo.source_metrics import FunctionMetrics, LineCounts, Problem, measure_file, measure_source


def complexity(body: str) -> int:
    source = "async def f(a, b, c):\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"
    metrics = measure_source(source.encode())
    assert metrics.problem is None
    return metrics.functions[0].complexity


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("pass", 1, id="nothing"),
        pytest.param("if a: pass", 2, id="if"),
        pytest.param("if a: pass\nelse: pass", 2, id="else decides nothing"),
        pytest.param("if a: pass\nelif b: pass\nelif c: pass\nelse: pass", 4, id="elif"),
        pytest.param("for x in a: pass", 2, id="for"),
        pytest.param("for x in a: pass\nelse: pass", 2, id="for else"),
        pytest.param("async for x in a: pass", 2, id="async for"),
        pytest.param("while a: pass", 2, id="while"),
        pytest.param("while a:\n    if b: break\n    continue", 3, id="break and continue decide nothing"),
        pytest.param("try: a()\nexcept ValueError: pass", 2, id="except"),
        pytest.param("try: a()\nexcept ValueError: pass\nexcept (OSError, KeyError): pass", 3, id="two excepts"),
        pytest.param("try: a()\nexcept* ValueError: pass", 2, id="except*"),
        pytest.param("try: a()\nfinally: pass", 1, id="finally"),
        pytest.param("try: a()\nexcept: pass\nelse: pass\nfinally: pass", 2, id="all of try"),
        pytest.param("with a as x, b: pass", 1, id="with"),
        pytest.param("async with a: pass", 1, id="async with"),
        pytest.param("assert a", 2, id="assert"),
        pytest.param("assert a and b, c", 3, id="compound assert"),
        pytest.param("return a and b", 2, id="and"),
        pytest.param("return a and b and c", 3, id="and of three"),
        pytest.param("return a and b or c", 3, id="and or"),
        pytest.param("return a or (b or c)", 3, id="nested or"),
        pytest.param("return not a", 1, id="not"),
        pytest.param("return a < b < c", 1, id="chained comparison"),
        pytest.param("if a and b: pass", 3, id="compound if"),
        pytest.param("return a if b else c", 2, id="conditional expression"),
        pytest.param("return (a if b else c) if a else b", 3, id="nested conditional expression"),
        pytest.param("return [x for x in a]", 2, id="list comprehension"),
        pytest.param("return {x for x in a if x}", 3, id="comprehension with if"),
        pytest.param("return {x: y for x in a for y in b if x if y}", 5, id="comprehension with all"),
        pytest.param("return (x for x in a if x and b)", 4, id="generator with a compound if"),
        pytest.param("return [x async for x in a]", 2, id="asynchronous comprehension"),
        pytest.param("return lambda x: 1 if x else 2", 2, id="a lambda's predicates are the function's"),
        pytest.param("return f'{a if b else c}'", 2, id="in an f-string"),
        pytest.param("if (x := a): pass", 2, id="walrus"),
        pytest.param("match a:\n    case 1: pass", 2, id="one case"),
        pytest.param("match a:\n    case 1: pass\n    case 2: pass\n    case _: pass", 3, id="wildcard is else"),
        pytest.param("match a:\n    case 1: pass\n    case x: pass", 2, id="capture is else"),
        pytest.param("match a:\n    case (x): pass", 1, id="capture in parentheses"),
        pytest.param("match a:\n    case _ as x: pass", 1, id="wildcard with as"),
        pytest.param("match a:\n    case 1 as x: pass", 2, id="as"),
        pytest.param("match a:\n    case 1 | 2 | 3: pass", 4, id="alternatives"),
        pytest.param("match a:\n    case 1 | _: pass", 2, id="alternatives that cannot fail"),
        pytest.param("match a:\n    case x if b: pass", 2, id="guard alone"),
        pytest.param("match a:\n    case 1 if b and c: pass", 4, id="case, guard, and"),
        pytest.param("match a:\n    case [1, {'k': 2 | 3}, str(x)]: pass", 3, id="nested alternatives"),
        pytest.param("class C:\n    if a: x = 1", 2, id="class body"),
    ],
)
def test_complexity(body: str, expected: int) -> None:
    assert complexity(body) == expected


def test_nested_functions_count_on_their_own() -> None:
    source = b"""\
@decorator(1 if flag else 2)
def outer(a, b=1 if flag else 2):
    if a:
        def inner(x=a or b) -> "a if b else c":
            while x:
                pass
        async def second():
            for _ in a:
                pass
            for _ in b:
                pass
    class Local:
        def method(self):
            return a and b

class Outer:
    class Inner:
        def method(self):
            assert self
if outer:
    def at_module_level(): pass
"""
    assert measure_source(source).functions == (
        FunctionMetrics("outer", 2, 3),  # its if, and the `or` in a default of inner
        FunctionMetrics("outer.<locals>.inner", 4, 2),
        FunctionMetrics("outer.<locals>.second", 7, 3),
        FunctionMetrics("outer.<locals>.Local.method", 13, 2),
        FunctionMetrics("Outer.Inner.method", 18, 2),
        FunctionMetrics("at_module_level", 21, 1),
    )


def test_most_complex_is_the_first_of_equals() -> None:
    source = b"def a(): pass\ndef b(x):\n    if x: pass\ndef c(x):\n    while x: pass\n"
    assert measure_source(source).most_complex == FunctionMetrics("b", 2, 2)
    assert measure_source(b"x = 1\n").most_complex is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("", LineCounts(0, 0, 0, 0), id="empty"),
        pytest.param("\n\n", LineCounts(2, 0, 0, 2), id="blank"),
        pytest.param("x = 1", LineCounts(1, 1, 0, 0), id="no newline at the end"),
        pytest.param("# a\n  # b\n", LineCounts(2, 0, 2, 0), id="comments"),
        pytest.param("x = 1  # why\n", LineCounts(1, 1, 0, 0), id="code with a comment is code"),
        pytest.param("x = 1; y = 2\n", LineCounts(1, 1, 0, 0), id="two statements"),
        pytest.param('"""Doc.\n\nMore.\n"""\n', LineCounts(4, 4, 0, 0), id="docstring"),
        pytest.param("f(\n    1,\n\n    # why\n    2,\n)\n", LineCounts(6, 4, 1, 1), id="in parentheses"),
        pytest.param("if x:\n    pass\n\n# end\n", LineCounts(4, 2, 1, 1), id="dedent"),
        pytest.param('x = f"""\n{y}\n\n"""  # c\n', LineCounts(4, 4, 0, 0), id="f-string of several lines"),
        pytest.param("x = 1\r\n# c\r\n\r\n", LineCounts(3, 1, 1, 1), id="Windows line ends"),
        pytest.param("x = 1\r# c\r", LineCounts(2, 1, 1, 0), id="old Mac line ends"),
        pytest.param("x = 1 + \\\n    2\n", LineCounts(2, 2, 0, 0), id="continued"),
        pytest.param("x = 1\n\x0c\ny = 2\n", LineCounts(3, 2, 0, 1), id="form feed"),
    ],
)
def test_lines(source: str, expected: LineCounts) -> None:
    metrics = measure_source(source.encode())
    assert metrics.problem is None
    assert metrics.lines == expected


def test_imports() -> None:
    source = b"""\
import os, sys as system
import os.path
from . import sibling
from ..package.module import name as other
from os import *
def f():
    try:
        import json
    except ImportError:
        from .fallback import json
    match 1:
        case 1:
            import in_a_case
class C:
    with f():
        import in_a_class
"""
    expected = [".", "..package.module", ".fallback", "in_a_case", "in_a_class", "json", "os", "os.path", "sys"]
    assert list(measure_source(source).imports) == expected


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"), id="coding line"),
        pytest.param(b"\xef\xbb\xbfx = '\xc3\xa9'\n", id="byte order mark"),
        pytest.param("# vim: set fileencoding=cp1252 :\nx = '€'\n".encode("cp1252"), id="in vim's way"),
    ],
)
def test_encodings(source: bytes) -> None:
    assert measure_source(source).problem is None
    assert measure_source(source).lines.code == 1


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        pytest.param(b"x = (\n", 1, "'(' was never closed", id="unclosed"),
        pytest.param(b"x = 1\nif x\n", 2, "expected ':'", id="syntax"),
        pytest.param(b"x = 1\n  y = 2\n", 2, "unexpected indent", id="indentation"),
        pytest.param(b"x = '''\n", 1, "unterminated triple-quoted string", id="unterminated"),
        pytest.param(b"x = 1\n\ny = '\xe9'\n", 3, "not valid utf-8", id="not UTF-8"),
        pytest.param(b"x = '\xe9'\n", None, "invalid or missing encoding declaration", id="not UTF-8 at once"),
        pytest.param(b"# coding: no-such\n", None, "unknown encoding: no-such", id="unknown encoding"),
        pytest.param(b"x = 1\x00\n", None, "null bytes", id="null byte"),
        pytest.param(b"(" * 5000 + b")" * 5000, None, "too many nested parentheses", id="parentheses"),
        pytest.param(b"-" * 200_000 + b"1\n", None, "nested too deeply", id="operators"),
        pytest.param(b"x" + b".a" * 200_000 + b"\n", None, "nested too deeply", id="attributes"),
    ],
)
def test_problems(source: bytes, line: int | None, reason: str) -> None:
    metrics = measure_source(source, "some/file.py")
    assert metrics.problem is not None
    assert reason in metrics.problem.reason
    assert "some/file.py" not in metrics.problem.reason
    if line is not None:
        assert metrics.problem.line == line
    assert metrics.functions == ()
    assert metrics.imports == ()
    assert metrics.lines == LineCounts()


def test_deep_but_parsable() -> None:
    """A chain of `elif` nests as deep as it is long in the tree; our walk does not recurse."""
    source = "def f(x):\n    if x == 0: pass\n" + "".join(f"    elif x == {n}: pass\n" for n in range(500))
    metrics = measure_source(source.encode())
    assert metrics.problem is None
    assert metrics.functions[0].complexity == 502


def test_unreadable_files_are_results(tmp_path: Path) -> None:
    assert measure_file(str(tmp_path / "none.py")).problem == Problem(None, "cannot be read: No such file or directory")
    folder = tmp_path / "folder.py"
    folder.mkdir()
    problem = measure_file(str(folder)).problem
    assert problem is not None
    assert problem.reason.startswith("cannot be read: ")
