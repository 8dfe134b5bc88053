"""A Dask scheduler and its workers, in processes of their own, on free ports of this machine."""

import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 50.0


class DaskCluster:
    """Runs from when it is made until `end`."""

    def __init__(self, workers: int = 2) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name, "scheduler.json")
        self._processes: list[subprocess.Popen[bytes]] = []
        self.client: Any = None
        try:
            self._start("scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard")
            self.workers = [self.add_worker() for _ in range(workers)]  # who wait for the scheduler's file
            self.address: str = self._address()
            distributed: Any = import_module("distributed")

            self.client = distributed.Client(self.address, set_as_default=False, timeout=PATIENCE)
            self.client.wait_for_workers(workers, timeout=PATIENCE)
        except BaseException:
            self.end()
            raise

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", f"--scheduler-file={self._file}", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_LOGGING__DISTRIBUTED": "error"}
        with Path(self._folder.name, f"{what}-{len(self._processes)}").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)
        self._processes.append(process)
        return process

    def _address(self) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._processes[0].poll() is None:
            try:
                return json.loads(self._file.read_text())["address"]
            except (OSError, ValueError):
                time.sleep(0.02)  # nothing tells when it is written
        log = Path(self._folder.name, "scheduler-0").read_text()
        raise AssertionError(f"the Dask scheduler did not start:\n{log}")

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Starts a worker of one thread."""
        arguments = ("--host=127.0.0.1", "--no-dashboard", "--no-nanny", "--nthreads=1", "--death-timeout=60")
        return self._start("worker", *arguments, f"--local-directory={self._folder.name}")

    def kill_scheduler(self) -> None:
        self.client.close()
        self.client = None
        self._processes[0].kill()
        self._processes[0].wait()

    def end(self) -> None:
        if self.client is not None:
            self.client.close()
        for process in reversed(self._processes):
            process.kill()
        for process in self._processes:
            process.wait()
        self._folder.cleanup()
