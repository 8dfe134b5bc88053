"""What actors raise. Loaded when one of these is first asked of `weft.errors`, where they are to be found."""

import builtins
from collections.abc import Iterable

from weft.errors import RemoteError, WeftError, signal_name_and_guess

__all__ = ["ActorDied", "ChannelClosed", "ChannelFault", "RemoteActorError"]


class RemoteActorError(WeftError, RuntimeError):
    """Something raised in an actor. The exception itself, with its traceback there, is ``__cause__``.

    Attributes:
        path: The names of the actor and of those above it, the outermost first: ``("root", "service", "parser")``.
        type_name: The module and name of the exception's class.
        traceback: The traceback as text, as the actor would have printed it.

    Args:
        message: What happened; written from the attributes where it is empty.
        path: See the attribute.
        type_name: See the attribute.
        traceback: See the attribute.

    Example:
        >>> from weft.errors import RemoteActorError
        >>> error = RemoteActorError(path=("root", "parser"), type_name="ValueError", traceback="Traceback ...")
        >>> print(error)
        actor 'root/parser' raised ValueError; its traceback there is the cause of this error
    """

    __module__ = "weft.errors"

    path: tuple[str, ...]
    type_name: str | None
    traceback: str | None

    def __init__(
        self,
        message: str = "",
        *,
        path: Iterable[str] = (),
        type_name: str | None = None,
        traceback: str | None = None,
    ) -> None:
        path = tuple(path)
        if not message:
            who = f"actor {'/'.join(path)!r}" if path else "an actor"
            message = f"{who} raised {type_name or 'an exception'}; its traceback there is the cause of this error"
        super().__init__(message)
        self.path = path
        self.type_name = type_name
        self.traceback = traceback

    @property
    def type(self) -> builtins.type[BaseException] | None:
        """The class of the exception, where it could be rebuilt here; else None."""
        cause = self.__cause__
        return None if cause is None or isinstance(cause, RemoteError) else cause.__class__


class ActorDied(RemoteActorError):
    """An actor ended without having been asked to, or gave no sign of life for too long.

    Attributes:
        pid: The process id that it had, or None where it was no process.
        signal: The number of the signal that killed it, or None.
        exit_code: The status it exited with, or None.
        why: What else is known, or None.

    Args:
        message: What happened; written from the attributes where it is empty.
        path: See `RemoteActorError`.
        pid: See the attribute.
        signal: See the attribute.
        exit_code: See the attribute.
        why: See the attribute.

    Example:
        >>> from weft.errors import ActorDied
        >>> print(ActorDied(path=("root", "parser"), pid=1234, exit_code=3))
        actor 'root/parser' (process 1234) exited with status 3; start it again, or use strategy="one_for_one"
    """

    __module__ = "weft.errors"

    pid: int | None
    signal: int | None
    exit_code: int | None
    why: str | None

    def __init__(
        self,
        message: str = "",
        *,
        path: Iterable[str] = (),
        pid: int | None = None,
        signal: int | None = None,
        exit_code: int | None = None,
        why: str | None = None,
    ) -> None:
        path = tuple(path)
        if not message:
            who = f"actor {'/'.join(path)!r}" if path else "an actor"
            who += "" if pid is None else f" (process {pid})"
            if signal is not None:
                what = "was killed by " + signal_name_and_guess(signal)
            elif exit_code is not None:
                what = f"exited with status {exit_code}"
            else:
                what = why or "died"
            message = f'{who} {what}; start it again, or use strategy="one_for_one"'
        super().__init__(message, path=path)
        self.pid = pid
        self.signal = signal
        self.exit_code = exit_code
        self.why = why


class ChannelClosed(WeftError, ConnectionError):
    """The channel to an actor is closed: it has ended, or the connection has.

    Attributes:
        path: The names of the actor and of those above it, where it is known.

    Args:
        message: What happened.

    Example:
        >>> from weft.errors import ChannelClosed
        >>> issubclass(ChannelClosed, ConnectionError)
        True
    """

    __module__ = "weft.errors"

    path: tuple[str, ...]

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the channel to the actor is closed; the actor has ended")
        self.path = ()


class ChannelFault(ChannelClosed):
    """A channel was closed since what came in was none of weft's: garbage, half a message, or a stranger's.

    Args:
        message: What came.

    Example:
        >>> from weft.errors import ChannelClosed, ChannelFault
        >>> issubclass(ChannelFault, ChannelClosed)
        True
    """

    __module__ = "weft.errors"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "what came in on the channel is not weft's; the channel is closed")
