"""Languages: no text is missing or left English, numbers are the same in both, files are English in every language."""

from __future__ import annotations

import io
import re
import string
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import catalogue
import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from group_fixture import group, record
from tables_fixture import CHANNELS, plausible_tables

from forecast import words
from forecast.checks import Check
from forecast.report import audit_page, pdf, summary_page, terminal_text
from forecast.report.contents import report_of
from forecast.report.pages.group import group_page, group_report
from forecast.report.workbook import write_workbook
from forecast.results import Results, StudyFacts
from forecast.speech import CATALOGUES, DOMAIN, HOUSE, English, Voice, check_locale, languages, voice
from forecast.tables import check_table, json_text
from forecast.words import (
    Name,
    Period,
    heard,
    kept,
    message,
    periods,
    plural,
    speaking,
    text,
    together,
    typed,
)

OTHERS = [language for language in languages() if language != "en"]
# Writers that a translation may put in the place of none: names of stages and periods, words of ours, whole sentences.
OWN_WRITERS = {"stage", "stages", "period", "through", "word", "sentence", "d", "02d"}
ALIKE = {
    "R-hat",
    "Pareto k-hat",
    "Pareto k-hat {x:.2f}",
    "Parquet",
    "p",
    "p {p:.2g}",
}  # the same in any language
# What the made tables of the fixtures say by themselves, in place of what the code would.
MADE_UP = (
    "wins per channel", "at least 20", "below 1.01", "checks marked REVIEW first", "R-hat",
    "spend hardly varied: the elasticity shown is the prior",
    "spend varied widely: the elasticity is learnt from the data",
    "Read the bands of", "conversion into", "stages do not rise along the funnel", "few wins", "one deal dominates",
    "largest deal", "events won", "of 36 periods", "forecast run models/demo.toml", "numpy", "51ab", "1.004",
)  # fmt: skip
LETTERS = re.compile(r"[^\W\d_]{2,}")


@cache
def templates() -> list[catalogue.Found]:
    """Every template of the code, read once: not where these tests are only collected."""
    return catalogue.templates()


@cache
def forms() -> frozenset[str]:
    """What stands in them for one and for several, where it needs no context."""
    return frozenset(
        form
        for each in templates()
        for form in (each.one, each.many)
        if form and not each.context and form != " to "
    )


def catalogue_of(language: str) -> Catalog:
    """The catalogue as it is written."""
    with (CATALOGUES / language / f"{DOMAIN}.po").open("rb") as file:
        return read_po(file)


def fields(template: str) -> dict[str, set[str]]:
    """Field by field, the writers of a template."""
    found: dict[str, set[str]] = {}
    for _, name, spec, _ in string.Formatter().parse(template):
        if name is not None:
            found.setdefault(name, set()).add(spec or "")
    return found


def several(said: str | tuple[str, ...] | list[str]) -> list[str]:
    """A text, or the forms of one, as a list."""
    return [said] if isinstance(said, str) else list(said)


# -------------------------------------------------------------------------------------------------- the catalogues


@pytest.mark.parametrize("language", OTHERS)
def test_the_compiled_catalogue_is_that_of_the_text(language: str):
    """The .mo is the .po, compiled: `make catalogue` was run."""
    compiled = io.BytesIO()
    write_mo(compiled, catalogue_of(language))
    assert (CATALOGUES / language / f"{DOMAIN}.mo").read_bytes() == compiled.getvalue()


@pytest.mark.parametrize("language", OTHERS)
def test_the_catalogue_has_every_text_of_the_code_and_no_other(language: str):
    """A text that is added, changed or taken out asks for `make catalogue`, and for a translation."""
    ours = {(each.one, each.context) for each in templates()}
    theirs = {(several(m.id)[0], m.context or "") for m in catalogue_of(language) if m.id}
    assert ours == theirs


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated_with_its_fields(language: str):
    """None is empty or left English; a translation has the fields of the template, written by writers that may be."""
    for entry in catalogue_of(language):
        if not entry.id:
            continue
        for one, said in zip(several(entry.id), several(entry.string), strict=True):
            assert said, f"{one!r} has no translation"
            theirs, ours = fields(said), fields(one)
            assert set(theirs) == set(ours), f"{one!r}: {said!r}"
            for name, writers in theirs.items():
                added = writers - ours[name]
                assert added <= OWN_WRITERS or (added, ours[name]) == ({"band"}, {"between"}), (
                    f"{one!r}: {added}"
                )
            bare = re.sub(r"\{[^{}]*\}", "", one)
            assert said != one or one in ALIKE or not re.search("[a-z]", bare), f"{one!r} is left English"


