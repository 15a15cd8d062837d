"""The language that is spoken, and how its readers write numbers: catalogues of gettext, marks and currencies of Babel.

    voice("en")            English in this house's style: 92 371 EUR, 8.4, 37 %, 166 000 to 197 000; needs no Babel
    voice("fi")            Finnish as Finns write it: 92 371 €, 8,4, 37 %, 166 000–197 000
    voice("en", "en_GB")   English with the marks of a locale: 92,371 EUR, 8.4, 37%

A catalogue is catalogues/LANGUAGE/forecast.po, compiled beside it (`make catalogue`): a folder there is a language.
Its keys are the English templates as they stand in the code; names of stages and measures have the context `MEASURE`.
Nothing is loaded before a language other than English, or a locale, is spoken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

ENGLISH = "en"
CATALOGUES = Path(__file__).parent / "catalogues"
DOMAIN = "forecast"
MEASURE = "measure"  # the context of names of stages and measures
LOCALES = {"fi": "fi_FI"}  # of a language, where none is asked for; others: the language alone
NBSP, THIN, MINUS = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", "\N{MINUS SIGN}"


class Catalogue(Protocol):
    """What is asked of a catalogue; `gettext.NullTranslations` has it."""

    def gettext(self, message: str) -> str:
        """A template in the language."""

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """The template that fits a number."""

    def pgettext(self, context: str, message: str) -> str:
        """A word in a context."""


class English:
    """The language of the templates themselves."""

    def gettext(self, message: str) -> str:
        """The template as it is."""
        return message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """One, or several."""
        return msgid1 if n == 1 else msgid2

    def pgettext(self, context: str, message: str) -> str:  # noqa: ARG002 - English needs none
        """The word as it is."""
        return message


@dataclass(frozen=True)
class Voice:
    """A language with its catalogue, and how numbers are written in it.

    marks: for each sign of Python's own format what is written in its place. symbol: of a currency, where one is known
    and stands behind the number; else its code. dates: whether periods are written as in that language.
    """

    language: str = ENGLISH
    catalogue: Catalogue = field(default_factory=English)
    marks: dict[int, str] = field(
        default_factory=lambda: str.maketrans({",": THIN, ".": ".", "-": MINUS, "%": f"{NBSP}%"})
    )
    symbol: Callable[[str], str] = str


HOUSE = Voice()


def languages() -> list[str]:
    """The languages that can be spoken, English first."""
    found = sorted(path.parent.name for path in CATALOGUES.glob(f"*/{DOMAIN}.mo"))
    return [ENGLISH, *found]


@cache
def voice(language: str = ENGLISH, locale: str = "") -> Voice:
    """How a language is spoken; locale: whose marks numbers have ("" for those of the language).

    Raises ValueError for a language without a catalogue, and a locale that is none.
    """
    if language not in languages():
        raise ValueError(wrong_language(language))
    catalogue: Catalogue = English()
    if language != ENGLISH:
        import gettext

        with (CATALOGUES / language / f"{DOMAIN}.mo").open("rb") as file:
            catalogue = gettext.GNUTranslations(file)
    elif not locale:
        return HOUSE
    found = _locale(locale or LOCALES.get(language, language))
    symbols = found.number_symbols.get("latn", found.number_symbols)
    pattern = found.percent_formats[None].pattern
    space = re.search(r"[^#0,.%]*(?=%)", pattern)
    marks = {
        ",": symbols["group"],
        ".": symbols["decimal"],
        "-": MINUS,
        "%": f"{NBSP if space and space[0] else ''}%",
    }
    behind = found.currency_formats["standard"].pattern.split(";")[0].strip("\u200e\u200f").endswith("¤")
    names: dict[str, str] = found.currency_symbols if behind else {}
    return Voice(language, catalogue, str.maketrans(marks), lambda code: str(names.get(code, code)))


def wrong_language(asked: str) -> str:
    """What is said of a language that is not there."""
    return f'expected one of {", ".join(languages())}; came "{asked}"'


def check_language(asked: str) -> str:
    """The language, if there is a catalogue of it. Raises ValueError."""
    if asked not in languages():
        raise ValueError(wrong_language(asked))
    return asked


def check_locale(asked: str) -> str:
    """The locale, if there is one of that name; "" is that of the language. Raises ValueError."""
    if asked:
        _locale(asked)
    return asked


def _locale(name: str) -> Any:
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(name)
    except (ValueError, UnknownLocaleError, TypeError):
        raise ValueError(f'expected a locale such as fi_FI, sv_FI, en_GB or de_DE; came "{name}"') from None
