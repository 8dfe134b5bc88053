"""`weft run`: a pipeline from the shell."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cli.support import WEFT, run_weft, wait_until
from weft import capabilities
from weft.cli import main

JOBS = "tests.cli.jobs"
FLAVORS = [
    "serial",
    "threads",
    *(["interpreters"] if capabilities().interpreters else []),
    *(["processes"] if sys.platform != "win32" else []),
]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command in this process: its status, the objects that it writes, and what it says."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments: str) -> tuple[int, list[Any], str]:
        try:
            status = main(["run", *arguments])
        except SystemExit as end:  # argparse's
            status = cast("int", end.code)
        out, err = capsys.readouterr()
        return status, [json.loads(line) for line in out.splitlines()], err

    return run


def write_lines(path: Path, items: Iterable[Any]) -> str:
    path.write_text("".join(f"{json.dumps(item)}\n" for item in items))
    return str(path)


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


TEXTS = [{"text": text} for text in ("to be", "or", "not to be")]
LINES = [{**item, "count": len(item["text"].split())} for item in TEXTS]


# ---- what it gives -----------------------------------------------------------------------------------


def test_one_input(run: Any) -> None:
    assert run(f"{JOBS}:counting", "--input", "text=to be or not", "--input", "least=3") == (
        0,
        [{"words": ["to", "be", "or", "not"], "count": 1}],
        "",
    )


def test_some_outputs_only(run: Any) -> None:
    assert run(f"{JOBS}:counting", "--input", "text=a b", "--output-name", "count")[1] == [{"count": 2}]
    both = run(f"{JOBS}:counting", "--input", "text=a b", "--output-name", "count,words")[1]
    assert both == [{"count": 2, "words": ["a", "b"]}]


@pytest.mark.parametrize("text", ["3", '"3"', "three", "a=b", ""])
def test_a_value_is_json_or_else_text(run: Any, text: str) -> None:
    value = {"3": 3, '"3"': "3"}.get(text, text)
    status, found, _ = run(f"{JOBS}:counting", "--input", f"text={text}", "--output-name", "words")
    if isinstance(value, str):
        assert found == [{"words": value.split()}]
    else:
        assert status == 1  # a number has no words


@pytest.mark.parametrize("flavor", FLAVORS)
def test_items_of_a_file_on_each_flavor(run: Any, tmp_path: Path, flavor: str) -> None:
    items = write_lines(tmp_path / "in.jsonl", TEXTS)
    status, found, said = run(
        f"{JOBS}:counting", "--inputs", items, "--output-name", "count", "--flavor", flavor, "--workers", "2"
    )
    assert (status, found) == (0, LINES)
    assert said.startswith(f"weft run {JOBS}:counting: 3 items, in ")


def test_items_of_standard_input(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('"to be"\n\n"or"\n'))
    found = run(f"{JOBS}:counting", "--inputs", "-", "--map-over", "text", "--output-name", "count")[1]
    assert found == LINES[:2]


def test_lists(run: Any) -> None:
    texts, leasts = 'text=["a bc", "abc"]', "least=[1, 2, 3]"
    arguments = (f"{JOBS}:counting", "--input", texts, "--input", leasts, "--map-over", "text,least")
    found = run(*arguments, "--map-mode", "product", "--output-name", "count")[1]
    assert [line["count"] for line in found] == [2, 1, 0, 1, 1, 1]
    assert found[0] == {"text": "a bc", "least": 1, "count": 2}
    status, _, said = run(*arguments)
    assert status == 2
    assert "text has 2, least has 3" in said


def test_a_file_in_place_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "from weft.pipelines import Pipeline, node\n@node(output_name='twice')\ndef double(n: int) -> int:\n"
        "    return 2 * n\npipeline = Pipeline([double])\n"
    )
    for name in ("jobs:pipeline", "jobs.py:pipeline"):
        done = run_weft("run", name, "--input", "n=[1, 2]", "--map-over", "n", "--flavor", FLAVORS[-1], cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, '{"n": 1, "twice": 2}\n{"n": 2, "twice": 4}\n'), done.stderr


def test_results_are_kept(run: Any, tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    arguments = (f"{JOBS}:slowly", "--input", "number=[1, 2, 3]", "--input", f"folder={tmp_path / 'done'}")
    for _ in range(2):
        assert run(*arguments, "--map-over", "number", "--cache", str(tmp_path / "cache"))[0] == 0
    assert len(list((tmp_path / "done").iterdir())) == 3


# ---- what fails --------------------------------------------------------------------------------------


def test_a_node_that_raises(run: Any, tmp_path: Path) -> None:
    items = write_lines(tmp_path / "in.jsonl", [TEXTS[0], {"text": "bad"}, TEXTS[1]])
    output = tmp_path / "out.jsonl"
    arguments = (f"{JOBS}:counting", "--inputs", items, "--output-name", "count", "--output", str(output))
    status, _, said = run(*arguments)
    assert status == 1
    assert "a bad text" in said
    assert "item 1" in said.splitlines()[-1]
    assert not output.exists()
    part = tmp_path / "out.jsonl.part"
    assert read_lines(part) == LINES[:1]
    status, _, said = run(*arguments)
    assert status == 2
    assert "go on with --resume, or remove it" in said
    status, _, said = run(*arguments, "--resume", "--keep-going")
    assert status == 1
    assert "3 items, 1 of an earlier run, 1 failed" in said
    first, bad, last = read_lines(output)
    assert (first, last) == (LINES[0], LINES[1])
    assert bad == {
        "text": "bad",
        "@error": {"node": "split", "type": "ValueError", "message": "a bad text", "attempts": 1},
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((f"{JOBS}:count",), "is a Node, not a Pipeline"),
        ((f"{JOBS}:countin",), "did you mean 'counting'?"),
        (("tests.cli.job:counting",), "did you mean tests.cli.jobs?"),
        ((JOBS,), "is not MODULE:PIPELINE"),
        ((f"{JOBS}:counting", "--input", "text"), "--input text: give it as NAME=VALUE"),
        ((f"{JOBS}:counting", "--input", "text=a", "--input", "text=b"), "--input text is given twice"),
        ((f"{JOBS}:counting",), "input 'text', which node 'split' takes, is missing"),
        ((f"{JOBS}:counting", "--input", "txt=a"), "did you mean 'text'?"),
        ((f"{JOBS}:counting", "--map-over", "texts"), "--map-over texts: there is no such input"),
        ((f"{JOBS}:counting", "--map-over", "text"), "--map-over text has no items"),
        ((f"{JOBS}:counting", "--input", "text=a", "--map-over", "text"), "give it a JSON list"),
        ((f"{JOBS}:counting", "--map-over", "text,"), "names with commas between them"),
        ((f"{JOBS}:counting", "--inputs", "nowhere.jsonl"), "--inputs nowhere.jsonl: No such file"),
        ((f"{JOBS}:counting", "--input", "text=a", "--output-name", "counts"), "'counts'"),
        ((f"{JOBS}:counting", "--input", "text=a", "--resume"), "--resume and --keep-going are for items"),
        ((f"{JOBS}:counting", "--input", 'text=["a"]', "--map-over", "text", "--resume"), "name it with --output"),
        ((f"{JOBS}:counting", "--flavor", "fast"), "invalid choice: 'fast'"),
        ((f"{JOBS}:counting", "--retries", "-1"), "a whole number of 0 or more"),
        ((f"{JOBS}:counting", "--input", "text=a", "--cache", "/proc/nowhere"), "/proc/nowhere"),
        ((f"{JOBS}:counting", "--input", "text=a", "--output", "/proc/nowhere/out"), "--output /proc/nowhere/out"),
        ((f"{JOBS}:unwritable", "--input", "number=1"), "output 'thing' cannot be written as JSON: it is a object"),
    ],
)
def test_what_cannot_be_run(run: Any, arguments: tuple[str, ...], said: str) -> None:
    status, found, words = run(*arguments)
    assert (status, found) == (2, [])
    assert said in words
    assert words.startswith("weft run: ")
    assert "Traceback" not in words


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('{"text": "a"}\n{"text": \n', "line 2, is no JSON"),
        ('{"text": "a"}\n{"least": 1}\n', "line 2, has least, and not text"),
        ('{"text": "a"}\n"b"\n', None),
        ('"a"\n', "line 1: give an object with inputs, or name the one that it is with --map-over"),
        ("", "has no items"),
        ('{"txt": "a"}\n', "did you mean 'text'?"),
    ],
)
def test_a_file_with_a_mistake_is_refused_before_anything_runs(
    run: Any, tmp_path: Path, lines: str, said: str | None
) -> None:
    (tmp_path / "in.jsonl").write_text(lines)
    status, found, words = run(f"{JOBS}:counting", "--inputs", str(tmp_path / "in.jsonl"), "--output-name", "count")
    if said is None:  # one input: a line that is no object is its value
        assert (status, len(found)) == (0, 2)
        return
    assert (status, found) == (2, [])
    assert said in words


def test_a_module_that_raises(run: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    status, _, said = run(f"{tmp_path / 'broken.py'}:pipeline")
    assert status == 1
    assert "ZeroDivisionError" in said
    assert said.splitlines()[-1] == f"weft run: {tmp_path / 'broken.py'} cannot be imported"


# ---- going on ----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="ends it by signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
def test_what_was_written_is_kept(run: Any, tmp_path: Path, how: signal.Signals) -> None:
    """Ended in the middle, twice: what was recorded is not done again."""
    done, output = tmp_path / "done", tmp_path / "out.jsonl"
    done.mkdir()
    items = write_lines(tmp_path / "in.jsonl", [{"number": number} for number in range(60)])
    arguments = (f"{JOBS}:slowly", "--inputs", items, "--input", f"folder={done}", "--output", str(output), "--resume")
    part = tmp_path / "out.jsonl.part"
    holds = [tmp_path / "hold-1", tmp_path / "hold-2"]  # it cannot come to its end before the signal
    for hold in holds:
        hold.touch()
    for least, hold in zip((5, 25), holds, strict=True):
        with subprocess.Popen([*WEFT, "run", *arguments], stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_until(
                    lambda least=least: part.exists() and len(part.read_text().split("\n")) > least, "it is going"
                )
                process.send_signal(how)
                assert process.communicate(timeout=20)[1] == ("" if how == signal.SIGKILL else "weft: interrupted\n")
            finally:
                process.kill()
        assert process.returncode == (-9 if how == signal.SIGKILL else 130)
        assert not output.exists()
        hold.unlink()
    assert run(*arguments)[0] == 0
    assert [line["number"] for line in read_lines(output)] == list(range(60))
    times: dict[str, int] = {}
    for path in done.iterdir():
        number = path.name.partition("-")[0]
        times[number] = times.get(number, 0) + 1
    assert len(times) == 60
    assert sum(count - 1 for count in times.values()) <= 2  # such as were done and not written yet
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "in.jsonl", "out.jsonl"]


def test_lines_of_another_run_are_not_kept(run: Any, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    first = write_lines(tmp_path / "in.jsonl", TEXTS)
    arguments = ("--output-name", "count", "--output", str(output))
    assert run(f"{JOBS}:counting", "--inputs", first, *arguments)[0] == 0
    assert read_lines(output) == LINES
    second = write_lines(tmp_path / "in.jsonl", [TEXTS[0], {"text": "else"}])
    status, _, said = run(f"{JOBS}:counting", "--inputs", second, *arguments, "--resume")
    assert status == 2
    assert "out.jsonl, line 2, is not of this run" in said
    assert read_lines(output) == LINES


def test_many_items(tmp_path: Path) -> None:
    items = write_lines(tmp_path / "in.jsonl", ({"text": str(number)} for number in range(10_000)))
    output = tmp_path / "out.jsonl"
    done = run_weft("run", f"{JOBS}:counting", "--inputs", items, "--output-name", "count", "--output", str(output))
    assert done.returncode == 0
    assert done.stderr.startswith(f"weft run {JOBS}:counting: 10,000 items, in ")
    assert read_lines(output) == [{"text": str(number), "count": 1} for number in range(10_000)]
