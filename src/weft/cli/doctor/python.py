"""Which weft, which Python, and who has the GIL on."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from weft import capabilities
from weft.cli._sheet import Fact, Section

__all__ = ["gil_reason", "python", "title", "weft_version"]


def weft_version() -> str:
    """The version, which only an installed weft has."""
    try:
        return version("weft")
    except PackageNotFoundError:
        return "of no version (it runs from its source)"


def title() -> str:
    """Both versions and the build, in a few words."""
    found = capabilities()
    build = "free-threaded" if found.free_threaded_build else "with the GIL"
    return f"weft {weft_version()} on {found.implementation} {found.python_version}, {build}"


def python() -> Section:
    """The section."""
    found = capabilities()
    build = "free-threaded" if found.free_threaded_build else "with the GIL"
    return Section(
        "Python",
        [
            Fact("weft", weft_version()),
            Fact("Python", f"{found.implementation} {found.python_version}, {platform.machine()}, {found.platform}"),
            Fact("build", build, {"free_threaded": found.free_threaded_build}),
            Fact("GIL", gil_reason(), {"enabled": found.gil_enabled, "because": gil_reason()}, _mark()),
        ],
    )


def _mark() -> str:
    found = capabilities()
    return "bad" if found.gil_enabled and found.free_threaded_build else "good" if not found.gil_enabled else ""


def gil_reason() -> str:
    """Whether the GIL is on, and who decided that."""
    found = capabilities()
    if not found.free_threaded_build:
        return "on: this build cannot be without it; threads take turns running Python code"
    said = _said()
    if not found.gil_enabled:
        return f"off{said and f', by {said}'}: threads run Python code side by side"
    if said:
        return f"on, by {said}: threads take turns running Python code"
    return "on, by an extension module that does not support running without it (see the packages below)"


def _said() -> str:
    option = sys._xoptions.get("gil")  # pyright: ignore[reportPrivateUsage]
    if option is not None:
        return f"-X gil={option}"
    variable = os.environ.get("PYTHON_GIL")
    if variable in ("0", "1") and not sys.flags.ignore_environment:
        return f"PYTHON_GIL={variable}"
    return ""
