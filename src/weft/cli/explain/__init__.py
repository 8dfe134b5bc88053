"""`weft explain MODULE:FUNCTION`: where a function could run, why not elsewhere, and what `auto` would do with it.

The function's module is imported in a child process only, which has a time limit, and is another one for each
question: looking (`examine`), `--call` (`call`) and `--measure` (`costs`). Here are the words for what comes back.
Pinned by tests/cli/test_explain.py.
"""

import sys
from typing import Any

from weft.cli._child import Answer, ask
from weft.cli._sheet import Fact, Section, as_json, print_sheet
from weft.cli.explain.words import called, places, what_auto_does, worker_costs

__all__ = ["run_explain"]

OK = 0
FAILED = 1
USAGE = 2

FLAVORS = ("threads", "interpreters", "processes")


def run_explain(
    text: str, *, call: str | None = None, measure: bool = False, seconds: float = 30.0, json: bool = False
) -> int:
    """Examines a function and prints what it finds.

    Args:
        text: ``module:function`` or ``file.py:function``.
        call: A Python expression for the arguments; None: it is not called.
        measure: Whether to measure what each kind of worker costs.
        seconds: How long each question may take.
        json: Print JSON.

    Returns:
        The exit status: 0; 1 if the module cannot be imported, or hangs; 2 if there is no such function.
    """
    found = ask("weft.cli.explain.examine:answer", text, seconds)
    about = _by_part(found)
    if "function" not in about:
        return _refuse(about.get("problem"), found, f"importing {text.rpartition(':')[0] or text}")
    if found.ended is not None:
        about["ended"] = found.ended
    trial: dict[str, Any] = {}
    if call is not None:
        answered = ask("weft.cli.explain.call:answer", [text, call], seconds)
        trial = _by_part(answered)
        if "call" not in trial:
            return _refuse(trial.get("problem"), answered, "preparing the call")
        trial["crossing"] = {line["flavor"]: line for line in answered.lines if line["part"] == "crossing"}
        trial["ended"] = answered.ended
    measured = ask("weft.cli.explain.costs:answer", list(FLAVORS), seconds) if measure else None

    sections = [places(about), what_auto_does(about, trial)]
    if trial:
        sections.append(called(trial))
    if measured is not None:
        sections.append(worker_costs(measured))
    if json:
        named = {"name": text, **about["function"]}
        print(as_json(sections, function=named, sent=about["sent"], static=about.get("static")))
    else:
        print_sheet(_head(text, about["function"]), [_about(about), *sections])
    return FAILED if trial and "wall" not in trial["call"] else OK


def _by_part(answer: Answer) -> dict[str, Any]:
    """The pieces of an answer by name; of those that came twice, the last."""
    return {line["part"]: {key: value for key, value in line.items() if key != "part"} for line in answer.lines}


def _refuse(problem: dict[str, Any] | None, found: Answer, doing: str) -> int:
    if problem is None:
        print(f"weft explain: {doing}: {found.ended or 'no answer'}", file=sys.stderr)
        return FAILED
    print(f"weft explain: {problem['message']}", file=sys.stderr)
    return FAILED if problem["found"] else USAGE


def _head(text: str, function: dict[str, Any]) -> str:
    where = f", {function['file']}:{function['line']}" if function["file"] else ""
    return f"{text}: {function['kind']}{where}"


def _about(about: dict[str, Any]) -> Section:
    """What it is, and how it is sent."""
    function, sent = about["function"], about["sent"]
    facts = [Fact("sent", _how(sent))]
    if function["gives"]:
        facts.append(Fact("gives", f"a call gives a {function['gives']}: the work begins when that is run, elsewhere"))
    if function["waits"]:
        used = ", ".join(function["waits"])
        facts.append(Fact("waits", f"it seems to wait for something: {used}; waiting threads let go of the GIL"))
    if function["script"]:
        guarded = function["script_guarded"]
        said = "its functions can go to workers: it has a guard, `if __name__ == '__main__':`"
        if not guarded:
            said = (
                "without a guard, `if __name__ == '__main__':`, each worker would run it as a whole: auto then leaves "
                "its functions on threads. Imported, as here, it needs none"
            )
        facts.append(Fact("run as a script", said, {"guarded": guarded}, "" if guarded else "bad"))
    return Section("The function", facts)


def _how(sent: dict[str, Any]) -> str:
    if sent["how"] == "name":
        return f"by its name, {sent['name']}, which the worker imports"
    if sent["how"] == "value":
        return f"by value, with cloudpickle: {sent['size']:,} bytes, once for each worker"
    if sent["how"] == "call":
        return f"with each call, as it has a state of its own: {sent['size']:,} bytes"
    return "not at all: it can run here only"
