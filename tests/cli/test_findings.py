"""`weft.cli.demo.findings`: what the numbers are made to say."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.support import make_findings, make_trial, results_of, write_tree
from weft import Decision
from weft.cli.demo.findings import core_share, explain, headline, warning
from weft.cli.demo.source_metrics import FileMetrics, FunctionMetrics, LineCounts
from weft.cli.demo.trial import Failure


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree")


@pytest.fixture
def results(root: Path) -> list[FileMetrics]:
    return results_of(root)


def test_equal_results(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(
        root, make_trial("serial", results, wall=4), make_trial("threads", results_of(root), wall=2)
    )
    assert findings.differences() == []


@pytest.mark.parametrize(
    "change",
    [
        {"lines": LineCounts(1, 1, 0, 0)},
        {"functions": ()},
        {"functions": (FunctionMetrics("f", 1, 3), FunctionMetrics("g", 5, 2))},
        {"imports": ("os",)},
        {"path": "elsewhere.py"},
    ],
)
def test_any_difference_is_found(root: Path, results: list[FileMetrics], change: dict[str, object]) -> None:
    other = [replace(results[0], **change), *results[1:]]  # type: ignore[arg-type]
    findings = make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("auto", results, wall=2),
        make_trial("threads", other, wall=2),
    )
    assert findings.differences() == [("threads", results[0].path)]


def test_a_missing_or_misplaced_result_is_a_difference(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("threads", results[:-1], wall=2),
        make_trial("auto", results[::-1], wall=2),
    )
    assert findings.differences() == [("threads", "the number of results"), ("auto", results[0].path)]


def test_speedups_are_against_the_plain_loop(root: Path, results: list[FileMetrics]) -> None:
    serial, threads = make_trial("serial", results, wall=4), make_trial("threads", results, wall=2.5)
    findings = make_findings(root, serial, threads)
    assert findings.speedup(serial) == 1.0
    assert findings.speedup(threads) == pytest.approx(1.6)
    without = make_findings(root, ("serial", Failure("broken", "")), threads)
    assert without.speedup(threads) is None
    assert without.results == results


def test_totals_and_problems(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(root, make_trial("serial", results, wall=4))
    assert (findings.line_count, findings.function_count) == (11, 3)
    assert [Path(file.path).name for file in findings.problems()] == ["broken.py"]
    assert [(function.name, function.complexity) for _, function in findings.most_complex(2)] == [
        ("f", 3),
        ("C.m", 2),
    ]


def test_the_gil_is_named_where_threads_took_turns(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("threads", results, wall=4.1, workers=2, on_core=0.5),
        make_trial("stdlib processes", results, wall=2.2, workers=2, processes=True),
    )
    about_threads, about_processes = explain(findings)
    assert "Threads cannot speed this up on this Python (0.98x)" in about_threads
    assert "the GIL lets one thread run Python at a time" in about_threads
    assert "50%" in about_threads
    assert "processes 1.82x" in about_processes
    assert warning(findings) == ""
    assert headline(findings) == "2 workers, no faster than one"


def test_a_disturbed_baseline_does_not_make_the_gil_fast(root: Path, results: list[FileMetrics]) -> None:
    """As it was seen: the plain loop had half a core, the threads a whole one between them."""
    findings = make_findings(
        root,
        make_trial("serial", results, wall=18.7, on_core=0.54),
        make_trial("threads", results, wall=14.1, workers=2, on_core=0.48),
    )
    assert "the GIL lets one thread run Python at a time" in explain(findings)[0]
    assert "busy" in warning(findings)
    assert headline(findings) == "2 workers on a busy machine"


def test_threads_that_let_go_of_the_gil(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(
        root, make_trial("serial", results, wall=4), make_trial("threads", results, wall=2.5, workers=2, on_core=0.8)
    )
    assert "more than one core" in explain(findings)[0]


def test_free_threads(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("threads", results, wall=2.2, workers=2),
        gil_enabled=False,
    )
    (about_threads,) = explain(findings)
    assert about_threads.startswith("No GIL: 2 threads ran Python side by side and were 1.82x as fast")
    assert headline(findings) == "2 threads, 1.8 times as fast"


def test_free_threads_that_cost_more_cpu(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("threads", results, wall=2.5, workers=2),
        gil_enabled=False,
    )
    assert "Together they used 1.25x the CPU time of the plain loop" in explain(findings)[0]


def test_free_threads_that_did_not_help_are_not_praised(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("threads", results, wall=4, workers=2, on_core=0.5),
        gil_enabled=False,
    )
    (about_threads,) = explain(findings)
    assert "no GIL, yet threads did not speed the job up" in about_threads
    assert "threads had only 50%" in warning(findings)


def test_auto_that_took_processes_counts_as_processes(root: Path, results: list[FileMetrics]) -> None:
    decision = Decision(requested="auto", resolved="processes", reason="", code="cpu_bound")
    findings = make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("auto, cpu_bound", results, wall=2, workers=2, processes=True, decision=decision),
    )
    assert "processes 2.00x (auto, cpu_bound)" in explain(findings)[0]
    assert headline(findings) == "2 processes, 2.0 times as fast"


def test_a_busy_machine_is_named(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(root, make_trial("serial", results, wall=4, on_core=0.7))
    assert "serial had only 70%" in warning(findings)


def test_more_workers_than_cpus_do_not_make_a_machine_busy(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(
        root,
        make_trial("serial", results, wall=4),
        make_trial("stdlib processes", results, wall=2, workers=4, on_core=0.5, processes=True),
        workers=4,
    )
    assert warning(findings) == ""


def test_too_short_to_tell(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(root, make_trial("serial", results, wall=0.2), make_trial("threads", results, wall=0.1))
    (point,) = explain(findings)
    assert "too short" in point


def test_one_worker(root: Path, results: list[FileMetrics]) -> None:
    findings = make_findings(root, make_trial("serial", results, wall=4), workers=1)
    assert explain(findings) == ["There was one worker, so nothing could be faster than the plain loop."]


def test_core_share_of_nothing() -> None:
    assert core_share(make_trial("serial", [], wall=1)) == 1.0
