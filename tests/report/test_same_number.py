"""One term, one value, one format: what a run says of a quantity is the same in every hand.

    numbers   summary.json, CSV, the named cells and sheets of the workbook, the page to try things on: equal
    words     paper and terminal: each quantity is written in one way; what is close to it and written otherwise is
              another format of the same, and the median never stands where the expected value is meant

The fast twin reads the pages as data, which the PDF is set from; `outside` reads the PDF itself.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from forecast import workflow
from forecast.outputs import KINDS
from forecast.report import summary_page, terminal_text
from forecast.report.contents import report_of
from forecast.report.document import Over, Page
from forecast.words import known, message, typed
from tests.conftest import STUDY, DemoRun, counts

NUMBER = re.compile(r"(?<![\d.,])[-+]?\d{1,3}(?: \d{3})*(?:\.\d+)?(?![\d,]*\d)")
CLOSE = 0.004  # of a number: what is as close and reads otherwise is the same number in another format
LEVELS = {"expected": "mean", "q10": "q10", "median": "q50", "q90": "q90"}


@dataclass(frozen=True)
class Quantity:
    """Something that a run says: its value by hand, and how words write it (a writer of `words`; "" for none)."""

    name: str
    by_hand: Mapping[str, float]
    writer: str = ""
    median: float | None = None

    @property
    def value(self) -> float:
        """What summary.json has."""
        return self.by_hand["summary.json"]

    @property
    def said(self) -> str:
        """The one way in which it is written."""
        return self._written(self.value)

    @property
    def said_median(self) -> str:
        """The same of the median, which is another quantity."""
        return "" if self.median is None else self._written(self.median)

    def _written(self, value: float) -> str:
        return typed(message(f"{{x:{self.writer}}}", x=value))


def cell(book: Any, name: str) -> float | None:
    """The value of a named cell; None where there is no such name."""
    if name not in book.defined_names:
        return None
    ((sheet, place),) = book.defined_names[name].destinations
    return book[sheet][place.replace("$", "")].value


def sheet_rows(book: Any, name: str) -> list[dict[str, Any]]:
    """The rows of the first table of a sheet."""
    sheet = book[name]
    head, *rows = ([c.value for c in row] for row in sheet[next(iter(sheet.tables.values())).ref])
    return [dict(zip(head, row, strict=True)) for row in rows]


def page_data(folder: Path) -> dict[str, Any]:
    """What the page to try things on was made from; empty where the run wrote none."""
    path = folder / "whatif.html"
    if not path.is_file():
        return {}
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8")
    )
    return dict(json.loads(found[1])) if found else {}


def quantities(folder: Path) -> list[Quantity]:
    """Every quantity that more than one hand of a run tells, with what each says."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    head, book = summary["headline"], openpyxl.load_workbook(folder / "report.xlsx")
    totals = pd.read_csv(folder / "totals.csv", dtype={"period": str})
    whole = totals[(totals["period"] == "total") & (totals["channel"] == "total")].set_index("measure")
    listed = {row["measure"]: row for row in summary["totals"]}
    page = page_data(folder)
    run = page.get("run", {}).get("given", {})
    made: list[Quantity] = []

    def add(name: str, writer: str = "", median: float | None = None, **hands: float | None) -> None:
        told = {hand.replace("__", " ").replace("_", "."): x for hand, x in hands.items() if known(x)}
        if "summary.json" in told:
            made.append(Quantity(name, told, writer, median))

    for measure, writer in (("revenue", "number"), ("won", "count"), ("eventual", "number")):
        for end, level in LEVELS.items():
            row = whole.loc[measure] if measure in whole.index else {}
            tried = run.get(measure, [{}])[-1]
            add(
                f"{measure} {end}",
                writer if end == "expected" else "",
                head.get(f"{measure}_q50"),
                summary_json=head.get(f"{measure}_{level}"),
                totals_csv=row.get(level),
                totals=listed.get(measure, {}).get(level),
                report_xlsx=cell(book, f"{measure.capitalize()}_{end}"),
                whatif_html=tried.get(level) if measure != "eventual" else None,
            )
    chance = {"report_xlsx": cell(book, "P_target"), "whatif_html": run.get("target")}
    add("P(target)", "chance", summary_json=head.get("p_target"), **chance)
    moved = page.get("run", {}).get("recommended", {}).get("target")
    then = {"report_xlsx": cell(book, "P_target_recommended"), "whatif_html": moved}
    add("P(target), recommended", "chance", summary_json=head.get("p_target_recommended"), **then)
    add("gap", "", summary_json=head.get("gap"), report_xlsx=cell(book, "Target_gap"))
    for end in ("expected", "q10", "q90"):
        writer = "number" if end == "expected" else ""
        told = {"report_xlsx": cell(book, f"Gain_{end}")}
        add(f"gain {end}", writer, summary_json=head.get(f"gain_{LEVELS[end]}"), **told)
    made += _budget(folder, summary, book, whole)
    return made


