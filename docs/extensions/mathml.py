"""Equations as MathML, which browsers draw themselves: no script, no font and no image from anywhere."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)

# docutils sets the index of a letter with an accent below it, as if it were a sum; an index is one sign or one group.
ACCENTED = re.compile(
    r"<munderover>\s*(<mi>[^<]*</mi>)\s*(<m[in]>[^<]*</m[in]>|<mrow>(?:(?!mrow).)*</mrow>)\s*"
    r"(<mo[^>]*>[~^¯˙]</mo>)\s*</munderover>",
    re.DOTALL,
)


def _mathml(node: nodes.math | nodes.math_block, *, block: bool) -> str:
    """The TeX of a node as an element `math`; a warning with its place where it is none that is known."""
    try:
        found = tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        LOGGER.warning("no equation: %s", error, location=node)
        return ""
    found = ACCENTED.sub(r"<msub><mover>\1\3</mover>\2</msub>", found)
    # TeX's thin space between a function and what it is taken of, where no bracket stands between them.
    spaced = re.sub(
        r"<mo>&ApplyFunction;</mo>(\s*)(?!\s*<mo[^>]*>[(\[])", r'<mspace width="0.17em"/>\1', found
    )
    return spaced.replace("<mo>&ApplyFunction;</mo>", "")


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="equation">{_mathml(node, block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer `mathml`."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
