"""The API reference from the code: a directive, `names`, and docstrings as paragraphs, lists and examples.

Docstrings of this house are written for `help()`: no markup but `code`; formulas and tables are indented; an argument
or a field begins its line with its name and a colon. Here they become reStructuredText, which Sphinx reads.
"""

from __future__ import annotations

import inspect
import re
from pkgutil import resolve_name
from typing import Any

from docutils import nodes
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)
GIVEN: set[str] = set()  # classes that nobody makes by hand: what makes one is no news
ITEM = re.compile(r"^(\w+)(?: \(([^)]*)\))?: ")


class Names(SphinxDirective):
    """The names in the content, of the module that is the argument, each by what it is.

    Options: `given`, classes that are given by functions, shown without what they are made from; `all`, every public
    name of the module, in place of a content.
    """

    required_arguments = 1
    has_content = True
    option_spec = {"given": lambda _: True, "all": lambda _: True}  # noqa: RUF012  # as docutils declares it

    def run(self) -> list[nodes.Node]:
        """Autodoc's directives, read where this one stands."""
        (module,) = self.arguments
        lines = ["```{eval-rst}"]
        place = resolve_name(module)
        public = [name for name in dir(place) if not name.startswith("_")]
        for name in public if "all" in self.options else " ".join(self.content).split():
            what = getattr(place, name, None)
            if what is None:
                LOGGER.warning("%s has no %s", module, name, location=self.get_location())
                continue
            if "given" in self.options:
                GIVEN.add(f"{module}.{name}")
            lines += ["", f".. {_directive(what)}:: {module}.{name}", *_options(what)]
        return self.parse_text_to_nodes("\n".join([*lines, "```"]))


def _directive(what: object) -> str:
    if inspect.isclass(what):
        return "autoexception" if issubclass(what, Exception) else "autoclass"
    return "autofunction" if callable(what) else "autodata"


def _options(what: object) -> list[str]:
    members = inspect.isclass(what) and not issubclass(what, Exception)
    bases = [] if not inspect.isclass(what) or what.__bases__ == (object,) else ["   :show-inheritance:"]
    return ["   :members:"] * members + bases * (not members)


def plain(lines: list[str], names: frozenset[str] = frozenset()) -> list[str]:
    r"""A docstring as reStructuredText; lines that begin with one of `names` and a colon are items of a list.

    >>> for line in plain(
    ...     ["Rate x*y of a `stage`.", "", "    a_b = c", "", "draws: how many. seed: of them. Raises", "ValueError."],
    ...     frozenset({"draws", "seed"}),
    ... ):
    ...     print(line)
    Rate x\*y of a ``stage``.
    <BLANKLINE>
    ::
    <BLANKLINE>
        a_b = c
    <BLANKLINE>
    * **draws**: how many.
    * **seed**: of them.
    <BLANKLINE>
    Raises
    ValueError.
    <BLANKLINE>
    """
    found: list[str] = []
    for block in re.split(r"\n(?:[ \t]*\n)+", "\n".join(lines).strip("\n")):
        part = block.split("\n")
        if part[0].startswith(">>>"):
            found += [*part, ""]
        elif part[0] in ("Args:", "Fields:"):
            found += [*_paragraph([line[4:] for line in part[1:]], None), ""]
        elif all(line.startswith("  ") for line in part):
            found += ["::", "", *part, ""]
        else:
            found += [*_paragraph(part, names), ""]
    return found


def _paragraph(lines: list[str], names: frozenset[str] | None) -> list[str]:
    """Lines of text and of a list; names None: every line with a name and a colon begins an item.

    Within a list a sentence that begins with a name and a colon is an item too, and one with "Raises" ends the list.
    """

    def item_of(line: str) -> re.Match[str] | None:
        item = ITEM.match(line)
        return item if item and (names is None or item[1] in names) else None

    if any(map(item_of, lines)):
        within = "|".join(names or ()) or r"(?!)"
        text = re.sub(rf"\. (?=(?:{within})(?: \([^)]*\))?: |Raises\b)", ".\n", "\n".join(lines))
        lines = text.split("\n")
    found: list[str] = []
    inside = ""
    for line in lines:
        if inside and line.startswith("Raises"):
            found.append("")
            inside = ""
        if item := item_of(line):
            if found and not inside:
                found.append("")
            more = f" ({_escaped(item[2])})" if item[2] else ""
            found.append(f"* **{_escaped(item[1])}**{more}: {_escaped(line[item.end() :])}")
            inside = "  "
        else:
            found.append(inside + _escaped(line.strip()))
    return found


def _escaped(text: str) -> str:
    """Text in which only `code` is markup."""
    parts = re.split(r"``?([^`]+)``?", text)
    return "".join(
        f"``{part}``" if odd else re.sub(r"([\\*|_])", r"\\\1", part)
        for odd, part in ((i % 2, part) for i, part in enumerate(parts))
    )


def _names_of(what: object) -> frozenset[str]:
    """What a line of the docstring of a function or class may begin with: its arguments and fields."""
    try:
        given = set(inspect.signature(what).parameters) if callable(what) else set()
    except (TypeError, ValueError):
        given = set()
    return frozenset(given | set(vars(what))) if inspect.isclass(what) else frozenset(given)


def _docstring(app: Sphinx, kind: str, name: str, what: object, options: Any, lines: list[str]) -> None:
    lines[:] = plain(lines, _names_of(what))


def _signature(
    app: Sphinx, kind: str, name: str, what: object, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    model = inspect.isclass(what) and issubclass(what, BaseModel)
    if name in GIVEN or model:
        return "", None
    # A default that Python cannot read back would leave the whole signature unread.
    return re.sub(r"<(?:function )?(\w+)>", r"\1", signature or "") or None, returns


def _skipped(app: Sphinx, kind: str, name: str, what: object, skip: bool, options: Any) -> bool | None:
    """Of a class that pydantic makes, what is pydantic's own."""
    return True if name.startswith("model_") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive, and what autodoc asks."""
    app.add_directive("names", Names)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skipped)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
