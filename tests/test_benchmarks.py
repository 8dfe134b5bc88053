"""The benchmarks run: small ones, to see that they do. What they find is no test's business."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import callgrind
from benchmarks.case import Unit
from benchmarks.cases import CASES
from benchmarks.figures import figure
from benchmarks.judge import Added, Flat, Limit, Ratio
from tests.executors.child import FULL

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "utf8", "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=50)


def test_the_runner_measures_prints_and_writes(tmp_path: Path) -> None:
    only = [option for name in ("submit", "map-trivial", "workers") for option in ("--only", name)]
    done = run("--quick", "--scale", "0.01", "--rounds", "2", "--patience", "0", "--results", str(tmp_path), *only)
    assert done.returncode == 0, done.stderr
    assert CASES["submit"].work in done.stdout
    assert CASES["workers"].work in done.stdout
    (file,) = tmp_path.glob("*.json")
    found = json.loads(file.read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["submit", "map-trivial", "workers"]
    assert rows["submit"]["size"] == 200
    assert all(len(values) == 2 and min(values) > 0 for row in rows.values() for values in row["samples"].values())
    assert found["facts"]["rounds"] == 2


def test_a_side_in_an_interpreter_of_its_own(tmp_path: Path) -> None:
    if "memory" not in CASES:
        pytest.skip("memory is measured on Linux only")
    done = run("--only", "memory", "--scale", "0.02", "--rounds", "1", "--patience", "0", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_an_unknown_case_is_named(tmp_path: Path) -> None:
    done = run("--only", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr


counts = pytest.mark.skipif(
    not FULL or shutil.which("valgrind") is None or sys.version_info < (3, 14),
    reason="valgrind takes minutes: one of `make chaos`, on one interpreter, since it runs one thread at a time",
)


@pytest.mark.deadline(300)
@counts
def test_callgrind_counts_more_than_nothing() -> None:
    assert callgrind.instructions_per_task(CASES["submit"], "weft", 200) > 0


@pytest.mark.invariant(8)
@pytest.mark.deadline(600)
@counts
def test_being_traced_costs_little() -> None:
    """In instructions, which are the same on a busy machine; those of the thread that writes the file are among them."""
    on, off = (callgrind.instructions_per_task(CASES["tracing"], side, 1000) for side in CASES["tracing"].sides)
    assert on - off < 2_500


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_sides_to_compare(name: str) -> None:
    case = CASES[name]
    least = 1 if name.startswith("actors-") else 2  # of actors, some have a limit and nobody beside them
    assert len(case.sides) >= least
    assert 0 < case.quick <= case.size


def test_a_ratio_is_how_many_times_better() -> None:
    samples = {"weft": [10.0, 30.0, 20.0], "stdlib": [1.0, 2.0, 1.0]}
    verdict = Ratio(15)(samples, more_is_better=True)
    assert (verdict.figure, verdict.low, verdict.high, verdict.met) == (15.0, 10.0, 20.0, True)
    assert Ratio(0.1)(samples, more_is_better=False).met is False


def test_a_limit_looks_at_our_figure_alone() -> None:
    samples = {"weft": [3.0, 1.0, 2.0], "stdlib": [9.0, 9.0, 9.0]}
    assert Limit(2.0, "2 s")(samples, more_is_better=False).met is True
    assert Limit(1.9, "1.9 s")(samples, more_is_better=False).met is False


def test_what_comes_on_top_is_a_difference() -> None:
    samples = {"with": [3.0, 5.0, 4.0], "without": [2.0, 2.5, 3.0]}
    assert Added(1.0, "1 s")(samples, more_is_better=False).met is True
    assert Added(0.9, "0.9 s")(samples, more_is_better=False).met is False


def test_a_series_that_only_improves_is_flat() -> None:
    points = {"1": [4.0], "2": [2.0], "4": [3.0], "8": [1.0]}
    assert Flat(1.5)(points, more_is_better=False).figure == 1.5
    assert Flat(1.1)(points, more_is_better=True).figure == 4.0


def test_figures_have_units_that_fit() -> None:
    assert figure(1_923_456, Unit.TASKS) == "1.92 M/s"
    assert figure(14.23e-6, Unit.TIME) == "14.2 µs"
    assert figure(249.4, Unit.SIZE) == "249 B"
    assert figure(69 * 2**20, Unit.SIZE) == "69.0 MiB"
