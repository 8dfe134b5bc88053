"""The words for what was found out about a function: where it could run, what `auto` does, what a call took.

Pure: what the child processes answered in, facts out. Pinned by tests/cli/test_explain.py.
"""

from typing import Any

from weft import capabilities
from weft.cli._child import Answer
from weft.cli._outlook import outlook
from weft.cli._sheet import Fact, Section
from weft.errors import InvalidSetting
from weft.executors._router import MOST_CROSSING, WORTH

__all__ = [
    "after_call",
    "called",
    "places",
    "what_auto_does",
    "why_not_interpreters",
    "why_not_processes",
    "worker_costs",
]

_WAITING = 0.5  # CPU over wall, below which a call mostly waits
_WORTH = WORTH / 1e9


# ---- where it could run ------------------------------------------------------------------------------


def places(about: dict[str, Any]) -> Section:
    """Yes or no for each flavor, and the reason."""
    found = capabilities()
    facts = [_threads(about)]
    if found.free_threaded_build:
        facts.append(_free_threads(about))
    how = {"name": "found there by its name", "value": "sent by value", "call": "sent along with each call"}
    module = (about["sent"]["name"] or "").partition(":")[0]
    imports = f"; {module} and what it imports can be imported there" if module else ""
    for name, why_not, fine in (
        ("interpreters", why_not_interpreters(about), how.get(about["sent"]["how"] or "", "") + imports),
        ("processes", why_not_processes(about), how.get(about["sent"]["how"] or "", "")),
    ):
        if why_not is None:
            facts.append(Fact(name, f"yes: {fine}", {"can_run": True, "reason": fine}, "good"))
        else:
            facts.append(Fact(name, f"no: {why_not}", {"can_run": False, "reason": why_not}, "bad"))
    return Section("Where it could run", facts)


def _threads(about: dict[str, Any]) -> Fact:
    turns = "Python code takes turns at the GIL" if about["function"]["gil_enabled"] else "they run side by side"
    reason = f"threads share everything with their caller; {turns}"
    return Fact("threads", f"yes: {reason}", {"can_run": True, "reason": reason}, "good")


def _free_threads(about: dict[str, Any]) -> Fact:
    if not about["function"]["gil_enabled"]:
        reason = "the GIL is off, and stays off when its module is imported"
        return Fact("free threads", f"yes: {reason}", {"can_run": True, "reason": reason}, "good")
    reason = "importing its module turns the GIL on again"
    if capabilities().gil_enabled:
        reason = "the GIL has been turned on"
    return Fact("free threads", f"no: {reason}", {"can_run": False, "reason": reason}, "bad")


def why_not_interpreters(about: dict[str, Any]) -> str | None:
    """Why it cannot run in an interpreter of its own; None if it can."""
    found = capabilities()
    if not found.interpreters:
        return f"they need {found.interpreters_needs}"
    reason = _why_not_sent(about)
    if reason is not None:
        return reason
    if "interpreters" not in about:
        return f"trying that did not end well: {about.get('ended', 'no answer')}"
    problem = about["interpreters"]["problem"]
    if problem is None:
        return None
    subject = problem["module"] or "the function"
    if problem["extension"] is None:
        return f"{subject} cannot be had there: {problem['error']}"
    chain = [*dict.fromkeys([*problem["chain"], problem["extension"]])]
    path = f" ({' > '.join(chain)})" if len(chain) > 1 else ""
    needs = f"{subject} needs the extension {problem['extension']}, which"
    if about["interpreters"]["late"]:
        needs = f"when it runs it imports {subject}, whose extension {problem['extension']}"
    return f"{needs} does not support interpreters with a GIL of their own{path}"


def why_not_processes(about: dict[str, Any]) -> str | None:
    """Why it cannot run in a process of its own; None if it can."""
    if capabilities().platform == "win32":
        return "they need a system with fork: Linux, macOS"
    reason = _why_not_sent(about)
    if reason is not None:
        return reason
    if "processes" not in about:
        return f"trying that did not end well: {about.get('ended', 'no answer')}"
    return about["processes"]["why_not"]


def _why_not_sent(about: dict[str, Any]) -> str | None:
    if about["sent"]["why_not"] is not None:
        return about["sent"]["why_not"]
    if about["function"]["gives"]:
        return f"a call gives a {about['function']['gives']}, which cannot be pickled"
    return None


# ---- what auto does ----------------------------------------------------------------------------------


def what_auto_does(about: dict[str, Any], trial: dict[str, Any]) -> Section:
    """Where `Run()` takes it, and what speaks against moving it."""
    facts = [_decision(about, trial)]
    static = about.get("static", {"objections": [], "watched": []})
    objections: list[str] = list(static["objections"])
    said = "; ".join(objections) if objections else "nothing that can be seen before a call"
    facts.append(Fact("against moving it", said, objections, "bad" if objections else ""))
    if static["watched"] and not objections:
        watched = ", ".join(static["watched"])
        facts.append(Fact("watched in a call", f"whether it changes {watched}", static["watched"]))
    return Section("What auto would do", facts)


def _decision(about: dict[str, Any], trial: dict[str, Any]) -> Fact:
    try:
        decision = outlook()
    except InvalidSetting as error:
        return Fact("Run()", f"raise InvalidSetting: {error}", {"error": str(error)}, "bad")
    value: dict[str, Any] = {"resolved": decision.resolved, "code": decision.code}
    if decision.code != "measuring":
        return Fact("Run()", f"{decision.resolved} [{decision.code}]: {decision.reason}", value)
    if trial:
        call, text = after_call(about, trial)
        return Fact("Run()", f"begins on threads; {text}", {**value, "then": call})
    place, why_not = _next_place(about)
    if place is None:
        return Fact("Run()", f"threads, and it stays there: {why_not}", {**value, "then": None})
    stays = " and stays there while it waits for something else" if about["function"]["waits"] else ""
    text = f"begins on threads{stays}; if its calls wait for the GIL there, the next ones move to {place}"
    return Fact("Run()", text, {**value, "then": place})