def test_a_text_is_found_by_reading_the_code():
    """Templates in a variable, in a choice, of plurals, heads of columns, sheets and words of their own."""
    found = {each.one: each for each in templates()}
    assert found["{n:whole}~month"].many == "{n:whole}~months"
    kinds = "Forecast", "nearly as good, from", "PASS", "no spend is recorded", "share of leads, %", "Channel"
    assert set(kinds) <= set(found)
    assert "Spend by channel, current and recommended, with the range that is nearly as good. {told}" in found
    assert not any(one.startswith("{file}: column") for one in found)


# ------------------------------------------------------------------------------------------------ nothing left English


class Marked(English):
    """A language in which every text of ours is marked, so that what is not is seen."""

    def gettext(self, message: str) -> str:
        """The text between marks, where it has letters."""
        bare = re.sub(r"\{[^{}]*\}", "", message)
        return f"⟦{message}⟧" if message in forms() and LETTERS.search(bare) else message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """The same."""
        return self.gettext(msgid1 if n == 1 else msgid2)

    def pgettext(self, context: str, message: str) -> str:
        """The same."""
        return f"⟦{message}⟧" if message in words.MEASURES else message


def outside(said: str) -> str:
    """What stands outside all marks."""
    while (inner := re.sub(r"⟦[^⟦⟧]*⟧", "", said)) != said:
        said = inner
    return said


def unmarked(texts: list[str]) -> set[str]:
    """Texts with words outside of the marks that no data brought."""
    data = {*CHANNELS, "EUR", "demo", "to", "CAC", "CPL", "LTV"}
    return {
        said
        for said in texts
        if any(word not in data for word in LETTERS.findall(outside(said)))
        and not any(made in said for made in MADE_UP)
    }


def texts_of(item: Any, key: str = "") -> Iterator[str]:
    """All texts of a document; those of a figure as its SVG has them."""
    if isinstance(item, str):
        if key == "svg":
            yield from re.findall(r"<text [^>]*>(.*?)</text>", item)
        elif key not in ("status", "tone", "language", "colours", "align", "columns"):
            yield item
    elif isinstance(item, dict):
        for name, value in item.items():
            yield from texts_of(value, name)
    elif isinstance(item, list):
        for value in item:
            yield from texts_of(value, key)


@pytest.fixture(scope="module")
def tables() -> Results:
    """Made tables, the verdict with doubts."""
    return plausible_tables()


def test_no_text_of_the_report_is_left_english(tables: Results):
    """Titles, heads, sentences, notes, labels of axes and legends: with a marked language all are marked."""
    with heard(Voice("fi", Marked())):
        said = list(texts_of(pdf.document(report_of(tables))))
        printed = terminal_text(summary_page(tables)).splitlines()
        printed += [line for page in report_of(tables).pages for line in terminal_text(page).splitlines()]
    assert len(said) > 500
    assert not unmarked(said)
    assert not unmarked(outside("\n".join(printed)).splitlines())  # a text goes on over several lines


def test_no_text_of_a_group_is_left_english():
    """On paper and terminal; units and currencies are data."""
    records = [
        record("fi", 1),
        record("se", 2, status="REVIEW", checks=["extrapolation", kept(message("preview"))]),
    ]
    told = group(*records, failed=[{"name": "dk", "exit_code": 3, "error": "none.csv"}])
    with heard(Voice("fi", Marked())):
        said = list(texts_of(pdf.document(group_report(told))))
        said += outside(terminal_text(group_page(told))).splitlines()
    data = {"fi", "se", "dk", "EUR", "to", "none", "csv"}
    assert not {left for left in said if set(LETTERS.findall(outside(left))) - data}


