"""Callbacks: what a pipeline tells while it runs, and to whom.

Hooks are called on the caller's side, one at a time and in order. What runs in a worker is told when it comes back,
with the times that were measured there: for each item its start, its nodes, its end. An exception in a hook is logged
to ``weft.pipelines`` and goes no further; Ctrl-C does.

`Hooks` calls; `Recorder` stands in its place in a worker and writes down, to be told later.
Pinned by tests/pipelines/test_callbacks.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, cast

from weft.errors import InvalidSetting

__all__ = ["CallbackContext", "Carried", "Hooks", "PipelineCallback", "Recorder", "Teller", "checked_callbacks"]

logger = logging.getLogger("weft.pipelines")


class CallbackContext:
    """What callbacks of one run share: where it is, and a place to leave things in.

    Attributes:
        depth: How many pipelines and maps are open around this: 1 in a pipeline that is run.
        current_pipeline_id: The path of the innermost of them: the pipeline's name, then those of nested ones.
        item: The number of the item of `map`, or None.
        time: When that happened which is told, in seconds since the epoch; what a worker did is told later.

    Example:
        >>> from weft.pipelines import CallbackContext
        >>> context = CallbackContext()
        >>> context.set("seen", 3)
        >>> context.get("seen"), context.get("other", 0), context.depth
        (3, 0, 0)
    """

    def __init__(self) -> None:
        self._left: dict[str, Any] = {}
        self._open: list[str] = []
        self.item: int | None = None
        self.time = 0.0

    @property
    def depth(self) -> int:
        return len(self._open)

    @property
    def current_pipeline_id(self) -> str | None:
        return self._open[-1] if self._open else None

    def get(self, key: str, default: Any = None) -> Any:
        """What was left under a key, or the default."""
        return self._left.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Leaves something for later hooks of this run."""
        self._left[key] = value

    def enter(self, pipeline: str) -> None:
        self._open.append(pipeline)

    def leave(self) -> None:
        if self._open:
            self._open.pop()


class PipelineCallback:
    """Told what a pipeline does: a base whose hooks do nothing. Override those that you want.

    Names are paths: ``"pages/clean"`` is the node ``clean`` in the nested pipeline ``pages``. Times are in seconds.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import Pipeline, PipelineCallback, node
        >>> class Shout(PipelineCallback):
        ...     def on_node_end(self, node, seconds, context):
        ...         print(node, "is done")
        >>> double = node(output_name="y")(lambda x: 2 * x)
        >>> Pipeline([double.with_name("double")], config=RuntimeConfig(callbacks=(Shout(),))).run(x=2)
        double is done
        {'y': 4}
    """

    def on_pipeline_start(self, pipeline: str, inputs: dict[str, Any], context: CallbackContext) -> None:
        """`run` begins, or an item of `map` that is run by itself."""

    def on_pipeline_end(self, pipeline: str, outputs: dict[str, Any], seconds: float, context: CallbackContext) -> None:
        """`run` has ended; after a failure with no outputs."""

    def on_nested_pipeline_start(self, pipeline: str, context: CallbackContext) -> None:
        """The first node of a nested pipeline is about to begin."""

    def on_nested_pipeline_end(self, pipeline: str, seconds: float, context: CallbackContext) -> None:
        """The last node of a nested pipeline has ended."""

    def on_node_start(self, node: str, context: CallbackContext) -> None:
        """A node is about to be called. Not where its result is in the cache."""

    def on_node_end(self, node: str, seconds: float, context: CallbackContext) -> None:
        """A node has given its result."""

    def on_node_cached(self, node: str, context: CallbackContext) -> None:
        """The result of a node was found in the cache."""

    def on_node_retry(self, node: str, attempt: int, error: BaseException, context: CallbackContext) -> None:
        """A node has failed and is tried again; ``attempt`` is the number of the next try, from 2."""

    def on_map_start(self, pipeline: str, total: int | None, context: CallbackContext) -> None:
        """A pipeline is mapped over items, so many if that is known."""

    def on_map_end(self, pipeline: str, seconds: float, context: CallbackContext) -> None:
        """All items are done, or one has failed."""

    def on_map_item_start(self, item: int, context: CallbackContext) -> None:
        """An item begins."""

    def on_map_item_end(self, item: int, seconds: float, context: CallbackContext) -> None:
        """An item is done, or has failed."""

    def on_error(self, node: str, error: BaseException, context: CallbackContext) -> None:
        """A node has failed for good."""


