"""Starts workers of a template that answer over a socket, here and in child interpreters."""

import marshal
import os
import select
import socket
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.executors._template.template import Template
from weft.executors._template.worker_process import WorkerProcess

WORKERS = "tests.executors.template_workers"


@dataclass
class Talk:
    """A worker, and this side of its socket."""

    worker: WorkerProcess
    socket: "socket.socket"

    def answer(self, seconds: float = 20) -> Any:
        """What the worker says, which is one object in one piece."""
        assert select.select([self.socket], [], [], seconds)[0], "the worker says nothing"
        data = self.socket.recv(1 << 20)
        assert data, "the worker has ended without an answer"
        return marshal.loads(data)[0]

    def end(self, seconds: float = 20) -> int | None:
        """Lets it end; its status."""
        self.socket.shutdown(socket.SHUT_WR)  # what it says is still heard
        status = self.worker.status(seconds)
        self.close()
        return status

    def close(self) -> None:
        """Closes what is the caller's of it."""
        self.socket.close()
        if self.worker.pidfd >= 0:
            os.close(self.worker.pidfd)
            self.worker.pidfd = -1


def talk(template: Template, setup: bytes = b"", kind: int = 1) -> Talk:
    """Starts a worker with one descriptor, a socket."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            worker = template.start_worker([kind, theirs.fileno(), -1, -1, -1, -1], [theirs.fileno()], setup)
    except BaseException:
        ours.close()
        raise
    return Talk(worker, ours)


# Child programs are told where tests are found.
PREAMBLE = """
import os, signal, sys
sys.path[:0] = {path!r}
from tests.executors.template_talk import WORKERS, talk
from weft.executors._template.template import Template
"""


def program(body: str) -> str:
    """A program for a child interpreter, which has a template and workers of its own."""
    return PREAMBLE.format(path=[str(Path(__file__).parents[2]), *sys.path]) + textwrap.dedent(body)
