"""`weft.cli.demo.usage`: CPU time and peak memory, in fresh processes of their own group."""

import subprocess
import sys

import pytest

from weft.cli.demo.usage import CpuTime


def run(code: str) -> int:
    """Runs code in a process that leads its own group, and gives the number that it prints."""
    group = None if sys.platform == "win32" else 0
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=30, process_group=group
    )
    return int(done.stdout)


def test_cpu_time_counts_children_that_were_waited_for() -> None:
    if sys.platform == "win32":
        pytest.skip("Windows does not count children")
    before = CpuTime.now()
    subprocess.run([sys.executable, "-c", "x = sum(range(3_000_000))"], check=True, timeout=30)
    used = CpuTime.now() - before
    assert used.children > 0


@pytest.mark.skipif(sys.platform == "win32", reason="not measured on Windows")
def test_peak_memory_is_the_peak() -> None:
    peak = run(
        "from weft.cli.demo.usage import peak_memory\n"
        "hundred_megabytes = bytearray(100_000_000)\n"
        "for n in range(0, 100_000_000, 4096): hundred_megabytes[n] = 1\n"
        "del hundred_megabytes\n"
        "print(peak_memory())"
    )
    assert 100_000_000 < peak < 200_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere other processes cannot be asked")
def test_peak_memory_includes_the_group() -> None:
    peak = run(
        "import subprocess, sys\n"
        "from weft.cli.demo.usage import peak_memory\n"
        "code = 'x = bytearray(b\"x\") * 100_000_000; print(flush=True); input()'\n"
        "child = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(peak_memory())\n"
        "child.communicate(b'\\n')"
    )
    assert 100_000_000 < peak < 250_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a child inherit its parent's peak")
def test_a_child_does_not_begin_with_its_parents_peak() -> None:
    peak = run(
        "import subprocess, sys\n"
        "x = bytearray(b'x') * 200_000_000\n"
        "code = 'from weft.cli.demo.usage import peak_memory; print(peak_memory())'\n"
        "print(subprocess.run([sys.executable, '-c', code], capture_output=True, process_group=0, text=True).stdout)"
    )
    assert peak < 150_000_000
