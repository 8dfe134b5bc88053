"""`Picture`: a picture of a pipeline, in each of its forms."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from weft.errors import InvalidSetting
from weft.viz._drawing import Drawing, drawing_of

if TYPE_CHECKING:
    from weft.pipelines import Pipeline
    from weft.viz._seen import RunRecord

__all__ = ["Picture", "picture_of"]

FORMS = {".svg": "svg", ".html": "html", ".mmd": "mermaid", ".mermaid": "mermaid"}


class Picture:
    """A picture of a pipeline. Made by `Pipeline.visualize`; a notebook shows it.

    Attributes:
        title: What is written above it.
        svg: As SVG.
        html: As a page of HTML that needs nothing else, in which nested pipelines fold.
        mermaid: As the text of a Mermaid flow chart.

    Example:
        >>> from weft.pipelines import Pipeline, node
        >>> @node(output_name="double")
        ... def doubled(number: int) -> int:
        ...     return 2 * number
        >>> picture = Pipeline([doubled], name="doubling").visualize()
        >>> picture
        <Picture of doubling>
        >>> picture.mermaid.splitlines()[0]
        'flowchart TD'
    """

    def __init__(self, drawing: Drawing, title: str) -> None:
        self._drawing = drawing
        self.title = title

    @cached_property
    def svg(self) -> str:
        from weft.viz._svg import svg_of

        return svg_of(self._drawing, self.title)

    @cached_property
    def html(self) -> str:
        from weft.viz._html import page_of

        return page_of(self._drawing, self.title)

    @cached_property
    def mermaid(self) -> str:
        from weft.viz._mermaid import mermaid_of

        return mermaid_of(self._drawing)

    def _repr_html_(self) -> str:
        return self.svg  # notebooks differ in which scripts they run

    def __repr__(self) -> str:
        return f"<Picture of {self.title}>"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes it into a file: ``.svg``, ``.html``, or ``.mmd`` for Mermaid.

        Raises:
            InvalidSetting: The path ends in something else, or cannot be written.
        """
        file = Path(path)
        form = FORMS.get(file.suffix)
        if form is None:
            raise InvalidSetting(setting="path", value=path, remedy=f"let it end in {', '.join(FORMS)}")
        try:
            file.write_text(getattr(self, form), encoding="utf-8")
        except OSError as error:
            remedy = f"it cannot be written: {error.strerror}"
            raise InvalidSetting(setting="path", value=path, remedy=remedy) from error
        return file


def picture_of(pipeline: Pipeline, run: RunRecord | None) -> Picture:
    """The picture of a pipeline."""
    from weft.viz._seen import RunRecord

    if run is not None and not isinstance(run, RunRecord):  # pyright: ignore[reportUnnecessaryIsInstance]
        remedy = "give the weft.viz.RunRecord that was among the callbacks of the run, or None"
        raise InvalidSetting(setting="run", value=run, remedy=remedy)
    return Picture(drawing_of(pipeline, run), pipeline.name or "pipeline")
