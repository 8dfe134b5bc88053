"""`Node`: a function with named inputs and outputs; and `node`, which makes one.

A node is a value: nothing of it changes once it is made, `with_name` and its like give another one. It may be called
like its function. Inputs are the function's parameters, so they have to have names: ``*args`` has none.

A node that its module has by its name is pickled by that name, as functions are: a decorated function is not to be
found under its own name any more.
Any thread. Pinned by tests/pipelines/test_nodes.py.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial, update_wrapper
from keyword import iskeyword
from typing import Any, Literal, cast, overload

from weft.config import RuntimeConfig, check_config, check_count, check_seconds
from weft.errors import InvalidPipeline, InvalidSetting

__all__ = ["LEFT_OUT", "REQUIRED", "Kind", "Node", "checked_name", "node"]

type Kind = Literal["plain", "generator", "async", "async generator"]
type RetryOn = type[BaseException] | tuple[type[BaseException], ...]


class _Mark:
    """Stands for something that is no value. One of each in a process."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name


REQUIRED = _Mark("REQUIRED")
"""In place of a default: there is none."""

LEFT_OUT = _Mark("LEFT_OUT")
"""In place of a value for a pipeline that is mapped: it has a default of its own."""


class Node:
    """A function with named inputs and outputs, for a `Pipeline`. Made by `node`; immutable.

    Attributes:
        fn: The function.
        name: What it is called in messages, pictures and traces.
        outputs: The names of what it gives.
        inputs: The names of what it takes, in the order of the function's parameters.
        kind: "plain", "generator", "async" or "async generator". A generator's output is the list of what it yields.
        cache: Whether its results may be kept, where the configuration has a cache.
        config: Its own configuration, or None.
        retries: How many more times it is tried; None: as the configuration says.
        timeout: What it may take, in seconds; None: as the configuration says.
        retry_on: The exceptions that are worth another try.
        backoff: Seconds before the first retry; doubles with each, up to a minute.

    Example:
        >>> from weft.pipelines import node
        >>> @node(output_name="words")
        ... def split(text: str) -> list[str]:
        ...     return text.split()
        >>> split.inputs, split.outputs
        (('text',), ('words',))
        >>> split("a b")
        ['a', 'b']
    """

    fn: Callable[..., Any]
    name: str
    outputs: tuple[str, ...]
    kind: Kind
    cache: bool
    config: RuntimeConfig | None
    retries: int | None
    timeout: float | None
    retry_on: RetryOn
    backoff: float

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        output_name: str | tuple[str, ...] | None = None,
        name: str | None = None,
        cache: bool = True,
        retries: int | None = None,
        timeout: float | None = None,
        retry_on: RetryOn = Exception,
        backoff: float = 0.1,
        config: RuntimeConfig | None = None,
    ) -> None:
        if not callable(fn):
            raise InvalidSetting(setting="fn", value=fn, remedy="give a function: @node(output_name=...) above its def")
        own_name = getattr(_function_of(fn), "__name__", type(fn).__name__)
        self.fn = fn
        self.name = checked_name("name", own_name if name is None else name)
        self.outputs = _checked_outputs(own_name if output_name is None else output_name)
        self.single = not isinstance(output_name, tuple)
        if not isinstance(cast("object", cache), bool):
            raise InvalidSetting(
                setting="cache", value=cache, remedy="give True or False; the cache goes into the config"
            )
        self.cache = cache
        self.retries = check_count("retries", retries, least=0)
        self.timeout = check_seconds("timeout", timeout)
        self.retry_on = _checked_classes(retry_on)
        self.backoff = backoff if backoff == 0 else cast("float", check_seconds("backoff", backoff))
        self.config = None if config is None else check_config("config", config)
        self.kind = _kind_of(fn)
        self.parameters, self.keyword_only = _parameters_of(fn, self.name)
        self._parent: tuple[Node, dict[str, Any]] | None = None
        update_wrapper(cast("Any", self), fn, updated=())

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Node {self.name}({', '.join(self.parameters)}) -> {', '.join(self.outputs)}>"

    def with_name(self, name: str) -> Node:
        """The same node under another name.

        Args:
            name: The name.

        Returns:
            Another node.

        Raises:
            InvalidSetting: It is no name.
        """
        return self._changed(name=checked_name("name", name))

    def with_config(self, config: RuntimeConfig | None) -> Node:
        """The same node with a configuration of its own, which counts whole in place of the pipeline's.

        Args:
            config: The configuration; None for the pipeline's.

        Returns:
            Another node.

        Raises:
            InvalidSetting: It is no `RuntimeConfig`.
        """
        return self._changed(config=None if config is None else check_config("config", config))

    def _changed(self, **changes: Any) -> Node:
        other = Node.__new__(Node)
        other.__dict__.update(self.__dict__, **changes)
        base, before = (self, {}) if self._parent is None else self._parent
        other._parent = (base, before | changes)
        return other

    def __reduce__(self) -> Any:
        if self._parent is not None:
            base, changes = self._parent
            return _change, (base, changes)
        module, name = getattr(self.fn, "__module__", None), getattr(self.fn, "__qualname__", None)
        if type(module) is str and type(name) is str and _found(module, name) is self:
            return _look_up_node, (module, name)
        state = {key: value for key, value in self.__dict__.items() if key in _STATE}
        return _rebuild, (self.fn, self.outputs if not self.single else self.outputs[0], state)


