"""How a noun shows itself at a prompt and in a notebook: a title, a few facts, and tables.

    Card     what is to be shown
    Shows    a class with a `_card`: its `repr` is a few short lines, in a notebook its tables stand below
    grid     a small table as HTML

Names may come from anywhere: every text is clean within its line, and escaped where it becomes HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from forecast.words import MISSING, Message, clean, message, text, typed

WIDTH, LINES = 66, 7  # of a repr: signs of a line, and how many facts
MOST = 3  # names of a list in a repr
ROWS = 20  # of a table in a notebook
_LOOK = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0.3em 0"


@dataclass(frozen=True)
class Card:
    """What a noun says of itself. facts: by name a text, a message, a number or a list; none that is empty.

    tables: what has a `_repr_html_`, for a notebook.
    """

    title: Any
    facts: Mapping[str, Any] = field(default_factory=dict)
    tables: Sequence[Any] = ()


class Shows:
    """Short at a prompt, with its tables in a notebook."""

    def _card(self, *, whole: bool) -> Card:
        """What is shown; whole: in a notebook, where what was not yet made may be made."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return lines_of(self._card(whole=False))

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        return html_of(self._card(whole=True))


def lines_of(card: Card) -> str:
    """A card as a few short lines."""
    facts = [(name, _said(value)) for name, value in card.facts.items() if _there(value)][:LINES]
    wide = max((len(name) for name, _ in facts), default=0)
    return "\n".join([_cut(_said(card.title)), *(_cut(f"  {name:<{wide}}  {said}") for name, said in facts)])


def html_of(card: Card) -> str:
    """A card as HTML, with its tables."""
    facts = [[name, _said(value, most=12)] for name, value in card.facts.items() if _there(value)]
    tables = [table._repr_html_() for table in card.tables if table is not None]
    return f"<p><b>{escape(_said(card.title))}</b></p>" + (grid([], facts) if facts else "") + "".join(tables)


def said_band(mean: Any, low: Any, high: Any) -> Message:
    """A number with its band."""
    return message("{x:number} (80~% band {b:band})", x=mean, b=(low, high))


def said_chance(p: Any) -> Message | None:
    """A chance; None where there is none."""
    return None if p is None else message("P = {p:chance}", p=p)


def _there(value: Any) -> bool:
    return value is not None and not (hasattr(value, "__len__") and len(value) == 0)


def _said(value: Any, *, most: int = MOST) -> str:
    if isinstance(value, list | tuple):
        names = [_said(each) for each in value[:most]]
        return ", ".join([*names, *([f"and {len(value) - most} more"] if len(value) > most else [])])
    return clean(typed(value) if not isinstance(value, str) else value)


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """Rows of texts as an HTML table, at most `ROWS` of them; `right`: the columns that hold numbers."""

    def cell(tag: str, i: int, said: str) -> str:
        side = "right" if i < len(right) and right[i] else "left"
        return f'<{tag} style="text-align:{side};padding:0.1em 0.7em">{escape(said)}</{tag}>'

    head = "".join(cell("th", i, said) for i, said in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(cell('td', i, said) for i, said in enumerate(row))}</tr>" for row in rows[:ROWS]
    )
    more = f"<p>{ROWS} of {len(rows)} rows</p>" if len(rows) > ROWS else ""
    head = f"<thead><tr>{head}</tr></thead>" if heads else ""
    return f'<table style="{_LOOK}">{head}<tbody>{body}</tbody></table>{more}'


def shown(value: Any, said: Message | None) -> str:
    """A cell: a number as `said` has it, everything else as it reads."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return MISSING
    if isinstance(value, str | Message):
        return clean(text(value) if isinstance(value, Message) else value)
    if type(value).__name__.startswith("bool"):
        return "yes" if value else "no"
    return clean(value) if said is None or hasattr(value, "__len__") else text(said)