def test_no_text_of_the_audit_is_left_english():
    """What `check` prints of a history, the notes of reading aside."""
    checks = [
        Check("Stages measured", "PASS", message("all recorded: {recorded}", recorded=["seo"])),
        Check(
            "Spend recorded",
            "REVIEW",
            "no spend is recorded",
            "Add spend by channel: without it no budget can be advised.",
        ),
    ]
    page = audit_page(check_table(checks), check_table([], "mistake"))
    with heard(Voice("fi", Marked())):
        said = terminal_text(page)
    assert "⟦Spend recorded⟧: ⟦no spend is recorded⟧" in said
    assert not unmarked(said.splitlines())
    with speaking("fi"):
        assert "Tarkista    Kustannukset kirjattu: kustannuksia ei ole kirjattu" in terminal_text(page)


# ------------------------------------------------------------------------------------------------------ same numbers


def numbers(said: str, *, finnish: bool) -> Counter[float]:
    """The numbers of a text as they are read in a language; dates as their year and month."""
    said = said.replace("\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}")
    if finnish:
        said = re.sub(r"\b\d{1,2}\.(\d{1,2})\.(\d{4})\b", r"\1 / \2", said)
    group = r"(?:\d{1,3}(?:\N{NO-BREAK SPACE}\d{3})+|\d+)"
    pattern = rf"\N{{MINUS SIGN}}?{group}(?:{',' if finnish else re.escape('.')}\d+)?"
    found = re.findall(
        pattern.replace(r"\N{NO-BREAK SPACE}", "\N{NO-BREAK SPACE}").replace(r"\N{MINUS SIGN}", "−"), said
    )
    plain = (each.replace("\N{NO-BREAK SPACE}", "").replace(",", ".").replace("−", "-") for each in found)
    return Counter(float(each) for each in plain)


def test_numbers_are_the_same_in_both_languages(tables: Results, monkeypatch: pytest.MonkeyPatch):
    """Text by text, the numbers that an English and a Finnish reader read back are the same."""
    monkeypatch.setattr(pdf, "figure_svg", lambda _: "")
    english = list(texts_of(pdf.document(report_of(tables))))
    with speaking("fi"):
        finnish = list(texts_of(pdf.document(report_of(tables))))
    told = [(a, b) for a, b in zip(english, finnish, strict=True) if numbers(a, finnish=False)]
    assert len(told) > 300
    differ = [(a, b) for a, b in told if numbers(a, finnish=False) != numbers(b, finnish=True)]
    assert not [a for a, _ in differ if not any(made in a for made in MADE_UP)]


# -------------------------------------------------------------------------------------------------- how it is written


def test_numbers_dates_and_money_are_written_as_finns_write_them():
    """Decimal comma, spaces that do not break between thousands, a true minus, the unit behind, a range with a dash."""
    with speaking("fi"):
        said = message(
            "{a:whole}~{cur}, {b:,.2f}~{cur}, {c:percent}, {d:band}~{cur}, {e:percent_band}, {f:exact}, "
            "{g:exact_percent}",
            a=-4620, b=1720.5, c=0.37, d=(217_000, 370_000), e=(0.026, 0.037), f=12.5, g=0.024, cur="EUR",
        )  # fmt: skip
        assert text(said) == (
            "−4\xa0620\xa0€, 1\xa0720,50\xa0€, 37\xa0%, 217\xa0000–370\xa0000\xa0€, 2,6–3,7\xa0%, 12,5, 2,4\xa0%"
        )
        assert text(message("{x:band}", x=(-4620, 16_700))) == "−4\xa0600\xa0– 16\xa0700"
        assert typed(words.money(92_371, "EUR", exact=True)) == "92 371 €"
        assert words.money(92_371, "XYZ", exact=True).endswith("XYZ")
        assert words.chance(0.001) == "alle\xa01\xa0%"
        assert [words.period(label) for label in ("2026-11", "2026-W05", "2027Q1", "total")] == [
            "11/2026", "vk\xa05/2026", "Q1/2027", "total",
        ]  # fmt: skip
        assert [words.through(label) for label in ("2026-10", "2026-W05", "2026Q4")] == [
            "31.10.2026", "1.2.2026", "31.12.2026",
        ]  # fmt: skip
        assert text(words.day(date(2026, 7, 11))) == "11.7.2026"
        assert text(Period("2026-03")) == "3/2026"
        assert [text(periods(n, "quarter")) for n in (1, 4)] == ["1\xa0neljännes", "4\xa0neljännestä"]
        assert words.stage_word("won") == "voitetut kaupat"
        assert words.stage_word("demo_calls") == "demo calls"