_STATE = ("name", "cache", "retries", "timeout", "retry_on", "backoff", "config")


def _change(base: Node, changes: dict[str, Any]) -> Node:
    return base._changed(**changes)  # pyright: ignore[reportPrivateUsage]


def _rebuild(fn: Callable[..., Any], output_name: Any, state: dict[str, Any]) -> Node:
    return Node(fn, output_name=output_name, **state)


def _look_up_node(module: str, name: str) -> Node:
    from weft._payloads.references import look_up

    return cast("Node", look_up(f"{module}:{name}"))


def _found(module: str, name: str) -> object:
    """What a module has under a name; None if it cannot be found there by a worker."""
    from weft._payloads.main_module import ALIAS, main_can_be_found

    if module in ("__main__", ALIAS) and not main_can_be_found():
        return None
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


@overload
def node(fn: Callable[..., Any], /) -> Node: ...
@overload
def node(
    *,
    output_name: str | tuple[str, ...] | None = None,
    name: str | None = None,
    cache: bool = True,
    retries: int | None = None,
    timeout: float | None = None,
    retry_on: RetryOn = Exception,
    backoff: float = 0.1,
    config: RuntimeConfig | None = None,
) -> Callable[[Callable[..., Any]], Node]: ...
def node(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a `Node` of a function.

    Args:
        fn: The function; may be asynchronous or a generator.
        **options: ``output_name`` and the others that follow.
        output_name: The name of what it returns; several, for a function that returns a tuple of so many. None: the
            function's name.
        name: What the node is called. None: the function's name.
        cache: False: its results are not kept, whatever cache the configuration has.
        retries: How many more times it is tried, over any configuration.
        timeout: What it may take, in seconds, over any configuration.
        retry_on: The exception class, or classes, that are worth another try.
        backoff: Seconds before the first retry; doubles with each, up to a minute.
        config: A configuration for this node alone.

    Returns:
        The node; a decorator, if no function is given.

    Raises:
        InvalidSetting: An option has a value that cannot be.
        InvalidPipeline: The function has parameters without names.

    Example:
        >>> from weft.pipelines import node
        >>> @node(output_name=("low", "high"))
        ... def bounds(numbers):
        ...     return min(numbers), max(numbers)
        >>> bounds
        <Node bounds(numbers) -> low, high>
    """
    if fn is not None:
        return Node(fn)
    return partial(Node, **options)


def checked_name(setting: str, value: object) -> str:
    """Refuses what is no name to be shown: an empty string, or one with what paths of nodes are made of."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or set("/[]") & set(value):
        raise InvalidSetting(setting=setting, value=value, remedy="give a name without '/', '[' and ']'")
    return value


def _checked_outputs(value: Any) -> tuple[str, ...]:
    names: tuple[Any, ...] = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)
    for name in names:
        if not (isinstance(name, str) and name.isidentifier()) or iskeyword(name):
            raise InvalidSetting(setting="output_name", value=name, remedy="give a name that a parameter could have")
    if not names or len(set[object](names)) < len(names):
        raise InvalidSetting(setting="output_name", value=names, remedy="give one name, or several that differ")
    return names


def _checked_classes(value: object) -> RetryOn:
    classes = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
    for one in classes:
        if not (_is_exception_class(one)):
            raise InvalidSetting(setting="retry_on", value=one, remedy="give an exception class, or a tuple of them")
    return cast("RetryOn", value)


def _is_exception_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _function_of(fn: Any) -> Any:
    while isinstance(fn, partial):
        fn = cast("partial[Any]", fn).func
    return fn


def _kind_of(fn: Callable[..., Any]) -> Kind:
    for one in (_function_of(fn), getattr(fn, "__call__", None)):  # noqa: B004  # the method of an object that is called
        if inspect.isasyncgenfunction(one):
            return "async generator"
        if inspect.iscoroutinefunction(one):
            return "async"
        if inspect.isgeneratorfunction(one):
            return "generator"
    return "plain"


def _parameters_of(fn: Callable[..., Any], name: str) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """Names and defaults of the parameters, and which of them are given by keyword."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError) as error:
        problem = f"the parameters of {name!r} cannot be read ({error}): wrap it in a function of your own"
        raise InvalidPipeline(f"node {name!r} cannot be made: {problem}", problems=[problem]) from None
    found: dict[str, object] = {}
    by_keyword: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            problem = f"its parameter {stars}{parameter.name} has no names for inputs: write the parameters out"
            raise InvalidPipeline(f"node {name!r} cannot be made: {problem}", problems=[problem])
        found[parameter.name] = REQUIRED if parameter.default is parameter.empty else parameter.default
        if parameter.kind is parameter.KEYWORD_ONLY:
            by_keyword.append(parameter.name)
    positional = [one for one in found if one not in by_keyword]
    return {one: found[one] for one in (*positional, *by_keyword)}, tuple(by_keyword)
