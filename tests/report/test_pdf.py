from __future__ import annotations

import logging
import re
import shutil
import subprocess
import unicodedata
from dataclasses import replace

import pytest

from forecast.checks import Check, Verdict
from forecast.report.contents import report_of
from forecast.report.document import Listing, Page
from forecast.report.pdf import document, report_pdf
from forecast.report.plots.channels import economics_wide
from forecast.words import text
from tests.tables_fixture import FOREIGN, HOSTILE, plausible_tables

STAMP = 1_793_491_200
needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")


def text_of(pdf: bytes, tmp_path) -> str:
    """The words of a PDF, every kind of space as one."""
    (tmp_path / "report.pdf").write_bytes(pdf)
    out = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", out.stdout))


def pages_of(pdf: bytes, tmp_path) -> list[str]:
    """The words of each page."""
    (tmp_path / "report.pdf").write_bytes(pdf)
    out = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    return [re.sub(r"\s+", " ", page) for page in out.stdout.split("\f")[:-1]]


@pytest.fixture(scope="module")
def standard() -> bytes:
    """The report of the standard fixture."""
    return report_pdf(plausible_tables(), timestamp=STAMP)


@pytest.mark.outside
@needs_poppler
def test_page_one_says_what_a_board_needs(standard, tmp_path):
    """Verdict with its failing check and advice, forecast with band, wins, P(target), gap and recommendation."""
    pages = pages_of(standard, tmp_path)
    assert 4 <= len(pages) <= 7
    for words in (
        "Growth forecast: demo", "REVIEW", "wins per channel: Read the bands", "do not cut it on these",
        "Expected revenue", "Expected wins", "41 %", "target 192 000 EUR", "short of it", "What to do", "8 420 EUR",
        "80 % band −1 900 to 19 700 EUR", "2026-11 to 2027-01 (3 months)", "Sign-off", "Approved by",
        "What came then", "Expected now",
    ):  # fmt: skip
        assert words in pages[0], words


@pytest.mark.outside
@needs_poppler
def test_every_chapter_is_there(standard, tmp_path):
    """Fan, bridge, luck, funnel, economics, budget with caveats, evidence: each with its sentence."""
    words = text_of(standard, tmp_path)
    for said in (
        "The forecast period by period", "What is assumed", "Contents", "Where it comes from",
        "38 % of the spread (its variance) is luck",
        "Two moneys, never to be added", "never a target", "overpay", "Recommended budget",
        "Attributed is not incremental", "Learnt from the data", "Response to spend", "Largest R-hat",
        "Audit of the data", "20261101", "9f2c" * 16, "51ab" * 16, "pymc 6.4.0", "published range",
    ):  # fmt: skip
        assert said in words, said
    assert "FAIL: not for decisions" not in words


@pytest.mark.outside
@needs_poppler
def test_tables_say_what_the_tables_hold(standard, tmp_path):
    """Numbers of the forecast and of the budget arrive on paper."""
    tables = plausible_tables()
    words = text_of(standard, tmp_path).replace("\u202f", " ")
    for row in tables.allocation.to_dict("records"):
        assert f"{row['recommended']:,.0f}".replace(",", " ") in words
    total = tables.forecast.query("measure == 'revenue' and channel == 'total' and period == 'total'").iloc[0]
    assert f"{round(total['mean'], -3):,.0f}".replace(",", " ") in words


@pytest.mark.outside
@needs_poppler
def test_a_failed_fit_is_stamped(tmp_path):
    """FAIL stands on page 1 with its check, and in the head of every page."""
    pages = pages_of(
        report_pdf(plausible_tables(status="FAIL", channels=("seo", "ppc")), timestamp=STAMP), tmp_path
    )
    assert "Do not use these numbers for a decision." in pages[0]
    assert "divergences: Tighten the priors and fit again." in pages[0]
    assert pages[0].index("divergences") < pages[0].index("wins per channel")
    assert all("FAIL: not for decisions" in page for page in pages)