def test_a_locale_gives_the_marks_and_the_language_the_words():
    """English words with the marks of a locale; without one the house's own."""
    said = message(
        "{x:,.1f}~{cur} ({p:percent}) in {month:period}", x=-12_345.6, p=0.37, cur="EUR", month="2026-11"
    )
    assert typed(said) == "-12 345.6 EUR (37 %) in 2026-11"
    with speaking("en", "en_GB"):
        assert text(said) == "−12,345.6\xa0EUR (37%) in 2026-11"
    with speaking("en", "fi_FI"):
        assert text(said) == "−12\xa0345,6\xa0€ (37\xa0%) in 2026-11"


def test_names_are_nobodys_to_translate():
    """A channel that is called as a word of ours stays what it is; a word of ours does not."""
    with speaking("fi"):
        assert (text(Name("Channel")), text("Channel")) == ("Channel", "Kanava")
        assert text(message("{a} {b:word}", a="Channel", b="Channel")) == "Channel Kanava"
        assert text(together("Channel", Name("Channel"), between="; ")) == "Kanava; Channel"


def test_a_third_language_may_have_more_forms():
    """The number goes to the catalogue, which knows the forms of its language."""

    class Three(English):
        def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
            return ("one", "few", "many")[0 if n == 1 else 1 if n < 5 else 2]

    with heard(Voice("xx", Three())):
        said = [text(plural("{n} row", "{n} rows", n=n)) for n in (1, 3, 9)]
    assert said == ["one", "few", "many"]


# ------------------------------------------------------------------------------------------------ files stay English


def test_files_are_english_in_every_language(tables: Results):
    """Checks, verdicts and JSON are the same, whatever is spoken."""
    check = Check(
        "Spend recorded",
        "REVIEW",
        message("{share:percent} of {cur}", share=0.5, cur="EUR"),
        "no spend is recorded",
    )
    told = {"check": check, "verdict": tables.verdict, "said": message("{x:whole}~{cur}", x=1200, cur="EUR")}
    english = json_text(told)
    with speaking("fi"):
        assert json_text(told) == english
        assert check.told()["name"] == "Spend recorded"
    assert "1 200 EUR" in english


def test_the_workbook_speaks_and_keeps_its_numbers(
    tables: Results, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    """Names of sheets, heads, labels are marked, codes and what was typed are not; numbers are the same."""
    import openpyxl

    books = []
    for spoken in (HOUSE, Voice("fi", Marked())):
        monkeypatch.setattr(StudyFacts, "speaking", lambda _, spoken=spoken: heard(spoken))
        write_workbook(tables, tmp_path / "book.xlsx", created=datetime(2026, 11, 1, tzinfo=UTC))
        books.append(openpyxl.load_workbook(tmp_path / "book.xlsx"))
    english, marked = (
        [cell for sheet in book for row in sheet.iter_rows() for cell in row] for book in books
    )
    assert [c.value for c in english if c.data_type == "n"] == [c.value for c in marked if c.data_type == "n"]
    said = [*(str(cell.value) for cell in marked if cell.data_type == "s"), *books[1].sheetnames]
    named = {str(cell.value) for cell in books[1]["⟦Headline⟧"]["F"]}  # names of cells, as formulas have them
    codes = r"[a-z0-9_]+|PASS|REVIEW|(versions|data_sha256) \S+|deal value"
    assert not {left for left in unmarked(said) - named if not re.fullmatch(codes, left)}


# ---------------------------------------------------------------------------------------------------- how it is chosen


def test_the_house_needs_no_catalogue_and_no_locale():
    """English without a locale is the voice that is there already."""
    assert voice() is HOUSE
    assert languages()[0] == "en"
    assert "fi" in languages()


def test_what_is_no_language_is_refused_with_those_there_are():
    """The message lists the languages; a locale that is none is shown what one looks like."""
    with pytest.raises(ValueError, match='expected one of en, fi; came "xx"'):
        voice("xx")
    with pytest.raises(ValueError, match=r'expected a locale such as fi_FI, .*; came "finland"'):
        check_locale("finland")
