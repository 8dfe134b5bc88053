"""A Redis server of the tests' own, on a free port of this machine."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

PATIENCE = 20.0


class RedisServer:
    """Runs from when it is made until `end`."""

    def __init__(self, folder: Path) -> None:
        # Debian's redis-tools has the program as redis-check-rdb: it is what it is called as.
        program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        if program is None:
            pytest.skip("needs redis-server")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._process = subprocess.Popen(["redis-server", *arguments], executable=program, stdout=subprocess.DEVNULL)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._wait()

    def _wait(self) -> None:
        import redis  # not at the top: workers that need none of this import conftest.py

        end = time.monotonic() + PATIENCE
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    assert client.ping()
                    return
                except redis.ConnectionError:
                    if self._process.poll() is not None or time.monotonic() > end:
                        self.end()
                        raise
                    time.sleep(0.02)  # nothing tells when it listens

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
