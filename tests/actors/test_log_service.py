"""The example of a log service, as a newcomer runs it: parsers are killed, and no line is lost or counted twice."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executors.child import times
from weft.actors._spawn import lacks

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "log_service.py"

DPKG = """\
2026-01-03 14:36:25 startup archives unpack
2026-01-03 14:36:25 upgrade libsystemd0:amd64 252.36-1 252.38-1
2026-01-03 14:36:25 status half-configured libsystemd0:amd64 252.36-1
2026-01-04 09:00:01 install hello:amd64 <none> 2.10-3
2026-01-04 09:00:02 status installed hello:amd64 2.10-3
"""
APT = """\

Start-Date: 2026-01-04  09:00:00
Commandline: apt-get install hello
Install: hello:amd64 (2.10-3)
End-Date: 2026-01-04  09:00:02
"""


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    (tmp_path / "dpkg.log").write_text(DPKG, encoding="utf-8")
    (tmp_path / "history.log").write_text(APT, encoding="utf-8")
    return ["--source", str(tmp_path / "dpkg.log"), "--source", str(tmp_path / "history.log")]


def service(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "utf8", "-W", "error", str(PROGRAM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=55)


WHERE = [("process", "asyncio"), ("thread", "asyncio"), ("process", "trio"), ("interpreter", "asyncio")]


@pytest.mark.parametrize(("spawn", "backend"), WHERE[: times(len(WHERE), 1)])
def test_it_is_exact_although_parsers_are_killed(sources: list[str], spawn: str, backend: str) -> None:
    if (needs := lacks(spawn)) is not None:
        pytest.skip(f"{spawn} needs {needs}")
    kills = 4 if spawn == "process" else 2
    options = ("--size", "2MB", "--stretch", "16KB", "--kills", str(kills), "--seed", "7", "--spawn", spawn)
    done = service(*options, "--backend", backend, *sources)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"exact: ([\d,]+) lines, ([\d,]+) bytes, every checksum; (\d+) parsers killed", done.stdout)
    assert found is not None, done.stdout
    lines, size, killed = (int(number.replace(",", "")) for number in found.groups())
    turns, rest = divmod(size, len(DPKG + APT))
    assert (rest, lines, killed) == (0, turns * (DPKG + APT).count("\n"), kills)
    assert size >= 2_000_000
    assert re.search(r"\b[1-9]\d* questions answered", done.stdout)


def test_a_log_of_ones_own_without_a_newline_at_its_end_and_with_a_long_line(tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    data = b"2026-01-03 14:36:25 status installed a:amd64 1\n" + b"x" * 5000 + b"\nodd\r line\x0b\n\na b status"
    log.write_bytes(data)
    done = service("--log", str(log), "--stretch", "1KB", "--kills", "0", "--spawn", "thread")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"exact: 5 lines, {len(data):,} bytes" in done.stdout


def test_what_is_lost_would_be_found(tmp_path: Path) -> None:
    """The proof is one: the log grows by a line that the service has not seen."""
    log = tmp_path / "own.log"
    log.write_text(DPKG, encoding="utf-8")
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('log_service', {str(PROGRAM)!r})\n"
        "module = sys.modules['log_service'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "count = module.check\n"
        "def check(service):\n"
        "    with service.path.open('a') as file:\n"
        "        file.write('one more\\n')\n"
        "    count(service)\n"
        "module.check = check\n"
        f"sys.argv[1:] = ['--log', {str(log)!r}, '--spawn', 'thread', '--kills', '0']\n"
        "module.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=55)
    assert done.returncode == 1
    assert "NOT EXACT" in done.stderr
    assert "'lines': (5, 6)" in done.stderr


def test_without_a_log_it_names_the_option(tmp_path: Path) -> None:
    done = service("--source", str(tmp_path / "nothing.log"))
    assert done.returncode == 1
    assert done.stderr.startswith("no log to make one from")
    assert "--source FILE" in done.stderr
    (tmp_path / "undated.log").write_text("no date\n")
    done = service("--source", str(tmp_path / "undated.log"))
    assert done.returncode == 1
    assert "no line begins with a date" in done.stderr
    done = service("--size", "many")
    assert done.returncode == 2
    assert "20MB" in done.stderr


def test_it_follows_a_log_that_grows_until_it_is_interrupted(tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    log.write_text(DPKG, encoding="utf-8")
    command = [sys.executable, "-u", str(PROGRAM), "--log", str(log), "--follow", "--kills", "0", "--spawn", "thread"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        has_grown = False
        for line in process.stdout:
            if "lines: 5 " in line and not has_grown:  # which it may say twice
                has_grown = True
                with log.open("a", encoding="utf-8") as file:
                    file.write(DPKG)
            if "lines: 10 " in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode in (-signal.SIGINT, 130)
