"""`weft bench`: each kind of worker is measured, and what is found is printed."""

import json

import pytest

from tests.cli.support import run_weft
from weft import capabilities
from weft.cli.bench import measure, run_bench
from weft.cli.demo.contenders import available_contenders, contender_named

ALL = frozenset({"threads", "interpreters", "processes"})
KINDS = [one.name for one in available_contenders(ALL) if one.make_executor is not None and one.flavor != "auto"]


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.cli.bench.LEAST_SECONDS", 0.02)
    costs = measure(contender_named(name), 2)
    assert costs.name == name
    assert costs.by == ("stdlib" if name.startswith("stdlib") else "weft")
    assert costs.task > 0
    assert min(costs.first, costs.call) > 0
    assert costs.megabyte > 0
    pays = "threads" not in name or not capabilities().gil_enabled
    assert costs.pays_from == (2 * costs.task if pays else None)


def test_one_worker_never_pays_for_tasks_that_compute(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_bench(flavors=frozenset({"threads"}), workers=1, show_progress=False, as_json=False) == 0
    head, _, names, _, ours, stdlib = capsys.readouterr().out.splitlines()
    assert head.startswith("weft bench: 1 worker on Python ")
    assert names.split("  ")[-1].strip() == "computing pays from"
    assert ours.startswith("threads ")
    assert stdlib.startswith("stdlib threads ")
    assert ours.endswith("never: one worker")


def test_the_command() -> None:
    done = run_weft("bench", "--flavor", "threads", "--workers", "2", "--json", "--no-progress")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["workers"] == 2
    assert [one["name"] for one in found["costs"]] == ["threads", "stdlib threads"]