@pytest.mark.outside
@needs_poppler
def test_hostile_names_print_as_themselves(tmp_path, caplog):
    """No name is markup, code, mathematics or a formula in the report."""
    with caplog.at_level(logging.WARNING):
        words = text_of(report_pdf(plausible_tables(channels=HOSTILE), timestamp=STAMP), tmp_path)
    for name in ('#import "x"', "=cmd|' /C calc'!A0", " _x ", "$\\frac{$", "<b>&amp;\\", "@SUM(1)"):
        assert name in words, name
    assert not caplog.records


@pytest.mark.outside
@needs_poppler
def test_signs_without_a_shape_become_boxes(tmp_path, caplog):
    """A name in a script that the font lacks does not stop the report; one warning says what happened."""
    with caplog.at_level(logging.WARNING, logger="forecast.report.pdf"):
        pdf = report_pdf(plausible_tables(channels=FOREIGN), timestamp=STAMP)
    words = text_of(pdf, tmp_path)
    assert "party" in words
    # A machine with a Chinese font shows the name itself and warns of nothing.
    if "広告" not in words:
        assert "□□ □□" in words
        assert 1 == len(caplog.records)


@pytest.mark.outside
@needs_poppler
def test_no_material_change_is_the_recommendation(tmp_path):
    """Where a move is not worth it, page 1 and the budget page say so."""
    pages = pages_of(
        report_pdf(plausible_tables(material=False, channels=("seo", "ppc")), timestamp=STAMP), tmp_path
    )
    assert "No material change: keep the current split." in pages[0]
    assert any("Budget: no material change" in page for page in pages)


@pytest.mark.outside
@needs_poppler
def test_a_small_study_has_a_report(tmp_path):
    """Two stages, one channel, no revenue, no spend, no target: pages say so instead of standing empty."""
    tables = plausible_tables(
        channels=["ppc"],
        stages=("leads", "won"),
        revenue=False,
        spend=False,
        target=None,
        status="PASS",
        past=12,
    )
    words = text_of(report_pdf(tables, timestamp=STAMP), tmp_path)
    for said in (
        "The forecast period by period", "The data hold no deal values", "The study sets no target.",
        "No budget is recommended", "Record the spend", "neither spend nor deal values",
    ):  # fmt: skip
        assert said in words, said
    assert not re.search(r"\bnan\b", words, re.IGNORECASE)


@pytest.mark.slow
@pytest.mark.outside
@needs_poppler
def test_a_large_study_has_a_report(tmp_path):
    """Twenty channels, six stages, 24 weeks: every channel and week is there, and page 1 stays one page."""
    channels = [f"channel {k:02d}" for k in range(20)]
    stages = ("visitors", "leads", "meetings", "site_visits", "qualified", "won")
    tables = plausible_tables(channels=channels, stages=stages, horizon=24, kind="week")
    pages = pages_of(report_pdf(tables, timestamp=STAMP), tmp_path)
    words = " ".join(pages)
    assert "Revenue over the horizon" in pages[1]
    assert "12 more in report.xlsx" in pages[0]
    assert "into site visits" in words
    assert all(c in words for c in channels)
    assert all(w in words for w in tables.study.horizon)
    assert len(pages) <= 12


@pytest.mark.outside
@needs_poppler
def test_the_front_is_one_sheet(tmp_path):
    """Its sign-off stays on it where checks take more lines than usual: all of it is set smaller."""
    tables = plausible_tables(channels=[f"channel {k:02d}" for k in range(20)])
    long = (
        "Ask for what is missing, and look at the bands with care until it is there, month after month. " * 3
    )
    checks = [Check(f"check {k}", "REVIEW", "1", long, "0") for k in range(4)]
    crowded = replace(tables, verdict=replace(tables.verdict, checks=checks))
    fits, too_long = (pages_of(report_pdf(made, timestamp=STAMP), tmp_path) for made in (tables, crowded))
    assert all("Approved by" in pages[0] for pages in (fits, too_long))
    assert fits[1][:1000] == too_long[1][:1000]  # the contents below say other pages


