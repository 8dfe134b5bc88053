"""`weft.cli._sheet`: facts as text and as JSON."""

import io
import json

import pytest

from weft.cli._sheet import Fact, Section, as_json, print_sheet

SECTIONS = [
    Section("Workers", [Fact("threads", "yes", True), Fact("/dev/shm", "word " * 30, None), Fact("no value", "said")]),
    Section("Nothing"),
    Section("One call, here", [Fact("WEFT_X", "WEFT_X='1' is wrong", mark="wrong"), Fact("a", "b", mark="wrong")]),
]


def test_text_is_aligned_and_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    print_sheet("a head", SECTIONS, ["a tail"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["a head", "", "Workers", "  threads   yes"]
    assert lines[4].startswith("  /dev/shm  word word")
    assert lines[5].startswith("            word")
    assert max(map(len, lines)) <= 100
    assert "Nothing" not in lines
    assert lines[-1] == "a tail"


def test_json() -> None:
    found = json.loads(as_json(SECTIONS, more=[1]))
    assert found["more"] == [1]
    assert found["workers"] == {"threads": True, "dev_shm": None, "no_value": "said"}
    assert found["one_call_here"]["weft_x"] == "WEFT_X='1' is wrong"


def test_what_is_to_be_mended() -> None:
    assert [section.problems for section in SECTIONS] == [[], [], ["WEFT_X='1' is wrong", "a: b"]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_the_same_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "dumb")  # so that there are no colours in it
    monkeypatch.setenv("COLUMNS", "100")
    print_sheet("a head", SECTIONS)
    plain = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout", terminal)
    print_sheet("a head", SECTIONS)
    monkeypatch.undo()
    assert terminal.getvalue() == plain
