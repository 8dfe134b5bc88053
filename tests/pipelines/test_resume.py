"""A map that is killed at random moments and started again computes nothing twice that was recorded."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from weft.pipelines import DiskCache

FULL = os.environ.get("WEFT_CHAOS") == "full"
ITEMS = 100_000 if FULL else 3_000
KILLS = 50 if FULL else 6


@pytest.mark.deadline(3000 if FULL else 120)
def test_nothing_that_was_recorded_is_computed_again(tmp_path: Path, rng: random.Random) -> None:
    program = str(Path(__file__).with_name("resume_program.py"))
    folder, log = tmp_path / "cache", tmp_path / "log"
    DiskCache(folder).close()
    log.touch()
    kills = 0
    while True:
        with DiskCache(folder) as cache:
            recorded = len(cache)
        before = log.stat().st_size
        process = subprocess.Popen(
            [sys.executable, program, str(folder), str(log), str(ITEMS)], stdout=subprocess.PIPE, text=True
        )
        if kills < KILLS:
            # Once it has got further by so many calls: anywhere between two commits.
            further = before + rng.randrange(1, 5 * ITEMS // KILLS)
            while log.stat().st_size < further and process.poll() is None:
                pass
            process.send_signal(signal.SIGKILL)
            kills += 1
        out, _ = process.communicate()
        calls = log.read_bytes()[before:].split()
        # The log key of each item differs from all that was recorded when this run began.
        assert len({*calls}) == len(calls)
        assert len(calls) <= ITEMS - recorded
        if process.returncode == 0:
            assert out == "done\n"
            assert len(calls) == ITEMS - recorded
            break
        assert process.returncode == -signal.SIGKILL
    with DiskCache(folder) as cache:
        assert len(cache) == ITEMS