@pytest.mark.parametrize("periods", [1, 12])
def test_horizons_of_one_and_twelve(periods):
    """A single period and a year make a PDF without a complaint."""
    pdf = report_pdf(
        plausible_tables(horizon=periods, kind="quarter", channels=("seo", "ppc")), timestamp=STAMP
    )
    assert pdf.startswith(b"%PDF")


def test_the_file_is_tagged_and_archival(standard):
    """The standards are written into the file, its title and language too."""
    assert b"pdfaid:part" in standard
    assert b"pdfuaid:part" in standard
    assert b"/Lang (en)" in standard or b"/Lang(en)" in standard
    assert b"/StructTreeRoot" in standard


def test_same_tables_same_bytes(standard):
    """Made twice, the report is the same file (other processes: see the tests of export)."""
    assert standard == report_pdf(plausible_tables(), timestamp=STAMP)


def test_every_figure_has_words_and_a_table():
    """No figure without alternative text, and a table in the same part or the next."""
    for page in report_of(plausible_tables()).pages:
        for this, after in zip(page.parts, [*page.parts[1:], None], strict=True):
            if this.figure is None:
                continue
            assert len(text(this.figure.alt)) > 40
            assert this.lead, "a sentence stands beside each figure"
            followed = this.listings or (after and after.listings) or "contribution" in this.title
            assert followed, this.title


def test_both_worths_have_their_own_column():
    """Worth of a lead and worth of a qualified lead stand side by side under their right names."""
    (page,) = [p for p in report_of(plausible_tables()).pages if p.title == "Funnel and unit economics"]
    heads = [head for part in page.parts for listing in part.listings for head in listing.heads]
    assert heads.index("Worth of a lead") + 1 == heads.index("Worth of a qualified lead")


def test_economics_keep_the_order_of_channels_and_end_with_the_total():
    """A channel without spend has dashes, not another place."""
    table = plausible_tables(channels=("seo", "email", "ppc")).economics
    table = table[~((table["channel"] == "seo") & (table["measure"] == "spend"))]
    assert {"seo", "email", "ppc"} == set(economics_wide(table)["channel"][:3])
    assert "total" == economics_wide(table)["channel"].iloc[-1]


def test_many_failing_checks_do_not_push_the_headline_away():
    """Page 1 shows four checks, the worst first, and says how many more there are."""
    tables = plausible_tables(status="FAIL")
    checks = [*tables.verdict.checks, *(Check(f"check {k}", "REVIEW", "1", "Look.", "0") for k in range(9))]
    many = replace(tables, verdict=Verdict("FAIL", tables.verdict.sentence, checks))
    front = replace(report_of(many), pages=report_of(many).pages[:1])
    verdict = document(front)["pages"][0]["parts"][0]["verdict"]
    assert 4 == len(verdict["failing"])
    assert "FAIL" == verdict["failing"][0]["status"]
    assert verdict["more"].startswith("7 more")


def test_columns_that_nobody_filled_are_left_out():
    """An audit without advice has no column of advice; one advice brings it back."""
    tables = plausible_tables(channels=("seo", "ppc"))

    def audit() -> Listing:
        page: Page = next(p for p in report_of(tables).pages if p.title == "Evidence")
        return next(part for part in page.parts if part.title == "Audit of the data").listings[0]

    assert ["Check", "Status", "Evidence", "Advice"] == audit().heads
    tables.audit["advice"] = ""
    quiet = audit()
    assert ["Check", "Status", "Evidence"] == quiet.heads
    assert {3} == {len(quiet.align), len(quiet.widths), *(len(row.cells) for row in quiet.rows)}
