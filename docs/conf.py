"""The site of the documentation, for Sphinx: `make site`.

Its sources are the pages as they lie in the repository: those of docs/, and what stands elsewhere because it belongs
there (README, model card, benchmarks, changelog). A link that works on a page as a file works on the site, one to a
file that is no page (code, a report) gives that file. Nothing is fetched, while building or by a reader.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "Growth forecast"
author = "growth-forecast contributors"
copyright = author  # noqa: A001  # the name that Sphinx gives it
version = release = re.findall(
    r'^__version__ = "(.*)"$',
    (HERE.parent / "forecast" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
)[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "mathml", "plain_docstrings"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "models/README.md",
    "benchmarks/README.md",
]
exclude_patterns = [".*", "build", "dist", "forecast", "tests"]  # not walked
source_suffix = {".md": "markdown"}

# Links to headings as GitHub names them; equations in ```math, as GitHub shows them.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]

# A page that no contents lead to and a link into nothing are warnings, and warnings are errors (`make site`).
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other packages, whose documentation is not here

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
python_display_short_literal_types = True
python_maximum_signature_line_length = 130  # counted before names of types are made short
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "Growth forecast"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it would fetch each page found, which no page from a disk may
html_additional_pages = {"index": "start.html"}
templates_path = ["templates"]
pygments_style = "tango"


def without_way_back(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Pages of code lead nowhere back: viewcode errs about names that a face hands on from another file."""
    if page.startswith("_modules/"):
        context["body"] = re.sub(r'<a class="viewcode-back".*?</a>', "", context.get("body", ""))


def by_title(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """A link that reads as a file (data.md) reads as the title of that page, up to a colon."""
    for link in doctree.findall(nodes.reference):
        if link.get("internal") and re.fullmatch(r"[\w/-]+\.md", link.astext()):
            path = link["refuri"].partition("#")[0].removesuffix(".html")
            title = app.env.titles[posixpath.normpath(posixpath.join(posixpath.dirname(page), path))]
            link.children = [nodes.inline("", title.astext().partition(":")[0])]


def setup(app: Sphinx) -> None:
    """Blocks in the languages of our pages that Pygments has no lexer for are plain text."""
    app.add_lexer("csv", TextLexer)
    app.connect("html-page-context", without_way_back)
    app.connect("doctree-resolved", by_title)
