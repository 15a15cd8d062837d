"""Pages on a terminal: aligned columns, checks as lines, bands in brackets, and signs that any terminal has."""

from __future__ import annotations

import pandas as pd

from forecast.checks import Check, Verdict
from forecast.report import audit_page, terminal_text
from forecast.report.contents import report_of
from forecast.report.document import Bar, Listing, Over, Page, Part, Row, Tile, checklist
from forecast.speech import English, Voice
from forecast.words import heard, message
from tests.tables_fixture import HOSTILE, plausible_tables


def test_audit_as_text():
    """Each check is a line; what wants attention is followed by what to do."""

    audit = pd.DataFrame(
        [["stages", "PASS", "all four there", ""], ["periods", "REVIEW", "9 months", "add history"]],
        columns=["check", "status", "evidence", "advice"],
    )
    assert terminal_text(audit_page(audit, audit.head(0))).splitlines()[:3] == [
        "PASS    stages: all four there",
        "REVIEW  periods: 9 months",
        "        -> add history",
    ]


def test_the_verdict_names_what_failed_first_and_how_much_is_left():
    """Eight checks with what to do, those that failed first; what a check expects only where it says more than PASS."""
    checks = [Check(f"check {k}", "REVIEW", "1", "look", "PASS") for k in range(9)]
    checks.append(Check("R-hat", "FAIL", message("{x:.3f}", x=1.02), "fit again", "below 1.01"))
    lines = terminal_text(Page(parts=[Part(verdict=Verdict("FAIL", "No.", checks))])).splitlines()
    assert lines[:5] == [
        "FAIL. No.",
        "  FAIL    R-hat: 1.020 (expected below 1.01)",
        "          -> fit again",
        "  REVIEW  check 0: 1",
        "          -> look",
    ]
    assert lines[-1] == "  ... and 2 more in the report"


def test_cells_stand_in_columns():
    """Bands in brackets, shares without their bar, the first column flush left; no sign beyond what people type."""
    rows = [
        Row(
            [
                "a",
                Over(message("{x:whole}", x=-1200), message("{x:band}", x=(-2000.0, 5.0))),
                Bar(0.5, "50 %"),
            ]
        ),
        Row(["longer", "\N{EN DASH}", ""], strong=True),
    ]
    page = Page(
        "Title", [Part("Part", listings=[Listing(["Name", message("80~%"), "Share"], rows, "lrr", "a11")])]
    )
    assert terminal_text(page).splitlines() == [
        "Title",
        "",
        "Part",
        "Name                     80 %   Share",
        "a        -1 200 (-2 000 to 0)    50 %",
        "longer                      -",
    ]


def test_prose_wraps_at_words_and_tables_fold():
    """Where the room is known: below the first word of a check or a point; columns without room go on below."""
    checks = [Check("a name", "REVIEW", "one two three four five six seven", "do this and then that at once")]
    rows = [Row(["a channel", "1 234 567", "1 234 567", "1 234 567"])]
    parts = [
        Part(listings=[checklist(checks)], points=["a point of more words than a line of it can hold"]),
        Part(listings=[Listing(["Name", "one", "two", "three"], rows, "lrrr", "a111")]),
    ]
    page = Page(parts=parts)
    assert terminal_text(page, 40).splitlines() == [
        "REVIEW  a name: one two three four five",
        "        six seven",
        "        -> do this and then that at once",
        "- a point of more words than a line of",
        "  it can hold",
        "",
        "Name              one         two",
        "a channel   1 234 567   1 234 567",
        "",
        "Name            three",
        "a channel   1 234 567",
    ]
    assert terminal_text(page, 200) == terminal_text(page)


def test_heads_then_texts_go_onto_several_lines():
    """Before a table is folded: numbers stay whole, and no word is broken."""
    rows = [Row(["something said in words", "1 234 567"]), Row(["short", "8"])]
    page = Page(parts=[Part(listings=[Listing(["Name", "a long head of many words"], rows, "lr", "a1")])])
    assert terminal_text(page, 40).splitlines() == [
        "                          a long head of",
        "Name                          many words",
        "something said in words        1 234 567",
        "short                                  8",
    ]
    assert terminal_text(page, 30).splitlines() == [
        "                        a long",
        "                       head of",
        "                          many",
        "Name                     words",
        "something said in    1 234 567",
        "words",
        "short                        8",
    ]


def test_every_page_fits_a_narrow_terminal():
    """Of a whole report, no line is longer than 80 signs."""
    for page in report_of(plausible_tables()).pages:
        assert max(map(len, terminal_text(page, 80).split("\n"))) <= 80


def test_every_page_of_a_report_can_be_typed():
    """The same parts that the PDF shows, with hostile names as text on one line, and no typographic space."""
    for page in report_of(plausible_tables(channels=HOSTILE, status="FAIL")).pages:
        said = terminal_text(page)
        assert said
        assert not set(said) & set("\u00a0\u202f\u2212\u2013\u00ad")
    front = terminal_text(report_of(plausible_tables()).pages[0])
    assert "Probability of the target: 41 %, target 192 000 EUR: " in front
    assert "Conversion and close rates" in front
    assert "Approved by: ____" in front


def test_a_fifth_hand_needs_nothing_but_the_page():
    """All that a part may hold is data: texts, messages, cells; a listing of checks keeps the checks."""
    checks = [Check("a", "PASS", "fine"), Check("b", "FAIL", "not", "mend", "fine")]
    made = checklist(checks)
    assert made.checks == checks
    assert [row.strong for row in made.rows] == [False, True]
    assert (
        terminal_text(Page(parts=[Part(tiles=[Tile("n", "1", "below")], points=["p"])])) == "n: 1, below\n- p"
    )


def test_another_language_is_a_catalogue_and_touches_no_call():
    """The same page in another language: templates and the words of writers come from its catalogue, the rest stays."""
    finnish = {
        "Revenue of {ends:band}~{cur}, {p:chance} of more.": "Liikevaihto {ends:band}~{cur}, yli {p:chance}."
    }
    words = finnish | {" to ": "–", "below": "alle"}

    class Made(English):
        def gettext(self, message: str) -> str:
            return words.get(message, message)

    said = message(
        "Revenue of {ends:band}~{cur}, {p:chance} of more.", ends=(950.0, 1500.0), cur="EUR", p=0.001
    )
    page = Page(parts=[Part(lead=said)])
    assert terminal_text(page).strip() == "Revenue of 950 to 1 500 EUR, below 1 % of more."
    with heard(Voice("fi", Made())):
        assert terminal_text(page).strip() == "Liikevaihto 950-1 500 EUR, yli alle 1 %."
    assert terminal_text(page).strip() == "Revenue of 950 to 1 500 EUR, below 1 % of more."