def _budget(folder: Path, summary: Mapping[str, Any], book: Any, whole: pd.DataFrame) -> Iterator[Quantity]:
    """Spend, current and recommended, in total and by channel."""
    if not summary["allocation"]:
        return
    table = pd.read_csv(folder / "allocation.csv")
    sheet = {row["channel"]: row for row in sheet_rows(book, "Budget")}
    paid = {row["channel"]: row for row in summary["allocation"]}
    for plan in ("current", "recommended"):
        added = {
            "summary.json": sum(row[plan] for row in summary["allocation"]),
            "allocation.csv": float(table[plan].sum()),
            "report.xlsx": cell(book, f"{plan.capitalize()}_total"),
            "Budget": sum(row[plan] for row in sheet.values()),
        }
        if plan == "current":
            added["totals.csv"] = float(whole.loc["spend", "mean"])
        yield Quantity(f"spend {plan}", added, "whole")
        for row in table.to_dict("records"):
            name = str(row["channel"]).removeprefix("'")
            told = {
                "summary.json": paid[name][plan],
                "allocation.csv": row[plan],
                "Budget": sheet[name][plan],
            }
            yield Quantity(f"spend {plan} of {name}", told, "whole")


def sentences(page: Page) -> Iterator[str]:
    """What a page says in words."""
    for part in page.parts:
        for said in (part.lead, part.text, part.note, *part.points):
            if said:
                yield typed(said)
        for tile in part.tiles:
            yield typed(
                message("{name}: {value}, {below}", name=tile.name, value=tile.value, below=tile.below)
            )


def cells(page: Page) -> Iterator[tuple[str, str, str]]:
    """The cells of its listings: head, first cell of the row, and what stands there."""
    for part in page.parts:
        for listing in part.listings:
            for row in listing.rows:
                for head, found in zip(listing.heads, row.cells, strict=True):
                    said = found.said if isinstance(found, Over) else found
                    yield typed(head), typed(row.cells[0]), typed(getattr(said, "said", said))


def otherwise(quantity: Quantity, text: str) -> list[str]:
    """Numbers of a text that are close to a quantity and written in another way."""
    near = []
    for found in NUMBER.findall(text):
        number = float(found.replace(" ", "").lstrip("+"))
        scaled = number / 100 if quantity.writer == "chance" else number
        close = abs(scaled - quantity.value) <= CLOSE * abs(quantity.value)
        if close and found.lstrip("+") != NUMBER.findall(quantity.said)[0]:
            near.append(found)
    return near


def check_numbers(told: list[Quantity]) -> None:
    """Every hand has the same number, to the digits that it keeps."""
    assert {"summary.json", "report.xlsx"} <= {hand for quantity in told for hand in quantity.by_hand}
    for quantity in told:
        for hand, number in quantity.by_hand.items():
            assert number == pytest.approx(quantity.value, rel=1e-8, abs=1e-8), (quantity.name, hand)


def check_words(told: list[Quantity], pieces: list[str], where: str) -> None:
    """No quantity in two formats, and no piece of text with a median that does not say so."""
    for quantity in filter(is_large, told):
        others = {each.said for each in told if each.writer and each is not quantity}
        middle = {quantity.said_median} - {quantity.said, ""} - others
        for line in pieces:
            assert not otherwise(quantity, line), (where, quantity.name, quantity.said, line)
            if "median" not in line.casefold():
                assert not middle & set(NUMBER.findall(line)), (where, quantity.name, line)


def is_large(quantity: Quantity) -> bool:
    """Whether a number like it is not there by chance: small counts, chances and parts are everywhere."""
    large = quantity.writer not in ("", "chance") and abs(quantity.value) >= 1000
    return large and " of " not in quantity.name


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run of a small company that pays for both of its channels, with its files but the PDF and the draws."""
    home = tmp_path_factory.mktemp("same")
    (home / "small.toml").write_text(STUDY.replace("40_000", "60_000"), encoding="utf-8")
    table = pd.read_csv(io.StringIO(counts()))
    paid = 1813 + 97 * (table.index % 7)
    table["spend"] = table["spend"].where(table["channel"] == "ppc", paid)
    table.to_csv(home / "small.csv", index=False)
    kinds = [kind for kind in ("xlsx", "csv", "whatif") if kind in KINDS]
    made = workflow.run(
        home / "small.toml", out=home / "out", preview=True, draws=300, go_on=True, outputs=kinds
    )
    return home / "out", made.made


def test_every_hand_has_the_same_number(small: tuple[Path, Any]):
    """summary.json, CSV, workbook and page: names, sheets and rows."""
    folder, _ = small
    told = quantities(folder)
    assert len(told) >= 15
    check_numbers(told)


def test_periods_are_the_same_in_sheet_and_csv(small: tuple[Path, Any]):
    """The expected value of each period, in the totals, the chart's table and the JSON of the page."""
    folder, made = small
    book = openpyxl.load_workbook(folder / "report.xlsx")
    totals = pd.read_csv(folder / "totals.csv", dtype={"period": str})
    rows = totals[(totals["channel"] == "total") & (totals["measure"] == "revenue")].set_index("period")
    ahead = [row for row in sheet_rows(book, "By period") if row["expected"] is not None]
    assert len(ahead) == len(made.study.horizon)
    for label, row in zip(made.study.horizon, ahead, strict=True):
        assert f"{row['period']:%Y-%m}" == label
        assert row["expected"] == pytest.approx(rows.loc[label, "mean"], rel=1e-8)
        assert row["90 %"] == pytest.approx(rows.loc[label, "q90"], rel=1e-8)


