"""The `WEFT_...` variables: which are set, what they mean, which are wrong, and which are none of ours."""

import difflib
import math
import os
from collections.abc import Callable, Mapping

from weft.cli._sheet import Fact, Section
from weft.config import RuntimeConfig, variables
from weft.errors import InvalidSetting

__all__ = ["DEVELOPMENT", "MEANINGS", "environment"]

MEANINGS: Mapping[str, str] = {
    "WEFT_FLAVOR": "the kind of worker where the program names none",
    "WEFT_MAX_WORKERS": "how many workers a Run has, at most",
    "WEFT_THREAD_MODE": "decide as if there were a GIL (gil) or none (nogil)",
    "WEFT_CPU_BOUND": "tasks compute in Python",
    "WEFT_IO_BOUND": "tasks mostly wait",
    "WEFT_FORCE_THREADS": "auto takes threads, whatever else is said",
    "WEFT_FORCE_PROCESS": "auto takes processes, whatever else is said",
    "WEFT_PREFERS_SUBINTERPRETERS": "auto takes interpreters, where this Python has them",
    "WEFT_AUTO": "whether auto decides; off: it is threads",
    "WEFT_INNER_THREADS": "threads that BLAS and OpenMP may use in each worker",
    "WEFT_RETRIES": "how many more times a node of a pipeline is tried",
    "WEFT_TIMEOUT": "seconds that a node of a pipeline may take",
    "WEFT_TRACE_PATH": "write what tasks did into this file",
    "WEFT_SPARE_INTERPRETERS": "interpreters that are kept ready",
    "WEFT_EXIT_GRACE": "seconds that the end of the program waits while nothing gets done",
    "WEFT_ASYNC_MODE": "when async_ runs: async at once, deferred when somebody asks for the result",
    "WEFT_COMPAT_MODE": "what weft.compat gives: weft's own, or with passthrough the standard library's",
}

DEVELOPMENT = frozenset(
    f"WEFT_{name}"
    for name in (
        *("BUILD_TYPE", "CHAOS", "CTEST_ARGS", "HANGS", "HYPOTHESIS", "PYTHONS", "RACE_SECONDS", "ROUNDS", "SANITIZE"),
        *("SEED", "TEST_DEADLINE", "TEST_SEED"),
    )
)
"""Those that weft's own build and tests read."""


def environment(environ: Mapping[str, str] | None = None) -> Section:
    """The section.

    Args:
        environ: The environment, by default that of this process.
    """
    environ = os.environ if environ is None else environ
    names = sorted(name for name in environ if name.startswith("WEFT_"))
    if not names:
        return Section("Environment", [Fact("WEFT_ variables", "none is set", {})])
    facts = [_fact(name, environ[name]) for name in names]
    if not any(fact.mark == "wrong" for fact in facts):
        try:
            RuntimeConfig.from_env(environ)
        except InvalidSetting as error:  # two that contradict each other
            facts.append(Fact("together", str(error), str(error), "wrong"))
    return Section("Environment", facts)


def _fact(name: str, text: str) -> Fact:
    value: dict[str, object] = {"value": text}
    if name in DEVELOPMENT:
        return Fact(name, f"{text!r}: for weft's own build and tests", {**value, "meaning": "development"})
    if name not in MEANINGS:
        near = difflib.get_close_matches(name, MEANINGS, n=1)
        hint = f"did you mean {near[0]}?" if near else "take it out: it does nothing"
        value |= {"known": False, "did_you_mean": near[0] if near else None}
        return Fact(name, f"{text!r}: no variable of weft's; {hint}", value, "wrong")
    meaning = MEANINGS[name]
    value["meaning"] = meaning
    if not text.strip():
        return Fact(name, f"empty, which counts as not set ({meaning})", value)
    wrong = _what_is_wrong(name, text)
    if wrong is not None:
        return Fact(name, wrong, {**value, "error": wrong}, "wrong")
    return Fact(name, f"{text}: {meaning}", value)


def _what_is_wrong(name: str, text: str) -> str | None:
    if name in variables():
        try:
            RuntimeConfig.from_env({name: text})
        except InvalidSetting as error:
            return str(error)
        return None
    check = _OTHERS.get(name)
    return None if check is None or check[0](text) else f"{text!r} is not valid: give {check[1]}"


def _is_seconds(text: str) -> bool:
    try:
        return float(text) >= 0 and not math.isnan(float(text))
    except ValueError:
        return False


# Those that are no field of the configuration, as the modules that read them have it.
_OTHERS: dict[str, tuple[Callable[[str], bool], str]] = {
    "WEFT_SPARE_INTERPRETERS": (str.isdecimal, "a whole number from 0"),
    "WEFT_EXIT_GRACE": (_is_seconds, "seconds, at least 0, or 'inf'"),
    "WEFT_ASYNC_MODE": (lambda text: text in ("async", "deferred"), "'async' or 'deferred'"),
    "WEFT_COMPAT_MODE": (lambda text: text.strip().lower() in ("managed", "passthrough"), "'managed' or 'passthrough'"),
}
