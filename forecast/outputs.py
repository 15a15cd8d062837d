"""What a run writes, by kind, and the form of its CSV: declared once, for options, study, files and whoever reads them.

    KINDS        kind -> the files that it may stand for; a run writes those that its results can fill
    RUN_FILES    all of them, and the summary, which is always written; FILES: those that no run of all kinds lacks
    chosen       kinds from what people type
    CsvForm      decimal mark and delimiter of a CSV; `csv_form` finds those of a locale

A locale changes marks alone: names of columns, measures, codes and dates are the same in every file. Loads nothing of
Babel before a locale is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from forecast.words import message, text

SUMMARY_FILE = "summary.json"
TABLE_FILES = ("forecast.csv", "totals.csv", "allocation.csv")
LEVER_FILES = (
    "sensitivity.csv",
    "variance.csv",
    "scenarios.csv",
    "goals.csv",
)  # each where its table is made
LEVER_TOTALS = ("sensitivity_totals.csv", "variance_totals.csv")  # beside them
LEFT_OUT_FILE = "left_out.csv"  # where rows were left out
KINDS: dict[str, tuple[str, ...]] = {
    "pdf": ("report.pdf",),
    "xlsx": ("report.xlsx",),
    "csv": (*TABLE_FILES, *LEVER_FILES, *LEVER_TOTALS, LEFT_OUT_FILE),
    "whatif": ("whatif.html",),
    "draws": ("draws.nc",),
}
POSTERIOR_FILE = "posterior.nc"  # of a run made in Python, where its posterior lies nowhere else
BESIDE = (POSTERIOR_FILE,)
RUN_FILES = (*(name for names in KINDS.values() for name in names), SUMMARY_FILE)
SOMETIMES = (*LEVER_FILES, *LEVER_TOTALS, LEFT_OUT_FILE)
FILES = tuple(name for name in RUN_FILES if name not in SOMETIMES)  # of every run of which all is asked


def chosen(written: str) -> tuple[str, ...]:
    """Kinds of outputs from a list with commas, in the order of `KINDS`; "all", and "json" alone, are words for it.

    Raises ValueError with a text for people.

    >>> chosen("csv, pdf"), chosen("json"), len(chosen("all")) == len(KINDS)
    (('pdf', 'csv'), (), True)
    """
    asked = [word.strip().lower() for word in written.split(",")]
    if asked == ["all"]:
        return tuple(KINDS)
    for word in asked:
        if word not in KINDS and word != "json":
            said = (
                'there is no kind "{word}"; name one or more of {kinds:list}, with commas between, or all '
                "(summary.json is always written)"
            )
            raise ValueError(text(message(said, word=word, kinds=[*KINDS, "json"])))
    return tuple(kind for kind in KINDS if kind in asked)


def files_of(kinds: Iterable[str] | None) -> set[str]:
    """The files that kinds may stand for, and the summary; of None all."""
    return {SUMMARY_FILE, *(name for kind in (KINDS if kinds is None else kinds) for name in KINDS[kind])}


@dataclass(frozen=True)
class CsvForm:
    """How a CSV is written. The default is for programs: point, comma, UTF-8 without a mark.

    mark: begin with a byte order mark, without which Excel reads UTF-8 as the system's old code page.
    """

    decimal: str = "."
    delimiter: str = ","
    mark: bool = False

    @property
    def encoding(self) -> str:
        """The codec of the file."""
        return "utf-8-sig" if self.mark else "utf-8"


PROGRAMS = CsvForm()


def csv_form(locale: str | None) -> CsvForm:
    """The form that a spreadsheet of a locale opens by double click; None is for programs.

    The decimal mark is CLDR's (by Babel) for Latin digits; the delimiter a semicolon where that mark is a comma.
    Raises ValueError, with a text for people, for what is no locale.

    >>> csv_form("fi"), csv_form("en")
    (CsvForm(decimal=',', delimiter=';', mark=True), CsvForm(decimal='.', delimiter=',', mark=True))
    """
    if locale is None:
        return PROGRAMS
    from babel import Locale, UnknownLocaleError

    try:
        found = Locale.parse(locale.strip().replace("-", "_"))
    except (ValueError, UnknownLocaleError) as error:
        said = '"{locale}" is no locale; write a language, or language and country: fi, de, en, de-CH'
        raise ValueError(text(message(said, locale=locale))) from error
    comma = found.number_symbols.get("latn", {}).get("decimal") == ","
    return CsvForm(",", ";", mark=True) if comma else CsvForm(mark=True)