class Teller:
    """What can be told; each gives way to `_tell`, with the name of a hook and what it is called with."""

    def _tell(self, hook: str, *args: Any) -> None:
        raise NotImplementedError

    def pipeline_start(self, name: str, inputs: dict[str, Any]) -> None:
        self._tell("on_pipeline_start", name, inputs)

    def pipeline_end(self, name: str, outputs: dict[str, Any], seconds: float) -> None:
        self._tell("on_pipeline_end", name, outputs, seconds)

    def nested_start(self, path: str) -> None:
        self._tell("on_nested_pipeline_start", path)

    def nested_end(self, path: str, seconds: float) -> None:
        self._tell("on_nested_pipeline_end", path, seconds)

    def node_start(self, path: str) -> None:
        self._tell("on_node_start", path)

    def node_end(self, path: str, seconds: float) -> None:
        self._tell("on_node_end", path, seconds)

    def node_cached(self, path: str) -> None:
        self._tell("on_node_cached", path)

    def node_retry(self, path: str, attempt: int, error: BaseException) -> None:
        self._tell("on_node_retry", path, attempt, error)

    def map_start(self, path: str, total: int | None) -> None:
        self._tell("on_map_start", path, total)

    def map_end(self, path: str, seconds: float) -> None:
        self._tell("on_map_end", path, seconds)

    def item_start(self, item: int) -> None:
        self._tell("on_map_item_start", item)

    def item_end(self, item: int, seconds: float) -> None:
        self._tell("on_map_item_end", item, seconds)

    def error(self, path: str, error: BaseException) -> None:
        self._tell("on_error", path, error)


_OPENING = ("on_pipeline_start", "on_nested_pipeline_start", "on_map_start")
_CLOSING = ("on_pipeline_end", "on_nested_pipeline_end", "on_map_end")


class Hooks(Teller):
    """Calls the callbacks of one run.

    Args:
        callbacks: Who is told, in this order.
    """

    def __init__(self, callbacks: Sequence[Any]) -> None:
        self.context = CallbackContext()
        self._callbacks = callbacks

    def _tell(self, hook: str, *args: Any) -> None:
        self._call(time.time(), hook, args)

    def _call(self, moment: float, hook: str, args: Sequence[Any]) -> None:
        context = self.context
        context.time = moment
        if hook in _OPENING:
            context.enter(args[0])
        elif hook == "on_map_item_start":
            context.item = args[0]
        for callback in self._callbacks:
            try:
                told = getattr(callback, hook, None)
                if told is not None:
                    told(*args, context)
            except Exception:
                logger.exception("%s.%s raised; the pipeline goes on", type(callback).__name__, hook)
        if hook in _CLOSING:
            context.leave()
        elif hook == "on_map_item_end":
            context.item = None

    def replay(self, events: list[tuple[Any, ...]]) -> None:
        """Tells what a `Recorder` has written down."""
        for moment, hook, *args in events:
            self._call(moment, hook, [one.error if isinstance(one, Carried) else one for one in args])


class Recorder(Teller):
    """Writes down what is told. What nodes are given and give stays where it is."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def _tell(self, hook: str, *args: Any) -> None:
        self.events.append(
            (time.time(), hook, *(Carried(one) if isinstance(one, BaseException) else one for one in args))
        )


class Carried:
    """An exception that is on its way: one that cannot be pickled arrives as `weft.errors.RemoteError`."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        from weft._payloads.failures import dump_failure

        return _arrived, (dump_failure(self.error),)


def _arrived(data: bytes) -> Carried:
    from weft._payloads.failures import load_failure

    return Carried(load_failure(data))


def checked_callbacks(callbacks: tuple[object, ...]) -> tuple[Any, ...]:
    """Refuses what has none of the hooks.

    Raises:
        InvalidSetting: One is a class, or no callback.
    """
    for one in callbacks:
        if isinstance(one, type):
            raise InvalidSetting(setting="callbacks", value=one, remedy=f"give an object of it: {one.__name__}()")
        if not any(hasattr(one, hook) for hook in vars(PipelineCallback) if hook.startswith("on_")):
            raise InvalidSetting(setting="callbacks", value=one, remedy="give a weft.pipelines.PipelineCallback")
    return cast("tuple[Any, ...]", callbacks)
