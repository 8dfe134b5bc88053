"""What several tests of the demo share: trials made by hand or for real, and processes watched from outside."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from weft import Decision
from weft.cli.demo.contenders import contender_named
from weft.cli.demo.findings import Findings, Outcome
from weft.cli.demo.machine import Machine
from weft.cli.demo.source_metrics import FileMetrics, measure_file
from weft.cli.demo.source_tree import find_tree
from weft.cli.demo.timeline import Span
from weft.cli.demo.trial import Failure, Trial

WEFT = (sys.executable, "-m", "weft")


def run_weft(
    *arguments: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end; with these variables of weft's and no others, if any are given."""
    environment = None
    if variables is not None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WEFT_")} | {
            **variables
        }
    return subprocess.run(
        [*WEFT, *arguments], capture_output=True, encoding="utf-8", cwd=cwd, env=environment, timeout=50
    )


def write_tree(root: Path) -> Path:
    """A small tree: two files with functions, one that does not parse, one that is empty."""
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("def f(x):\n    return 1 if x and x else 2\n\n\ndef g(): pass\n")
    (root / "sub" / "b.py").write_text("import os\n\n# Why.\nclass C:\n    def m(self):\n        assert self\n")
    (root / "broken.py").write_text("x = 1\nif x\n")
    (root / "empty.py").write_text("")
    return root


def make_trial(
    name: str,
    results: list[FileMetrics],
    *,
    wall: float,
    workers: int = 1,
    on_core: float = 1.0,
    processes: bool = False,
    decision: Decision | None = None,
) -> Trial:
    """A trial whose tasks fill `wall` seconds on each worker, each of them on a core for a share of the time."""
    spans: list[Span] = []
    length = wall * workers / max(1, len(results))
    for index in range(len(results)):
        worker, place = index % workers, index // workers
        start = 100 + place * length
        process = 1000 + worker if processes else 1000
        spans.append(Span(f"w{worker}", process, worker, start, start + length, length * on_core))
    cpu = sum(span.cpu for span in spans)
    return Trial(name, 100.0, wall, cpu, 50_000_000, results, spans, decision)


def make_machine(*, gil_enabled: bool = True, cpus: float = 2.0) -> Machine:
    build = "GIL" if gil_enabled else "free-threaded"
    return Machine("3.14.0", build, gil_enabled, cpus, "Linux", "A processor", date(2026, 11, 21))


def make_findings(
    root: Path, *trials: Trial | tuple[str, Failure], gil_enabled: bool = True, workers: int = 2
) -> Findings:
    outcomes = [
        Outcome(contender_named(each.contender), each)
        if isinstance(each, Trial)
        else Outcome(contender_named(each[0]), each[1])
        for each in trials
    ]
    return Findings(find_tree(root), 1234, workers, make_machine(gil_enabled=gil_enabled), tuple(outcomes))


def results_of(root: Path) -> list[FileMetrics]:
    return [measure_file(path) for path in find_tree(root).paths]


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """For what reports no event: looks again and again."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.002)


def descendants(pid: int) -> set[int]:
    """The living processes under one, on Linux."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        found.update(children, *(descendants(child) for child in children))
    return found


@contextmanager
def watched(pids: set[int]) -> Iterator[Callable[[float], set[int]]]:
    """Gives a function that waits until all these processes have ended, and gives those that have not."""
    descriptors: dict[int, int] = {}
    for pid in pids:
        try:
            descriptors[os.pidfd_open(pid)] = pid
        except ProcessLookupError:
            continue

    def wait(seconds: float) -> set[int]:
        end = time.monotonic() + seconds
        waiting = dict(descriptors)
        while waiting:
            ended, _, _ = select.select(list(waiting), [], [], max(0.0, end - time.monotonic()))
            if not ended:
                break
            for descriptor in ended:
                del waiting[descriptor]
        return set(waiting.values())

    try:
        yield wait
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
