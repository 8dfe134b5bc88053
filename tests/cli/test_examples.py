"""The examples in the docstrings of the command's modules run."""

import doctest
import importlib
import pkgutil

import pytest

import weft.cli

MODULES = [module.name for module in pkgutil.walk_packages(weft.cli.__path__, "weft.cli.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