def _next_place(about: dict[str, Any]) -> tuple[str | None, str]:
    """Where the adaptive executor would send it; None and why it does not."""
    objections = about.get("static", {}).get("objections")
    if objections:
        return None, objections[0]
    if why_not_interpreters(about) is None:
        return "interpreters", ""
    why_not = why_not_processes(about)
    return ("processes", "") if why_not is None else (None, why_not)


def after_call(about: dict[str, Any], trial: dict[str, Any]) -> tuple[str | None, str]:
    """Where the measured call would send the next ones, None for nowhere; and that in words."""
    call = trial["call"]
    if "wall" not in call:
        return None, "the call has not come back, so nothing more is known"
    if call["raised"] is not None:
        return None, "the call raised, so nothing more is known"
    cpu, wall = call["cpu"], call["wall"] - call["delayed"]
    if cpu < _WORTH and (wall < _WORTH or cpu > _WAITING * wall):
        return None, f"stays there: a call takes {_time(cpu)} of CPU, and from {_time(_WORTH)} on it is worth a move"
    if cpu < _WAITING * wall:
        return (
            None,
            f"stays there: it waits for {1 - cpu / wall:.0%} of the time, and waiting threads let go of the GIL",
        )
    if call["why_not"] is not None:
        return None, f"stays there: {call['why_not']}"
    place, why_not = _next_place(about)
    if place is None:
        return None, f"stays there: {why_not}"
    for flavor, refused in (("interpreters", why_not_interpreters(about)), ("processes", why_not_processes(about))):
        if refused is not None:
            continue
        crossing = trial["crossing"].get(flavor)
        if crossing is None or crossing["why_not"] is not None:
            why_not = "crossing was not measured" if crossing is None else crossing["why_not"]
            continue
        cost = crossing["seconds"]
        if cost > MOST_CROSSING * cpu:
            return None, f"stays there: a call takes {_time(cpu)}, and crossing to {flavor} {_time(cost)} of it"
        return (
            flavor,
            f"if its calls wait for the GIL there, the next ones move to {flavor}: crossing costs {_time(cost)}",
        )
    return None, f"stays there: {why_not}"


# ---- measurements ------------------------------------------------------------------------------------


def called(trial: dict[str, Any]) -> Section:
    """What the call took."""
    call = trial["call"]
    title = "One call, on a thread"
    if "wall" not in call:
        return Section(title, [Fact("result", f"none: {trial['ended'] or 'no answer'}", call, "bad")])
    facts = [Fact("time", _times(call), {key: call[key] for key in ("wall", "cpu", "process_cpu", "delayed")})]
    if call["raised"] is not None:
        return Section(title, [*facts, Fact("raised", call["raised"], mark="bad")])
    ratio = min(1.0, call["cpu"] / max(call["wall"] - call["delayed"], 1e-9))
    meaning = (
        "it mostly waits" if ratio < _WAITING else "it computes; if it holds the GIL meanwhile, threads wait for it"
    )
    facts.append(Fact("CPU over wall", f"{ratio:.2f}: {meaning}", round(ratio, 3)))
    for name in ("arguments", "result"):
        size, why_not = call[f"{name}_bytes"], call[f"{name}_why_not"]
        text = f"{size:,} bytes" if why_not is None else f"cannot be pickled: {why_not}"
        facts.append(Fact(name, text, {"bytes": size, "why_not": why_not}, "" if why_not is None else "bad"))
    if call["why_not"] is not None:
        facts.append(Fact("against moving it", call["why_not"], mark="bad"))
    for flavor, crossing in trial["crossing"].items():
        text = f"{crossing['why_not']}"
        if crossing["why_not"] is None:
            text = f"{_time(crossing['seconds'])} of this interpreter's CPU, there and back"
        facts.append(Fact(f"to {flavor}", text, crossing["seconds"]))
    if trial["ended"] is not None:
        facts.append(Fact("then", trial["ended"], mark="bad"))
    return Section(title, facts)


def _times(call: dict[str, Any]) -> str:
    own = call["process_cpu"] > 1.5 * call["cpu"] and call["process_cpu"] - call["cpu"] > 1e-3
    others = f", and {_time(call['process_cpu'])} with threads of its own" if own else ""
    delayed = f" and {_time(call['delayed'])} waiting for one" if call["delayed"] > 0.1 * call["wall"] else ""
    return f"{_time(call['wall'])}, of which {_time(call['cpu'])} on a CPU{delayed}{others}"


def worker_costs(measured: Answer) -> Section:
    """What each kind of worker costs."""
    facts = [
        Fact(
            line["flavor"],
            f"the first worker starts in {_time(line['start'])}; an empty call there and back {_time(line['call'])}",
            {"start": line["start"], "call": line["call"]},
        )
        for line in measured.lines
    ]
    if measured.ended is not None:
        facts.append(Fact("not all", measured.ended, mark="bad"))
    return Section("What workers cost here", facts)


def _time(seconds: float) -> str:
    """With two or three digits and the unit that suits: 41 µs, 5.2 ms, 1.30 s."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.{0 if seconds >= 1e-5 else 1}f} µs"
    if seconds < 1.0:
        return f"{seconds * 1e3:.{0 if seconds >= 0.1 else 1}f} ms"
    return f"{seconds:.2f} s"
