"""A network in which there is nothing but this machine's loopback, for engines that listen on all addresses."""

import fcntl
import os
import socket
import struct

import pytest

SET_FLAGS, UP, LOOPBACK, RUNNING = 0x8914, 1, 8, 64


def only_loopback() -> None:
    """Takes this thread, and all threads and processes that it starts from now on, there. It does not come back."""
    try:
        os.unshare(os.CLONE_NEWNET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14s", b"lo", UP | LOOPBACK | RUNNING, b""))
    except (AttributeError, OSError) as error:
        pytest.skip(f"needs a network namespace of its own: {error}")
