"""The project's own promises: its commands, its version, its rules, and what may not be committed."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DOCUMENTS = ["README.md", "CONTRIBUTING.md"]

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", stdin=subprocess.DEVNULL, timeout=50
    )


def files_to_commit() -> list[Path]:
    """What is committed or would be: in a work tree, not in an unpacked release."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git work tree")
    listed = run("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@needs_make
def test_make_help_lists_every_documented_command():
    listed = set(re.findall(r"^make ([a-z-]+) ", run("make", "help").stdout, re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z-]+)", (ROOT / document).read_text(encoding="utf-8")))
        assert named, f"{document} names no command"
        assert named <= listed, f"{document} names commands that `make help` does not list"


@needs_make
def test_every_command_has_a_line_of_help():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    listed = set(re.findall(r"^make ([a-z-]+) +\S", run("make", "help").stdout, re.MULTILINE))
    assert targets == listed


@needs_make
def test_make_chaos_runs_every_test_that_has_a_full_count():
    listed = [ROOT / path for path in re.findall(r"tests/\S+", run("make", "-n", "chaos", "ARGS=").stdout)]
    assert listed
    counted = re.compile(r"^from tests\.executors\.child import .*\b(?:times|FULL)\b", re.MULTILINE)
    for path in (ROOT / "tests").rglob("*.py"):
        if counted.search(path.read_text(encoding="utf-8")):
            assert any(path.is_relative_to(one) for one in listed), (
                f"{path} has full counts; `make chaos` leaves it out"
            )


def test_the_version_has_one_source():
    import weft

    version = PYPROJECT["project"]["version"]
    assert importlib.metadata.version("weft") == version
    assert weft.__version__ == version
    newest = re.search(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == version


def test_nothing_is_required_at_run_time():
    assert PYPROJECT["project"]["dependencies"] == []
    required = importlib.metadata.requires("weft") or []
    assert [line for line in required if "extra ==" not in line] == []


def test_the_extra_all_holds_every_other_extra():
    extras = PYPROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert set(re.split(r"[\[,\]]", everything)[1:-1]) == extras.keys() - {"all"}


def test_the_wheel_holds_the_types_and_no_cpp():
    installed = [str(path) for path in importlib.metadata.files("weft") or []]
    assert "weft/py.typed" in installed
    assert "weft/_core.pyi" in installed
    assert not [
        name for name in installed if name.endswith((".cpp", ".hpp", ".h", ".txt", ".md")) and "dist-info" not in name
    ]


def test_each_cmake_preset_has_a_build_and_a_test():
    presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
    named = {
        kind: {preset["name"] for preset in presets[kind] if not preset.get("hidden")}
        for kind in ("configurePresets", "buildPresets", "testPresets")
    }
    assert named["configurePresets"] == {"release", "debug", "asan", "tsan", "profile"}
    assert named["buildPresets"] == named["testPresets"] == named["configurePresets"]


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "tools").glob("check_*.py")))
def test_the_projects_own_checks_pass(script: str):
    done = run(sys.executable, str(ROOT / "tools" / script))
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_names_a_package_index_or_somebodys_folder():
    # Put together here, so that this file does not name them either.
    dot = "."
    banned = [
        dot.join(host)
        for host in [
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("registry", "npmjs", "org"),
            ("registry", "yarnpkg", "com"),
            ("crates", "io"),
            ("proxy", "golang", "org"),
            ("deb", "debian", "org"),
            ("conda", "anaconda", "org"),
        ]
    ] + [f"/{name}/" for name in ("root", "work")]
    pattern = re.compile("|".join(map(re.escape, banned)).encode())
    found = {
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in files_to_commit()
        if (match := pattern.search(path.read_bytes()))
    }
    assert not found


def test_no_generated_file_is_committed():
    generated = re.compile(
        r"(^|/)(build|dist|site|\.venv|__pycache__|\.[a-z]+_cache|\.hypothesis|node_modules|[^/]+\.egg-info)/"
        r"|\.(py[cod]|so|dylib|dll|o|a|whl|log|prof|orig|rej)$|(^|/)(TODO|uv\.lock)"
    )
    found = [name for path in files_to_commit() if generated.search(name := path.relative_to(ROOT).as_posix())]
    assert not found
    ignored = run("git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--ignored", "--exclude-standard")
    assert ignored.stdout == "", "these are committed although .gitignore has them"


@pytest.mark.skipif(sys.platform == "win32", reason="the tools are shell scripts")
@pytest.mark.parametrize("tool", ["pythons", "venv", "native", "test", "check"])
def test_each_tool_explains_itself(tool: str):
    done = run(str(ROOT / "tools" / tool), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"{tool}: ")
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="the tools are shell scripts")
def test_an_interpreter_that_cannot_be_had_is_named_and_fails():
    done = run(str(ROOT / "tools" / "pythons"), "--present", "3.99", "three")
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["3.99 -"]
    assert "'three' is no version" in done.stderr
