"""What a trace says, in words: how many tasks ran at a time, what took the time, who was busy."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median

from weft.cli._sheet import Fact, Section
from weft.cli.demo.table import count, duration
from weft.cli.trace.reading import Task

__all__ = ["report_on"]

MOST_NAMES = 15
TOO_SHORT = 20e-6  # seconds: the pool's own work is a good part of such a task


def report_on(tasks: Sequence[Task]) -> tuple[str, list[Section], list[str]]:
    """The heading, the sections, and what could be done about it."""
    ran = [task for task in tasks if task.start is not None]
    if not ran:
        return f"{count(len(tasks), 'task')}, none of which has run", [_states(tasks)], []
    first = min(_start(task) for task in ran)
    span = max(_start(task) + task.duration for task in ran) - first
    busy = sum(task.duration for task in ran)
    at_a_time = f"{busy / span:.2f} at a time" if span > 0 else "at once"
    head = f"{count(len(tasks), 'task')} in {duration(span)}: {at_a_time} on average"
    return head, [_states(tasks), _names(ran), _workers(ran, span)], _hints(ran, span)


def _start(task: Task) -> float:
    return 0.0 if task.start is None else task.start


def _states(tasks: Iterable[Task]) -> Section:
    states = Counter(task.state for task in tasks)
    marks = {"done": "good", "retried": "", "cancelled": ""}
    return Section(
        "What became of them",
        [Fact(state, f"{number:,}", number, marks.get(state, "bad")) for state, number in states.most_common()],
    )


def _names(ran: Iterable[Task]) -> Section:
    by_name: defaultdict[str, list[Task]] = defaultdict(list)
    for task in ran:
        by_name[task.name].append(task)
    most_time = sorted(by_name.items(), key=lambda item: -sum(task.duration for task in item[1]))
    facts = [_name(name, tasks) for name, tasks in most_time[:MOST_NAMES]]
    if len(most_time) > MOST_NAMES:
        others = [task for _, tasks in most_time[MOST_NAMES:] for task in tasks]
        facts.append(_name(f"{count(len(most_time) - MOST_NAMES, 'other name')}", others))
    return Section("Where the time went", facts)


def _name(name: str, tasks: Sequence[Task]) -> Fact:
    times = [task.duration for task in tasks]
    waited = fmean(task.queued for task in tasks)
    text = f"{duration(sum(times))} in {count(len(tasks), 'run')}"
    if len(tasks) > 1:
        text += f": {duration(median(times))} in the middle, {duration(max(times))} at most"
    text += f"; waited {duration(waited)}" + (" on average" if len(tasks) > 1 else "")
    value = {"tasks": len(tasks), "seconds": sum(times), "median": median(times), "most": max(times), "waited": waited}
    return Fact(name, text, value)


def _workers(ran: Iterable[Task], span: float) -> Section:
    by_worker: defaultdict[str, list[Task]] = defaultdict(list)
    for task in ran:
        by_worker[f"{task.worker} ({task.flavor})"].append(task)
    facts: list[Fact] = []
    for worker, tasks in sorted(by_worker.items()):
        share = sum(task.duration for task in tasks) / span if span > 0 else 1.0
        value = {"tasks": len(tasks), "busy": share}
        facts.append(Fact(worker, f"{count(len(tasks), 'task')}, busy for {share:.0%} of the time", value))
    return Section("Workers", facts)


def _hints(ran: Sequence[Task], span: float) -> list[str]:
    hints: list[str] = []
    middle = median(task.duration for task in ran)
    if len(ran) >= 1_000 and middle < TOO_SHORT:
        hints.append(
            f"Tasks take {duration(middle)} each, so that handing them out is much of the work: let `map` choose its "
            "chunksize, or give each task more to do."
        )
    workers = len({(task.worker, task.flavor) for task in ran})
    waited = fmean(task.queued for task in ran)
    if sum(task.duration for task in ran) > 0.9 * workers * span and waited > middle and workers > 1:
        hints.append(
            f"All {workers} workers were busy, and tasks waited {duration(waited)} on average: more workers may help, "
            "if there are more CPUs."
        )
    return hints
