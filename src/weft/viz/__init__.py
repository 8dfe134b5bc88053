"""Pictures of pipelines: what depends on what, and, after a run, where the time went.

    _drawing   the graph in layers: what both pictures have in common
    _svg       with places that are computed here      _html   a page that a browser lays out; nested pipelines fold
    _mermaid   as text, for what draws Mermaid         _seen   what a run has told, for the colours

`Pipeline.visualize` is the way in. Pinned by tests/viz/.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weft.viz._picture import Picture
    from weft.viz._seen import RunRecord

__all__ = ["Picture", "RunRecord"]

_HOMES = {"Picture": "_picture", "RunRecord": "_seen"}

# Hidden from type checkers: they would take it as leave to accept any name at all.
if not TYPE_CHECKING:

    def __getattr__(name):
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module 'weft.viz' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"weft.viz.{_HOMES[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
