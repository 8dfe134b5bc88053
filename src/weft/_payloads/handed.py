"""Descriptors that a worker process was handed at its start, beside those of its channel.

Loaded only where there are some. What is made of them in the worker is `Handed` in the pickle of the initializer's
call (initializing.py); one of them may be the pipe to the resource tracker of `multiprocessing`.
Pinned by tests/executors/test_inherited.py.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Handed", "descriptors", "take_tracker"]

descriptors: list[int] = []
"""In the order in which the caller gave them."""


class Handed:
    """One of them in a pickle, as the rebuilding functions of `multiprocessing` know it."""

    def __init__(self, place: int) -> None:
        self.place = place

    def detach(self) -> int:
        """The descriptor. It is the rebuilt object's now, which closes it."""
        return descriptors[self.place]


def take_tracker(place: int) -> None:
    """Makes the caller's resource tracker this worker's, as `multiprocessing` does in processes that it starts.

    With one of its own it would unlink at the worker's end what others still use.
    """
    from multiprocessing import resource_tracker

    tracker: Any = resource_tracker._resource_tracker  # pyright: ignore[reportPrivateUsage]
    of_template, tracker._fd = tracker._fd, descriptors[place]
    tracker._pid = None
    if of_template is not None:
        from posix import close

        close(of_template)
