"""Equations as MathML, which browsers draw themselves: no script, no font and no image from anywhere."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx


def _mathml(text: str, *, block: bool) -> str:
    r"""TeX as an element `math`. An error names the equation: `\foo` that is not known stops the build."""
    try:
        found = tex2mathml(text, as_block=block)
    except SyntaxError as error:  # docutils' MathError is one
        raise ValueError(f"no equation: {text!r}: {error}") from error
    # TeX's thin space between a function and what it is taken of, where no bracket stands between them.
    return re.sub(
        r"<mo>&ApplyFunction;</mo>(\s*)(?!\s*<mo[^>]*>[(\[])", r'<mspace width="0.17em"/>\1', found
    ).replace("<mo>&ApplyFunction;</mo>", "")


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="equation">{_mathml(node.astext(), block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer `mathml`."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