def test_words_say_each_number_in_one_way(small: tuple[Path, Any]):
    """Pages and terminal: the expected value where it is meant, as it is rounded everywhere."""
    folder, made = small
    told = {quantity.name: quantity for quantity in quantities(folder)}
    pages = report_of(made).pages
    paper = [line for page in pages for line in sentences(page)]
    terminal = terminal_text(summary_page(made)).splitlines()
    check_words(list(told.values()), paper, "paper")
    check_words(list(told.values()), terminal, "terminal")
    for text in map("\n".join, (paper, terminal)):
        assert told["revenue expected"].said in text
        assert told["P(target)"].said in text
        assert told["gain expected"].said in text


def test_tables_say_what_sentences_say(small: tuple[Path, Any]):
    """A number of the whole horizon stands in tables as in words; each channel's spend to the unit."""
    folder, made = small
    told = {quantity.name: quantity for quantity in quantities(folder)}
    shown = [each for page in report_of(made).pages for each in cells(page)]
    for name in (name for name in told if is_large(told[name]) and not name.startswith("eventual")):
        single = [
            each for each in shown if " to " not in each[2] and each[2] != each[1]
        ]  # no bands, no labels
        near = [each for each in single if otherwise(told[name], each[2])]
        assert not near, (name, told[name].said, near)
        assert any(told[name].said == said.lstrip("+") for _, _, said in shown), name
    for name, quantity in told.items():
        if " of " in name and quantity.value >= 1000:
            assert any(quantity.said == said for _, _, said in shown), name
    money = told["revenue expected"]
    of_it = [each for each in shown if "revenue" in each[1] or each[0].startswith(("revenue", "Expected"))]
    medians = [each for each in of_it if each[2] == money.said_median != money.said]
    assert all("median" in head.casefold() for head, _, _ in medians), medians


def test_a_customer_costs_the_same_on_every_page(small: tuple[Path, Any]):
    """Cost of a customer, LTV / CAC: one statistic, on the pages of the funnel, of the customer and of mistakes."""
    _, made = small
    rows = {
        str(row["channel"]): row
        for row in made.economics[made.economics["measure"] == "cac"].to_dict("records")
    }
    shown = [each for page in report_of(made).pages for each in cells(page)]
    told = [
        each for each in shown if each[0] in ("Cost per customer", "Cost of a customer") and each[1] in rows
    ]
    assert {head for head, _, _ in told} == {"Cost per customer", "Cost of a customer"}
    assert (
        rows["total"]["mean"] > 1.005 * rows["total"]["q50"]
    )  # or it could not be told which of them is shown
    for head, channel, said in told:
        assert said == typed(message("{x:number}", x=rows[channel]["mean"])), (head, channel)
    paper = "\n".join(line for page in report_of(made).pages for line in sentences(page))
    assert f"A customer costs {typed(message('{x:number}', x=rows['total']['mean']))} EUR" in paper


@pytest.mark.outside
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_the_pdf_says_what_the_files_say(demo_run: DemoRun):
    """The demo as it is read: PDF, workbook, CSV and JSON."""
    told = quantities(demo_run.folder)
    check_numbers(told)
    made = subprocess.run(
        ["pdftotext", "-layout", demo_run.folder / "report.pdf", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pages = [typed(page) for page in made.split("\f")]
    forecast = [
        page for page in pages if "Totals of demo.csv" not in page
    ]  # where exact sums of the past stand
    check_words([quantity for quantity in told if quantity.writer != "whole"], forecast, "PDF")
    text = "\n".join(pages)
    by = {quantity.name: quantity for quantity in told}
    for name in ("revenue expected", "P(target)", "gain expected", "spend current", "spend recommended"):
        assert by[name].said in text, name
