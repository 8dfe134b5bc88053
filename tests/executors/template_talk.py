"""Starts workers of a template that answer over a socket."""

import marshal
import os
import select
import socket
from dataclasses import dataclass
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
