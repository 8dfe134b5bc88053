"""Looks at a function without calling it: what it is, how it would be sent, and who could have it.

Runs in a process of its own (`weft.cli._child`), and tells what it finds piece by piece, the riskiest last: so what
is known counts even if importing the module in an interpreter brings the process down.
Pinned by tests/cli/test_explain.py.
"""

import dis
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from weft import capabilities
from weft._payloads.functions import FunctionTable
from weft._payloads.pickling import dump
from weft._payloads.working import PICKLE, load_function
from weft.cli._target import NotFoundError, Target, find_function
from weft.errors import MissingDependency, PayloadError
from weft.executors._isolation import try_in_scratch_interpreter
from weft.executors._portable import examine as examine_static
from weft.executors._portable import main_is_guarded
from weft.executors._router import function_of

__all__ = ["Sent", "answer", "find_or_say", "how_it_is_sent"]

# What waits for somebody else, as far as a name can tell.
_WAITING = frozenset(
    (
        *("socket", "ssl", "select", "selectors", "subprocess", "urllib.request", "http.client", "ftplib", "smtplib"),
        *("imaplib", "poplib", "requests", "httpx", "urllib3", "botocore", "boto3", "redis", "pymongo", "psycopg"),
        *("psycopg2", "pymysql", "grpc", "paramiko"),
    )
)
_WAITING_FUNCTIONS = frozenset({"builtins:open", "builtins:input", "time:sleep"})


@dataclass(frozen=True, slots=True)
class Sent:
    """How a function goes to a worker that shares nothing with its caller.

    Attributes:
        how: "name", "value", or "call" for what goes along with each call; None if it cannot go.
        size: Bytes.
        why_not: Why it cannot go.
        definition: What a worker makes the function of.
    """

    how: str | None
    size: int
    why_not: str | None
    definition: bytes


def answer(text: str) -> Iterator[dict[str, Any]]:
    """All that can be said without calling it."""
    target, problem = find_or_say(text)
    if target is None:
        yield problem
        return
    yield {"part": "function", **_what_it_is(target)}
    sent = how_it_is_sent(target.value)
    about = {key: value for key, value in asdict(sent).items() if key != "definition"}
    yield {"part": "sent", **about, "name": sent.definition.decode() if sent.how == "name" else None}
    static = examine_static(target.value)
    yield {"part": "static", "objections": static.objections, "watched": static.watched}
    if sent.why_not is None:
        yield {"part": "processes", "why_not": _why_not_in_process(sent)}
        if capabilities().interpreters:
            yield {"part": "interpreters", **_in_interpreter(target, sent)}


def find_or_say(text: str) -> tuple[Target[Callable[..., Any]] | None, dict[str, Any]]:
    """The function; or what is to be said instead."""
    try:
        return find_function(text), {}
    except NotFoundError as error:
        return None, {"part": "problem", "found": False, "message": str(error)}
    except BaseException as error:
        where = text.rpartition(":")[0]
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        return None, {"part": "problem", "found": True, "message": f"{where} cannot be imported: it raised {said}"}


def _what_it_is(target: Target[Callable[..., Any]]) -> dict[str, Any]:
    fn = function_of(target.value)
    code = getattr(inspect.unwrap(fn) if inspect.isfunction(fn) else fn, "__code__", None)
    return {
        "kind": _kind(target.value),
        "file": _shortened(code.co_filename) if isinstance(code, CodeType) else None,
        "line": code.co_firstlineno if isinstance(code, CodeType) else None,
        "gives": _gives(fn),
        "waits": sorted(_waits(fn)),
        "gil_enabled": capabilities().gil_enabled,  # the import may have turned it on
        "script": target.script,
        "script_guarded": None if target.script is None else main_is_guarded(target.script),
    }


def _kind(fn: Any) -> str:
    if inspect.isclass(fn):
        return "a class"
    if inspect.ismethod(fn):
        return "a bound method"
    if isinstance(fn, FunctionType):
        return "a lambda" if fn.__name__ == "<lambda>" else "a Python function"
    if inspect.isbuiltin(fn) or inspect.ismethoddescriptor(fn):
        return "a function written in C"
    return f"an object that can be called, a {type(fn).__name__}"


