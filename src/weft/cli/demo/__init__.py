"""`weft demo`: one real job, done in a plain loop and on each flavor of worker, and what that brought.

The job: measure every Python file of a tree (`source_metrics`). Each contender does all of it in a fresh
process (`measure`, `trial`), their results are compared, and the findings go to the terminal and to one
self-contained page (`report`).

Ctrl-C ends it at once: `measure.TrialProcess` takes its process group along, and no page is written.
"""

import sys
import tempfile
from pathlib import Path

from weft import capabilities
from weft.cli._progress import Progress, make_progress
from weft.cli.demo.contenders import Contender, available_contenders
from weft.cli.demo.findings import Findings, Outcome, explain, warning
from weft.cli.demo.machine import this_machine
from weft.cli.demo.measure import measure
from weft.cli.demo.report import write_report
from weft.cli.demo.source_tree import SourceTree, find_tree, read_all
from weft.cli.demo.table import count, format_table, megabytes, seconds, times
from weft.cli.demo.trace import TraceParts, trace_parts
from weft.cli.demo.trial import Failure, Job, Trial

SHOWN_PROBLEMS = 10

OK = 0
FAILED = 1  # a contender failed, or results differ
USAGE = 2


def run_demo(
    path: Path | None,
    *,
    output: Path,
    workers: int | None,
    flavors: frozenset[str],
    show_progress: bool,
    trace: Path | None = None,
) -> int:
    """Runs the demo and prints what it found.

    Args:
        path: The tree, or a file; None for the standard library.
        output: Where the page goes; its folder is made.
        workers: How many, on each flavor; None for as many as there are CPUs to use.
        flavors: The flavors to run beside the plain loop.
        show_progress: Whether to show progress on standard error.
        trace: Where a trace of what ran on weft's own workers goes; None for no trace.

    Returns:
        The exit status: 0; 1 if a contender failed or results differ; 2 if `path`, `output` or `trace` can't be used.
    """
    # A file name need not be text, and a terminal need not know all of it.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        tree = find_tree(path)
    except FileNotFoundError:
        return _refuse(f"{path}: no such file or folder")
    if not tree.paths:
        print(f"{path}: no Python files there, so there is nothing to measure")
        return OK
    if problem := _prepare_output(output, "--output"):
        return _refuse(problem)
    if trace is not None and (problem := _prepare_output(trace, "--trace")):
        return _refuse(problem)

    machine = this_machine()
    workers = workers or capabilities().cpu_count
    size = read_all(tree)
    print(
        f"weft demo: {count(len(tree.paths), 'file')} ({megabytes(size)}) of {tree.title}, "
        f"{count(workers, 'worker')} on Python {machine.python} ({machine.build})",
        flush=True,
    )
    with trace_parts(trace) as parts:
        with make_progress(show=show_progress) as progress:
            outcomes = [
                Outcome(contender, _run_contender(contender, tree, workers, progress, parts))
                for contender in available_contenders(flavors)
            ]
        traced = parts.write() if parts is not None else 0
    findings = Findings(tree, size, workers, machine, tuple(outcomes))
    if findings.trials:
        write_report(findings, output)  # before anything is printed: `weft demo | head` ends at the first line
    _print_findings(findings)
    if findings.trials:
        print(f"\nThe page with charts: {output}")
    if trace is not None:
        print(f"The trace, of {count(traced, 'task')} on weft's own workers: {trace}")
    return FAILED if findings.failures or findings.differences() else OK


def _run_contender(
    contender: Contender, tree: SourceTree, workers: int, progress: Progress, parts: TraceParts | None
) -> Trial | Failure:
    progress.begin(contender.name, len(tree.paths))
    part = parts.part_for(contender.name) if parts is not None and contender.by == "weft" else None
    trial = measure(Job(contender.name, workers, tree.paths, part), progress.update)
    if isinstance(trial, Trial):
        progress.update(len(trial.results))
        progress.finish(seconds(trial.wall))
    else:
        progress.finish(f"failed: {trial.reason}")
    return trial


def _print_findings(findings: Findings) -> None:
    print(f"\n{results_table(findings)}\n")
    for contender, failure in findings.failures:
        print(f"{contender.name} failed: {failure.reason}")
    if differences := findings.differences():
        for name, differing in differences:
            print(f"{name} computed something else than serial: first at {differing}")
    elif len(findings.trials) > 1:
        print(f"All results are equal: {count(len(findings.results), 'file')}, {len(findings.trials)} times.")
    for point in filter(None, [warning(findings), *explain(findings)]):
        print(f"\n{point}")
    for contender, decision in findings.decisions():
        print(f"\n{contender.name} took {decision.resolved}: {decision.reason} ({decision.code}).")
        print("  evidence: " + ", ".join(f"{name}={value}" for name, value in decision.evidence.items()))
    if functions := findings.most_complex():
        print(f"\nThe most complex functions of {findings.tree.title} (McCabe):\n")
        for file, function in functions:
            where = f"{findings.tree.relative(file.path)}:{function.line}"
            print(f"  {function.complexity:>4}  {function.name}  {where}")
    _print_problems(findings)


def _print_problems(findings: Findings) -> None:
    problems = findings.problems()
    if not problems:
        return
    print(f"\n{count(len(problems), 'file')} could not be measured:\n")
    for file in problems[:SHOWN_PROBLEMS]:
        if file.problem is not None:
            line = "" if file.problem.line is None else f":{file.problem.line}"
            print(f"  {findings.tree.relative(file.path)}{line}: {file.problem.reason}")
    if len(problems) > SHOWN_PROBLEMS:
        print(f"  ... and {len(problems) - SHOWN_PROBLEMS:,} more, which the page lists")


def results_table(findings: Findings) -> str:
    """The table of contenders, as text."""
    rows: list[list[str]] = []
    for contender, trial in findings.trials:
        speedup = findings.speedup(trial)
        rows.append(
            [
                contender.name,
                seconds(trial.wall),
                seconds(trial.cpu),
                "-" if speedup is None else times(speedup),
                f"{len(trial.results) / trial.wall:,.0f}",
                megabytes(trial.peak_memory),
                contender.summary,
            ]
        )
    header = ["", "wall", "CPU", "speed-up", "tasks/s", "peak memory", ""]
    return format_table(header, rows, ["left", "right", "right", "right", "right", "right", "left"])


def _prepare_output(output: Path, option: str) -> str | None:
    """Makes a file's folder; says what is wrong with it before a minute's work, not after."""
    if output.is_dir():
        return f"{output}: is a folder; {option} wants a file"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        return f"{output}: cannot be written: {error.strerror}"
    return None


def _refuse(message: str) -> int:
    print(f"weft demo: {message}", file=sys.stderr)
    return USAGE
