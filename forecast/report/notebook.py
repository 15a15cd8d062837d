"""An executed notebook as one HTML page: texts, code, tables and figures in it, nothing asked for outside itself.

Its policy allows no request and no script, whatever a cell has put out.
"""

from __future__ import annotations

import html
from typing import Any

from forecast.report.figures import BLUE, INK
from forecast.report.filling import filled, template


def notebook_page(book: Any, *, title: str, code: bool = True) -> bytes:
    """The page, UTF-8, of a notebook of `nbformat` that was executed.

    code: with the cells' code, beside what it put out. Needs the extra "notebook".
    """
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    untyped: Any = HTMLExporter
    exporter = untyped(
        template_name="basic",
        exclude_input=not code,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    body, _ = exporter.from_notebook_node(book)
    signs = HtmlFormatter(style="friendly", nobackground=True).get_style_defs(".highlight")
    style = filled(template("notebook.css"), {"ink": INK, "blue": BLUE}) + signs
    parts = {"title": html.escape(title), "style": style, "body": body}
    return filled(template("notebook.html"), parts).encode()
