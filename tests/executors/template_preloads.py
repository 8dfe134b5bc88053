"""Modules to preload, written where a test wants them."""

import textwrap
from pathlib import Path

import pytest


def write_module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> str:
    """A module that this process and its templates can import; its name."""
    (folder / f"{name}.py").write_text(textwrap.dedent(body))
    monkeypatch.syspath_prepend(str(folder))
    return name
