"""Which installed packages refuse interpreters with a GIL of their own, or turn the GIL on again.

Each package that has extension modules is imported in a scratch interpreter of a child process; on a free-threaded
build also in the child itself, to see whether the GIL comes back. Each has `EACH` seconds, all together `ALL`.
Pinned by tests/cli/test_doctor.py.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, distributions
from typing import Any

from weft import capabilities
from weft.cli._child import ask, give_up
from weft.cli._sheet import Fact, Section
from weft.cli.demo.table import count

__all__ = ["ALL", "EACH", "answer", "packages", "with_extensions"]

EACH = 20.0  # seconds
ALL = 90.0
_MOST_EXTENSIONS = 12  # of one package, that are imported one by one
_ABREAST = 4

_REFUSES = "its extension {} does not support interpreters with a GIL of their own"


def packages(names: Sequence[str] | None = None, *, each: float = EACH, most: float = ALL) -> Section:
    """The section.

    Args:
        names: The packages to ask about; None: all installed ones that have extension modules.
        each: Seconds for one package.
        most: Seconds for all.
    """
    found = capabilities()
    heading = "Packages with extensions"
    if not found.interpreters and not found.free_threaded_build:
        why = f"not asked: interpreters need {found.interpreters_needs}, and this build has no free threads"
        return Section(heading, [Fact("packages", why, None)])
    installed = with_extensions()
    wanted: dict[str, list[str]] = {name: installed.get(name, []) for name in (installed if names is None else names)}
    if not wanted:
        return Section(heading, [Fact("packages", "none is installed that has extension modules", {})])
    end = time.monotonic() + most

    def fact(item: tuple[str, list[str]]) -> Fact:
        return _ask(*item, each=each, end=end)

    with ThreadPoolExecutor(min(_ABREAST, found.cpu_count)) as asking:
        try:
            facts = list(asking.map(fact, sorted(wanted.items())))
        except BaseException:  # Ctrl-C
            end = 0.0
            give_up()
            raise
    order = {"wrong": 0, "bad": 1, "": 2, "good": 3}
    facts.sort(key=lambda fact: order[fact.mark])
    fine = [fact for fact in facts if fact.mark == "good"]
    if names is None and len(fine) > 1:  # what is fine needs no line each
        facts = [fact for fact in facts if fact.mark != "good"]
        said = f"{count(len(fine), 'package')}: {', '.join(fact.name for fact in fine)}"
        facts.append(Fact("fine", said, {fact.name: fact.plain for fact in fine}, "good"))
    return Section(heading, facts)


def _ask(name: str, extensions: Sequence[str], *, each: float, end: float) -> Fact:
    left = min(each, end - time.monotonic())
    if left <= 0.1:
        return Fact(name, "not asked: time was up; name it with --packages", {"asked": False})
    environ = {key: value for key, value in os.environ.items() if key != "PYTHON_GIL"}  # or it could not come back
    found = ask("weft.cli.doctor.packages:answer", [name, list(extensions)], left, environment=environ)
    if not found.lines:
        return Fact(name, f"not known: {found.ended or 'no answer'}", {"error": found.ended}, "bad")
    value: dict[str, Any] = {}
    for line in found.lines:
        value |= line
    if found.ended is not None:
        value["ended"] = found.ended
    return Fact(name, *_read(value))


def _read(value: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
    """What the answers say to people, with them, and the mark."""
    said: list[str] = []
    mark = "good"
    if value.get("gil") is not None:
        said.append(f"turns the GIL on again{value['gil'] and ': ' + value['gil'] + ' needs it'}")
        mark = "bad"
    if (error := value.get("error")) is not None:
        said.append(f"cannot be imported: {error}")
        mark = "bad"
    elif (refused := value.get("refuses")) is not None:
        chain = " > ".join(value["chain"])
        said.append(f"refuses interpreters: {_REFUSES.format(refused)}{chain and f' ({chain})'}")
        mark = "bad"
    elif value.get("refuse_in_part"):
        said.append(f"works in interpreters without {', '.join(value['refuse_in_part'])}")
        mark = "bad" if mark == "bad" else ""
    elif value.get("isolated"):
        said.append("works in interpreters")
    elif value.get("ended"):
        said.append(f"not known: {value['ended']}")
        mark = "bad"
    if value.get("ended") and (value.get("isolated") or value.get("gil") is not None):
        said.append(f"then: {value['ended']}")
    return "; ".join(said) or "leaves the GIL off", value, mark


def with_extensions() -> dict[str, list[str]]:
    """The importable names of installed packages that have extension modules, with the names of these."""
    found: dict[str, list[str]] = {}
    for distribution in distributions():
        for module in _extensions(distribution):
            top = module.partition(".")[0]
            if top != "weft":
                found.setdefault(top, []).append(module)
    return found


def _extensions(distribution: Distribution) -> Iterator[str]:
    for file in distribution.files or ():
        suffix = next((suffix for suffix in EXTENSION_SUFFIXES if file.name.endswith(suffix)), None)
        if suffix is None:
            continue
        parts = [*file.parts[:-1], file.name.removesuffix(suffix)]
        if all(part.isidentifier() for part in parts) and not any("test" in part for part in parts):
            yield ".".join(parts)


# ---- the child's side --------------------------------------------------------------------------------


def answer(argument: tuple[str, list[str]]) -> Iterator[dict[str, Any]]:
    """What becomes of a package here: `_child.ask` calls it in a process of its own."""
    name, extensions = argument
    found = capabilities()
    if found.interpreters:
        yield from _in_interpreter(name, extensions)
    if found.free_threaded_build and not found.gil_enabled:
        yield from _without_gil(name)


def _in_interpreter(name: str, extensions: list[str]) -> Iterator[dict[str, Any]]:
    from weft.executors._isolation import try_in_scratch_interpreter

    for problem in try_in_scratch_interpreter([name]):
        if problem.extension is None:
            yield {"isolated": None, "error": problem.error}
        else:
            yield {"isolated": False, "refuses": problem.extension, "chain": problem.chain}
        return
    yield {"isolated": True}
    problems = try_in_scratch_interpreter(extensions[:_MOST_EXTENSIONS])
    refused = dict.fromkeys(problem.extension for problem in problems if problem.extension is not None)
    if refused:
        yield {"refuse_in_part": list(refused)}


def _without_gil(name: str) -> Iterator[dict[str, Any]]:
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            __import__(name)
        except BaseException as error:
            yield {"error": f"{type(error).__name__}: {error}".partition("\n")[0]}
    if sys._is_gil_enabled():  # pyright: ignore[reportPrivateUsage]
        texts = [str(each.message) for each in caught]
        told = next((text for text in texts if "global interpreter lock" in text), "")
        yield {"gil": told.partition("load module '")[2].partition("'")[0]}
    else:
        yield {"gil_stays_off": True}