def _gives(fn: Any) -> str | None:
    """What calling it gives, where that is no plain result."""
    fn = inspect.unwrap(fn) if inspect.isfunction(fn) else fn
    if inspect.iscoroutinefunction(fn):
        return "coroutine"
    if inspect.isasyncgenfunction(fn):
        return "asynchronous generator"
    return "generator" if inspect.isgeneratorfunction(fn) else None


def _shortened(file: str) -> str:
    """The part of a path that tells something: from the current folder, or from where modules are found."""
    best = file
    for entry in (os.getcwd(), *sys.path):
        if entry and file.startswith(entry.rstrip(os.sep) + os.sep):
            rest = file[len(entry.rstrip(os.sep)) + 1 :]
            best = min(best, rest, key=len)
    return best


# ---- what waits --------------------------------------------------------------------------------------


def _waits(fn: Any) -> set[str]:
    """Names that it uses of what waits for somebody else."""
    module = str(getattr(fn, "__module__", ""))
    itself = f"{module}:{getattr(fn, '__qualname__', '')}"
    if _is_waiting(module) or itself in _WAITING_FUNCTIONS:
        return {itself.replace(":", ".")}
    if not isinstance(fn, FunctionType):
        return set()
    found: set[str] = set()
    for code in _codes(fn.__code__):
        for name in code.co_names:
            found |= _waits_by(fn, name, code.co_names)
        found |= {name for name in _imported_by(code, fn) if _is_waiting(name)}
    return found


def _waits_by(fn: FunctionType, name: str, all_names: tuple[str, ...]) -> set[str]:
    value = fn.__globals__.get(name)
    if isinstance(value, ModuleType):
        if _is_waiting(value.__name__):
            return {value.__name__}
        attributes = (f"{value.__name__}:{attribute}" for attribute in all_names)
        return {each.replace(":", ".") for each in attributes if each in _WAITING_FUNCTIONS}
    if value is None and f"builtins:{name}" in _WAITING_FUNCTIONS:
        return {name}
    module = str(getattr(value, "__module__", ""))
    waiting = _is_waiting(module) or f"{module}:{getattr(value, '__qualname__', '')}" in _WAITING_FUNCTIONS
    return {f"{module}.{name}"} if waiting else set()


def _is_waiting(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _WAITING)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imported_by(code: CodeType, fn: FunctionType) -> Iterator[str]:
    """The modules that a function imports when it runs."""
    instructions = list(dis.get_instructions(code))
    for index, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME" and index >= 2:
            level = instructions[index - 2].argval
            name = str(instruction.argval)
            if isinstance(level, int) and level > 0:
                try:
                    name = importlib.util.resolve_name("." * level + name, fn.__globals__.get("__package__"))
                except ImportError:
                    continue
            yield name


# ---- how it goes, and who can have it ----------------------------------------------------------------


def how_it_is_sent(fn: Any) -> Sent:
    """As the pools' table of functions has it."""
    try:
        numbered = FunctionTable().numbered(fn)
    except (MissingDependency, PayloadError) as error:
        return Sent(None, 0, str(error), b"")
    if numbered is not None:
        definition = numbered[1]
        return Sent("value" if definition[0] == PICKLE else "name", len(definition), None, definition)
    data, culprit, error = dump(fn, None)
    if data is None:
        return Sent(None, 0, f"it cannot be pickled: {error} (at a {type(culprit).__name__})", b"")
    return Sent("call", len(data), None, data)


def _why_not_in_process(sent: Sent) -> str | None:
    """This is a process that has imported it: what remains is what goes by value."""
    try:
        load_function(sent.definition)
    except PayloadError as error:
        return str(error)
    return None


def _in_interpreter(target: Target[Callable[..., Any]], sent: Sent) -> dict[str, Any]:
    fn = function_of(target.value)
    home = sent.definition.decode().partition(":")[0] if sent.how == "name" else ""
    for problem in try_in_scratch_interpreter([home] if home else [], sent.definition):
        return {"problem": asdict(problem), "late": False}
    late = list(dict.fromkeys(_imported_late(fn)))
    for problem in try_in_scratch_interpreter(late):
        if problem.extension is not None:
            return {"problem": asdict(problem), "late": True}
    return {"problem": None, "late": False}


def _imported_late(fn: Any) -> Iterator[str]:
    if isinstance(fn, FunctionType):
        for code in _codes(fn.__code__):
            yield from _imported_by(code, fn)
