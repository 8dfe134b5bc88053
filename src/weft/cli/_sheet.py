"""What `weft doctor` and `weft explain` print: sections of named facts, as aligned text or as JSON.

Plain text, wrapped; with colours where rich is installed and standard output is a terminal.
Pinned by tests/cli/test_sheet.py.
"""

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Fact", "Section", "as_json", "print_sheet"]

SAME = object()  # the value is the text
_WIDEST_NAME = 24
_PLAIN_WIDTH = 100  # where there is no terminal that has a width
_WIDTHS = (60, 120)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: a name and what there is to say.

    Attributes:
        name: What it is about, for people, and by underscores for programs.
        text: What is said to people.
        value: What is said to programs; by default the text.
        mark: "good", "bad", or "wrong" for what the user should mend; empty: neither.
    """

    name: str
    text: str
    value: object = SAME
    mark: str = ""

    @property
    def key(self) -> str:
        return _key(self.name)

    @property
    def plain(self) -> object:
        return self.text if self.value is SAME else self.value


@dataclass(frozen=True, slots=True)
class Section:
    """Facts under a heading."""

    title: str
    facts: Sequence[Fact] = field(default_factory=tuple[Fact, ...])

    @property
    def key(self) -> str:
        return _key(self.title)

    @property
    def problems(self) -> list[str]:
        """What the user should mend."""
        wrong = [fact for fact in self.facts if fact.mark == "wrong"]
        return [fact.text if fact.text.startswith(fact.name) else f"{fact.name}: {fact.text}" for fact in wrong]


def _key(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def as_json(sections: Sequence[Section], **more: object) -> str:
    """The facts by section and name."""
    facts = {section.key: {fact.key: fact.plain for fact in section.facts} for section in sections}
    return json.dumps({**more, **facts}, indent=2, default=str)


def print_sheet(head: str, sections: Sequence[Section], tail: Sequence[str] = ()) -> None:
    """Prints a heading, the sections, and closing lines.

    Args:
        head: One line.
        sections: Those without facts are left out.
        tail: Lines for the end.
    """
    terminal = sys.stdout.isatty()
    width = min(max(shutil.get_terminal_size().columns, _WIDTHS[0]), _WIDTHS[1]) if terminal else _PLAIN_WIDTH
    say = _say_in_colour if terminal else _say
    if hasattr(sys.stdout, "reconfigure"):  # what is printed may not be text that the terminal knows
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    say(head, "head")
    for section in sections:
        for line, style in _lines_of(section, width):
            say(line, style)
    if tail:
        say("", "")
    for line in tail:
        say(textwrap.fill(line, width, subsequent_indent="  "), "")


def _lines_of(section: Section, width: int) -> Iterator[tuple[str, str]]:
    if not section.facts:
        return
    yield "", ""
    yield section.title, "title"
    widest = min(max(len(fact.name) for fact in section.facts), _WIDEST_NAME)
    for fact in section.facts:
        name = f"  {fact.name:<{widest}}  "
        text = fact.text or "-"
        if len(name) > widest + 4:  # a long name has a line to itself
            yield name.rstrip(), fact.mark
            name = " " * (widest + 4)
        wrapped = textwrap.wrap(
            text,
            width,
            initial_indent=name,
            subsequent_indent=" " * (widest + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in wrapped:
            yield line, fact.mark


def _say(line: str, style: str) -> None:
    del style
    print(line)


_STYLES = {"head": "bold", "title": "bold cyan", "good": "green", "bad": "yellow", "wrong": "bold red", "": ""}


def _say_in_colour(line: str, style: str) -> None:
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        print(line)
        return
    Console(soft_wrap=True, highlight=False).print(Text(line, style=_STYLES[style]))
