"""Reading: every kind of file gives the same history, and every bad one a message that a controller can act on."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import xlsxwriter

from forecast.errors import DataError, ForecastError, StudyError
from forecast.history.history import History
from forecast.history.read import read_history, read_plan
from forecast.study import Study, load_study

COUNTS = "period,channel,spend,visitors,leads,qualified,won,revenue\n" + "".join(
    f"2026-0{m},{channel},{100 * m},1000,30,12,3,15000\n" for m in (1, 2, 3) for channel in ("ppc", "seo")
)
LEADS = """\
lead_id,channel,created,qualified,won,lost,amount
a,ppc,2026-01-05,2026-01-09,2026-02-20,,1000
b,,2026-01-15 10:11:12,,,2026-03-31,
c,seo,2026-02-15T10:11:12Z,,,,
"""
ACTIVITY = "period,channel,spend,visitors\n" + "".join(f"2026-0{m},ppc,10,100\n" for m in (1, 2, 3))


def study_of(folder: Path, **history: Any) -> Study:
    """A study over files in the folder."""
    plan = history.pop("plan", {})
    funnel = history.pop("funnel", {})
    return Study.model_validate(
        {"name": "x", "history": history, "plan": plan, "funnel": funnel, "folder": folder}
    )


def counts_of(folder: Path, text: str | bytes, **history: Any) -> History:
    """The history of these counts."""
    (folder / "counts.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_history(study_of(folder, counts="counts.csv", **history))


def leads_of(folder: Path, text: str | bytes, **history: Any) -> History:
    """The history of these leads."""
    (folder / "leads.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_history(study_of(folder, leads="leads.csv", **history))


def message(read: Any, *args: Any, kind: type[ForecastError] = DataError, **options: Any) -> str:
    """What a person is told."""
    with pytest.raises(kind) as caught:
        read(*args, **options)
    return str(caught.value)


def write_excel(path: Path, text: str, *, as_dates: bool = True, gap: int = 0) -> None:
    """The table as a workbook: numbers as numbers, ISO dates as date cells or as day numbers, empty rows in between."""
    book = xlsxwriter.Workbook(str(path))
    sheet, day = book.add_worksheet("Data"), book.add_format({"num_format": "yyyy-mm-dd"})
    for i, line in enumerate(text.strip().split("\n")):
        for j, cell in enumerate(line.split(",")):
            row = i if i == 0 else i + gap
            try:
                date = dt.datetime.fromisoformat(cell.rstrip("Z"))
            except ValueError:
                date = None
            if date is not None and len(cell) >= 10:
                sheet.write_datetime(row, j, date, day) if as_dates else sheet.write_number(
                    row, j, (date.date() - dt.date(1899, 12, 30)).days
                )
            elif cell.replace(".", "").isdigit():
                sheet.write_number(row, j, float(cell))
            elif cell:
                sheet.write_string(row, j, cell)
    book.close()


def write_parquet(path: Path, csv: Path, *, typed: bool) -> None:
    """The CSV as Parquet, with real dates and numbers or all as text."""
    with duckdb.connect() as connection:
        table = connection.read_csv(str(csv), header=True, all_varchar=not typed)
        table.write_parquet(str(path))


# The same history from every kind of file


@pytest.mark.parametrize(
    "change", ["bom", "semicolon", "tab", "crlf", "upper", "dates", "trailing", "extra column", "blanks"]
)
def test_spellings_of_a_csv_are_the_same_history(tmp_path: Path, change: str) -> None:
    """Byte-order mark, separator, line ends, case of the header, dates for months, empty lines: nothing changes."""
    changed = {
        "bom": "\ufeff" + COUNTS,
        "semicolon": COUNTS.replace(",", ";"),
        "tab": COUNTS.replace(",", "\t"),
        "crlf": COUNTS.replace("\n", "\r\n"),
        "upper": COUNTS.replace("period", " Period ").replace("spend", "SPEND"),
        "dates": COUNTS.replace("2026-02", "2026-02-17"),
        "trailing": COUNTS + "\n,,,,,,,\n\n",
        "extra column": "".join(f"{line},what\n" for line in COUNTS.splitlines()),
        "blanks": COUNTS.replace(",ppc,", ", ppc ,"),
    }[change]

    assert counts_of(tmp_path, changed).fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()


@pytest.mark.parametrize("form", ["dates", "numbers", "empty rows", "parquet", "parquet of text"])
def test_counts_from_excel_and_parquet(tmp_path: Path, form: str) -> None:
    """Date cells, Excel's day numbers, empty rows, typed or text Parquet: the same history as from the CSV."""
    whole = (
        COUNTS.replace("2026-01", "2026-01-01")
        .replace("2026-02", "2026-02-01")
        .replace("2026-03", "2026-03-01")
    )
    expected = counts_of(tmp_path, whole)
    if form.startswith("parquet"):
        write_parquet(tmp_path / "c.parquet", tmp_path / "counts.csv", typed=form == "parquet")
        history = read_history(study_of(tmp_path, counts="c.parquet"))
    else:
        write_excel(
            tmp_path / "c.xlsx", whole, as_dates=form != "numbers", gap=2 if form == "empty rows" else 0
        )
        history = read_history(study_of(tmp_path, counts="c.xlsx"))

    assert history.fingerprint() == expected.fingerprint()
    assert len(next(iter(history.sources.values()))) == 64


@pytest.mark.parametrize(
    "form", ["bom and semicolon", "excel", "excel numbers", "parquet", "parquet of text", "glob"]
)
def test_leads_from_every_kind_of_file(tmp_path: Path, form: str) -> None:
    """The same leads give the same history; a file name with wildcards stands for itself."""
    expected = leads_of(tmp_path, LEADS)
    if form == "bom and semicolon":
        history = leads_of(tmp_path, "\ufeff" + LEADS.replace(",", ";").replace("\n", "\r\n") + "\r\n\r\n")
    elif form == "glob":
        (tmp_path / "l[1]*?.csv").write_text(LEADS, encoding="utf-8")
        history = read_history(study_of(tmp_path, leads="l[1]*?.csv"))
    elif form.startswith("parquet"):
        write_parquet(tmp_path / "l.parquet", tmp_path / "leads.csv", typed=form == "parquet")
        history = read_history(study_of(tmp_path, leads="l.parquet"))
    else:
        write_excel(tmp_path / "l.xlsx", LEADS, as_dates=form == "excel")
        history = read_history(study_of(tmp_path, leads="l.xlsx"))

    assert history.fingerprint() == expected.fingerprint()
    assert history.channels == ["(blank)", "ppc", "seo"]
    assert history.reading["blank_channel"] == "1 of 3"


def test_columns_are_mapped(tmp_path: Path) -> None:
    """`columns` names ours and theirs; an activity file beside leads may keep our names."""
    text = COUNTS.replace("period", "Month").replace("won", "Closed Won")
    mapped = counts_of(tmp_path, text, columns={"period": "month ", "won": "Closed won"})
    assert mapped.fingerprint() == counts_of(tmp_path, COUNTS).fingerprint()

    (tmp_path / "a.csv").write_text(ACTIVITY, encoding="utf-8")
    theirs = LEADS.replace("channel", "origin").replace("lead_id", "id")
    history = leads_of(tmp_path, theirs, activity="a.csv", columns={"channel": "origin", "lead_id": "id"})
    assert history.stages == ("visitors", "leads", "qualified", "won")
    assert np.nansum(history.counts["visitors"]) == 300
    assert np.isnan(history.counts["visitors"].sel(channel="seo")).all()


def test_a_leading_stage_may_be_missing(tmp_path: Path) -> None:
    """Without visitors the funnel starts at leads; a stage in the middle may not be left out."""
    history = counts_of(tmp_path, COUNTS.replace("visitors", "hits"))

    assert history.stages == ("leads", "qualified", "won")
    assert 'no column "qualified"' in message(counts_of, tmp_path, COUNTS.replace("qualified", "fine"))


def test_counts_by_week_and_quarter(tmp_path: Path) -> None:
    """ISO weeks start on Monday; a date stands for the week that holds it."""
    lines = COUNTS.splitlines()[0] + "\n2026-W01,ppc,1,1,1,1,1,1\n2026-01-11,ppc,1,1,1,1,1,1\n"
    history = counts_of(tmp_path, lines, period="week")
    assert history.labels == ["2026-W01", "2026-W02"]
    assert str(history.periods[0]) == "2025-12-29"

    quarters = COUNTS.splitlines()[0] + "\n2025Q4,ppc,1,1,1,1,1,1\n2026-02,ppc,1,1,1,1,1,1\n"
    assert counts_of(tmp_path, quarters, period="quarter").labels == ["2025Q4", "2026Q1"]


# Windows


def test_the_window_of_counts(tmp_path: Path) -> None:
    """from and through are included; what is left out is noted; a period that has not ended is partial."""
    history = counts_of(tmp_path, COUNTS, **{"from": "2026-02", "through": "2026-02"})
    assert history.labels == ["2026-02"]
    assert history.reading == {"before": "2", "after": "2"}

    study = study_of(tmp_path, counts="counts.csv")
    running = read_history(study, today=dt.date(2026, 3, 30))
    assert (running.labels[-1], running.reading["partial"]) == ("2026-02", "2026-03")
    assert read_history(study, today=dt.date(2026, 4, 1)).labels[-1] == "2026-03"
    asked = study_of(tmp_path, counts="counts.csv", through="2026-03")
    assert read_history(asked, today=dt.date(2026, 3, 30)).labels[-1] == "2026-03"


def test_the_last_month_of_leads_is_partial_unless_it_ended(tmp_path: Path) -> None:
    """The last date in the data decides: 31 March completes March, 30 March does not."""
    assert leads_of(tmp_path, LEADS).labels[-1] == "2026-03"
    partial = leads_of(tmp_path, LEADS.replace("2026-03-31", "2026-03-30"))
    assert (partial.labels[-1], partial.reading["partial"]) == ("2026-02", "2026-03")


@pytest.mark.parametrize(
    ("key", "value"), [("from", "2027-01"), ("through", "2026-04"), ("through", "2025-12")]
)
def test_a_window_outside_the_data(tmp_path: Path, key: str, value: str) -> None:
    """The message says what the data cover."""
    text = message(counts_of, tmp_path, COUNTS, kind=StudyError, **{key: value})

    assert (
        f'history.{key}: expected a period that the data hold; came "{value}"; the data cover 2026-01 to 2026-03'
        in text
    )


# Bad counts, each tried

REMEDY = "write plain numbers such as 1200.50"
BAD_COUNTS = {
    "missing column": (COUNTS.replace("period", "perod"), ['no column "period"', 'did you mean "perod"?']),
    "text in numbers": (COUNTS + "2026-04,ppc,about 5,n/a,1,nan,3%,1 50\n2026-04,seo,much,1,1,1,1,inf\n", [
        'column spend: 2 rows, first: row 8 ("about 5"), row 9 ("much"): expected a number; ' + REMEDY,
        'column visitors: row 8 ("n/a")', 'column qualified: row 8 ("nan")',
        'column won: row 8 ("3%"): is a percentage', 'column revenue: row 8 ("1 50")', 'column revenue: row 9 ("inf")',
    ]),
    "two dialects": (COUNTS.replace(",", ";").replace(";100;", ";100,5;").replace(";200;", ";200.5;"), [
        'numbers are written in two ways: column spend, row 4 ("200.5"), column spend, row 2 ("100,5")',
        "history.read.decimal",
    ]),
    "negative": (COUNTS + "2026-04,ppc,-5,1,1,1,1,1\n", ['column spend: row 8 ("-5"): expected 0 or more']),
    "broken count": (COUNTS + "2026-04,ppc,1,1,2.5,1,1,1\n", ['column leads: row 8 ("2.5"): expected whole numbers']),
    "duplicate": (COUNTS + "2026-03-15,ppc,1,1,1,1,1,1\n", [
        "1 pair of period and channel in more than one row, first: 2026-03 ppc (rows 6 and 8)", "keep one row",
    ]),
    "gap": (COUNTS + "2026-06,ppc,1,1,1,1,1,1\n", ['"ppc" has no row for 2026-04, 2026-05', "0 where nothing"]),
    "gap of all": (COUNTS + "2026-06,tv,1,1,1,1,1,1\n", ["no channel has a row for 2026-04, 2026-05"]),
    "period": (COUNTS + "13/2026,ppc,1,1,1,1,1,1\n,ppc,1,1,1,1,1,1\n", [
        'column period: row 8 ("13/2026"): expected a month; write it as 2026-03', "column period: row 9: is empty",
    ]),
    "coarse period": (COUNTS + "2026Q2,ppc,1,1,1,1,1,1\n", ['row 8 ("2026Q2"): expected a month']),
    "no channel": (COUNTS + "2026-04,,1,1,1,1,1,1\n", ["column channel: row 8: is empty"]),
    "spellings": (COUNTS + "2026-04,PPC,1,1,1,1,1,1\n", ["one channel has several spellings (PPC, ppc)"]),
    "totals": (COUNTS + "2026-04,Total,1,1,1,1,1,1\n", ['channel "Total": the name means a total']),
    "empty": ("", ["is empty (0 bytes)"]),
    "header only": (COUNTS.splitlines()[0], ["has a header and no rows"]),
    "code page": (COUNTS.replace("seo", "kävijät").encode("cp850"), [
        'is not UTF-8, and not clearly Windows text either (line 3 would hold "k„vij„t")', "history.read.encoding",
    ]),
    "a workbook": (b"PK\x03\x04junk", ["is an Excel workbook, not a CSV"]),
    "binary": (b"a,b\n\x00\x01", ["holds binary data"]),
    "uneven rows": (COUNTS + "2026-04,ppc,1\n", ["the header has 8 columns", "another number of cells in row 8 (3)"]),
    "open quote": (COUNTS + '2026-04,"ppc,1\n', ["line 8 is not valid CSV"]),
    "two columns of a name": (COUNTS.replace("spend", "Leads "), ['2 columns are called "leads"']),
    "an empty stage": (COUNTS.replace(",12,", ",,"), ["column qualified: is empty in all rows"]),
    "won left empty": (
        COUNTS.replace(",3,15000", ",,15000"),
        ["column won: is empty in all rows", "history.columns.won: how many were won, 0 where none was."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_COUNTS)
def test_bad_counts_are_told(tmp_path: Path, case: str) -> None:
    """Each bad file gives file, place, rule and remedy in one message, with exit code 3."""
    content, expected = BAD_COUNTS[case]
    text = message(counts_of, tmp_path, content)

    for words in expected:
        assert words in text
    assert all(line.startswith("counts.csv: ") for line in text.splitlines())
    assert DataError.exit_code == 3


def test_more_qualified_than_leads(tmp_path: Path) -> None:
    """By cohort it cannot be; by calendar it can, because the events are of different leads."""
    text = COUNTS + "2026-04,ppc,1,10,11,12,1,1\n"
    found = message(counts_of, tmp_path, text, counting="cohort")

    assert (
        'column leads: row 8 ("11 of 10"): more leads than visitors, which cannot be in counts by cohort'
        in found
    )
    assert 'column qualified: row 8 ("12 of 11")' in found
    assert counts_of(tmp_path, text).counting == "calendar"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.xlsx", b"", "is empty (0 bytes)"),
        ("c.xlsx", b"PK\x03\x04junk", "is a workbook without its end"),
        ("c.parquet", b"PAR1", "is not a readable Parquet file"),
        ("c.json", b"{}", 'expected a file ending in .csv, .parquet or .xlsx; came ".json"'),
        (
            "cc.csv",
            b"x",
            'no such file (looked in {folder}); history.counts names it; did you mean "cc.csv"?',
        ),
        ("c.csv/x", b"x", "is a folder"),
    ],
)
@pytest.mark.parametrize("key", ["counts", "leads"])
def test_files_that_are_none(tmp_path: Path, key: str, name: str, content: bytes, words: str) -> None:
    """Empty, broken, absent or unknown files, and folders, are told as such, for counts as for leads."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    asked = "c.csv" if name.startswith("c.csv") or name == "cc.csv" else name
    text = message(read_history, study_of(tmp_path, **{key: asked}))

    assert words.format(folder=tmp_path).replace("history.counts", f"history.{key}") in text


def test_an_empty_table_names_the_sheets(tmp_path: Path) -> None:
    """The sheet that holds the table is named, with all there are."""
    book = xlsxwriter.Workbook(str(tmp_path / "c.xlsx"))
    book.add_worksheet("Notes")
    book.add_worksheet("Data").write_string(0, 0, "period")
    book.close()

    text = message(read_history, study_of(tmp_path, counts="c.xlsx"))
    assert 'c.xlsx: sheet "Data" of Notes, Data has a header and no rows' in text


# Bad leads, each tried


def test_bad_leads_are_told_all_at_once(tmp_path: Path) -> None:
    """Each broken rule with its rows, what came and the remedy."""
    text = message(leads_of, tmp_path, LEADS + (
        "a,ppc,2026-02-05,2026-01-09,,,\n"
        ",ppc,,,,,\n"
        "d,ppc,3/4/2026,,,,\n"
        "e,ppc,2026-01-01,,2026-02-01,,5 of them\n"
        "f,ppc,2026-01-01,2026-01-01,2026-02-01,2026-02-02,-5\n"
        "g,ppc,2026-01-05,2026-03-01,,2026-02-02,\n"
        "h,ppc,0026-01-05,,,,nan\n"
    ))  # fmt: skip

    expected = """
        lead_id: row 6: is empty; each lead needs an id of its own.
        created: row 6: is empty; write dates as 2026-03-17.
        created: 2 rows, first: row 7 ("3/4/2026"), row 11 ("0026-01-05"): expected a date; write dates as 2026-03-17.
        qualified: row 5 ("2026-01-09, created 2026-02-05"): comes before created; correct the dates
            (set both to the same day where it went straight through).
        won: row 8 ("2026-02-01"): is set while qualified is empty; fill qualified in
            (the same day, where it went straight through), take qualified out of funnel.stages, or count both from
            won: history.order = "any".
        lost: row 9 ("2026-02-02"): a lead is won and lost both; empty won or lost, whichever did not happen.
        lost: row 10 ("2026-02-02, last stage 2026-03-01"): comes before the last stage that the lead reached;
            correct the dates.
        amount: 2 rows, first: row 8 ("5 of them"), row 11 ("nan"): expected a number; write plain numbers
            such as 1200.50 and leave a cell empty where the value is not known.
        amount: row 9 ("-5"): expected 0 or more; correct it, or leave it empty where the amount is not known;
            where refunds are meant, set history.net_revenue = true.
        lead_id: 1 id stands in more than one row: "a" (rows 2 and 5); keep one row per lead."""
    wanted = " ".join(expected.split())
    assert " ".join(text.replace("leads.csv: column ", "").split()) == wanted
    assert len(text.splitlines()) == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ((LEADS + "kävijä,ppc,2026-01-05,,,,\n").encode("cp850"), 'line 5 would hold "k„vij„"'),
        (LEADS + "x,ppc\n", "another number of cells in row 5 (2)"),
        (LEADS + 'x,"ppc,2026-01-01,,,,\n', "line 5 is not valid CSV"),
        (LEADS.splitlines()[0], "has a header and no rows"),
        (LEADS.replace("won", "Yay"), 'no column "won"'),
        (LEADS + "x,SEO,2026-01-05,,,,\n", "one channel has several spellings (SEO, seo)"),
    ],
)
def test_files_of_leads_that_cannot_be_read(tmp_path: Path, text: str | bytes, words: str) -> None:
    """The place and the reason, as for counts."""
    assert words in message(leads_of, tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ACTIVITY.replace("2026-03,ppc,10,100\n", ""), None),
        (ACTIVITY.replace("2026-02,ppc,10,100\n", ""), 'channel "ppc" has no row for 2026-02'),
        (
            ACTIVITY.replace("ppc", "PPC"),
            "leads.csv and a.csv: column channel: one channel has several spellings",
        ),
        (ACTIVITY.replace("100", "abc"), 'a.csv: column visitors: 3 rows, first: row 2 ("abc")'),
    ],
)
def test_activity_beside_leads(tmp_path: Path, text: str, words: str | None) -> None:
    """It must be complete in its channels and spell them as the leads do; the history ends where it ends."""
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    if words is None:
        assert leads_of(tmp_path, LEADS, activity="a.csv").labels[-1] == "2026-02"
        asked = message(leads_of, tmp_path, LEADS, activity="a.csv", through="2026-03")
        assert "a.csv: its rows end in 2026-02, but the history goes to 2026-03" in asked
    else:
        assert words in message(leads_of, tmp_path, LEADS, activity="a.csv")


def test_a_win_without_amount_is_a_blank_not_a_zero(tmp_path: Path) -> None:
    """Revenue of that cell is not known; the deal stays in the deals without an amount."""
    rows = LEADS + "d,ppc,2026-01-05,2026-01-05,2026-03-01,,\n"
    history = leads_of(tmp_path, rows)

    assert np.isnan(history.counts["revenue"].sel(channel="ppc", period="2026-03-01"))
    assert history.deals["amount"].isna().sum() == 1
    assert history.counts["won"].sum() == 2


# Exports of CRMs

EXPORTS = {
    "hubspot": (
        "Record ID,Deal Name,Deal Stage,Close Date,Create Date,Amount,Original Traffic Source\n"
        "1,A,Closed won (Sales Pipeline),2026-02-03 10:00,2026-01-05 09:30,1000,Organic Search\n"
        "2,B,Closed lost (Sales Pipeline),2026-03-31 10:00,2026-01-06 09:30,,Paid Search\n"
        "3,C,Presentation Scheduled (Sales Pipeline),2026-04-30 10:00,2026-02-06 09:30,500,\n"
    ),
    "salesforce": (
        "Opportunity ID,Opportunity Name,Lead Source,Created Date,Close Date,Stage,Amount\n"
        "1,A,Organic Search,2026-01-05,2026-02-03,Closed Won,1000\n"
        "2,B,Paid Search,2026-01-06,2026-03-31,Closed Lost,\n"
        "3,C,,2026-02-06,2026-04-30,Prospecting,500\n"
    ),
    "pipedrive": (
        "Deal - ID,Deal - Title,Deal - Value,Deal - Status,Deal - Deal created,Deal - Won time,Deal - Lost time,"
        "Deal - Source channel\n"
        "1,A,1000,Won,2026-01-05 09:30:00,2026-02-03 10:00:00,,Organic Search\n"
        "2,B,,Lost,2026-01-06 09:30:00,,2026-03-31 10:00:00,Paid Search\n"
        "3,C,500,Open,2026-02-06 09:30:00,,,\n"
    ),
}


@pytest.mark.parametrize("crm", EXPORTS)
def test_exports_of_crms_are_read_as_they_come(tmp_path: Path, crm: str) -> None:
    """The three exports of the same deals: one won, one lost, one open (its expected closing date is no event)."""
    history = leads_of(tmp_path, EXPORTS[crm], preset=crm, funnel={"stages": ("leads", "won")})

    assert history.channels == ["Organic Search", "Paid Search", "(blank)"]
    assert history.counts["leads"].sum() == 3
    assert history.counts["won"].sel(period="2026-02-01", channel="Organic Search") == 1
    assert history.counts["won"].sum() == 1
    assert int(history.losses["won"].sum()) == 1
    assert history.deals["amount"].tolist() == [1000]


def test_a_closed_deal_needs_its_date(tmp_path: Path) -> None:
    """An outcome without a closing date is told, not taken for open."""
    text = EXPORTS["salesforce"].replace("2026-02-03,Closed Won", ",Closed Won")

    found = message(leads_of, tmp_path, text, preset="salesforce", funnel={"stages": ("leads", "won")})
    assert 'column Close Date: row 2 ("(no closing date)"): expected a date' in found


# Channels of the study, and the plan


def test_channels_of_the_study_must_be_in_the_data(tmp_path: Path) -> None:
    """The place in the study, what the data have, and a guess; exit code 2."""
    (tmp_path / "counts.csv").write_text(COUNTS, encoding="utf-8")
    (tmp_path / "s.toml").write_text(
        'name = "x"\n[history]\ncounts = "counts.csv"\n[channels.pcp]\n[budget.limits.tv]\nmax = 3\n',
        encoding="utf-8",
    )
    text = message(read_history, load_study(tmp_path / "s.toml"), kind=StudyError)

    assert (
        's.toml:4: channels.pcp: the data have no channel "pcp"; they have ppc, seo; did you mean "ppc"?'
        in text
    )
    assert 's.toml:5: budget.limits.tv: the data have no channel "tv"; they have ppc, seo' in text


def plan_of(folder: Path, spend: Any, csv: str | None = None) -> Any:
    """The plan over three months after March."""
    if csv is not None:
        (folder / "plan.csv").write_text("period,channel,spend\n" + csv, encoding="utf-8")
    counts_of(folder, COUNTS.replace("2026-02,seo,200", "2026-02,seo,"))
    study = study_of(folder, counts="counts.csv", plan={"spend": spend})
    return read_plan(study, read_history(study))


def test_plans(tmp_path: Path) -> None:
    """Current: mean of the last three periods, a blank as 0; amounts per period; a file."""
    current = plan_of(tmp_path, "current")
    assert current.dims == ("period", "channel")
    assert [str(p)[:7] for p in current["period"].values] == ["2026-04", "2026-05", "2026-06"]
    np.testing.assert_allclose(current.values, [[200, 400 / 3]] * 3)
    assert plan_of(tmp_path, {"ppc": 5, "seo": 0}).values.tolist() == [[5, 0]] * 3
    rows = "".join(f"2026-0{m},{name},{m * k}\n" for m in range(3, 9) for k, name in ((1, "ppc"), (2, "seo")))
    assert plan_of(tmp_path, "plan.csv", rows).values.tolist() == [[4, 8], [5, 10], [6, 12]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            "2026-04,pcp,1\n",
            'plan.csv: column channel: row 2: the data have no channel "pcp"; they have ppc, seo; did you mean "ppc"?',
        ),
        ("2026-04,ppc,x\n", 'plan.csv: column spend: row 2 ("x"): expected a number'),
        ("2026-04,ppc,\n", "plan.csv: column spend: row 2: is empty"),
        (
            "2026-04,ppc,1\n2026-05,ppc,1\n2026-06,ppc,1\n",
            'channel "seo" has no row for 2026-04, 2026-05, 2026-06',
        ),
        ("2026-09,ppc,1\n", "no row lies in the horizon, 2026-04 to 2026-06"),
    ],
)
def test_bad_plan_files(tmp_path: Path, rows: str, words: str) -> None:
    """A plan must name known channels, every paid one, for every period of the horizon."""
    assert words in message(plan_of, tmp_path, "plan.csv", rows)


def test_a_plan_as_last_year_needs_a_year_and_a_quarter(tmp_path: Path) -> None:
    """The error names the key, what is needed and what there is; with enough, it is the history's own rule."""
    text = message(plan_of, tmp_path, "last year", kind=StudyError)
    assert "plan.spend" in text
    assert '"last year" needs 15 months of history' in text
    rows = "".join(f"2025-{m:02d},ppc,{m}00,900,50,9\n" for m in range(1, 13))
    rows += "".join(f"2026-{m:02d},ppc,{2 * m}00,900,50,9\n" for m in range(1, 4))
    (tmp_path / "long.csv").write_text("period,channel,spend,leads,qualified,won\n" + rows, encoding="utf-8")
    study = study_of(tmp_path, counts="long.csv", plan={"spend": "last year"})
    assert read_plan(study, read_history(study)).values[:, 0].tolist() == [800, 1000, 1200]


def test_bad_plans_in_the_study(tmp_path: Path) -> None:
    """Unknown and missing channels come together."""
    text = message(plan_of, tmp_path, {"pcc": 3, "seo": 1}, kind=StudyError)

    assert 'plan.spend: the data have no channel "pcc"; they have ppc, seo; did you mean "ppc"?' in text
    assert "plan.spend: no amount for ppc" in text


# Real data

REAL = Path(os.environ.get("FORECAST_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "olist"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(),
    reason="the Olist marketing funnel is not here (set FORECAST_REAL_DATA to the folder of real data)",
)


def olist(folder: Path, through: str, *, mend: bool) -> Study:
    """Qualified leads joined with the deals won. One was won before its first contact: `mend` sets it to that day."""
    leads = pd.read_csv(REAL / "olist_marketing_qualified_leads_dataset.csv")
    deals = pd.read_csv(REAL / "olist_closed_deals_dataset.csv")
    joined = leads.merge(deals[["mql_id", "won_date"]], how="left", on="mql_id")
    early = joined["won_date"].str[:10] < joined["first_contact_date"]
    if mend:
        joined.loc[early, "won_date"] = joined.loc[early, "first_contact_date"]
    joined[["mql_id", "first_contact_date", "origin", "won_date"]].to_csv(folder / "leads.csv", index=False)
    columns = {"lead_id": "mql_id", "created": "first_contact_date", "channel": "origin", "won": "won_date"}
    spec = {"leads": "leads.csv", "from": "2018-01", "through": through, "columns": columns}
    return study_of(folder, **spec, funnel={"stages": ("leads", "won"), "value": 1000.0})


@needs_real_data
@pytest.mark.parametrize(
    ("through", "n_leads", "n_won"), [("2018-03", 3343, 318), ("2018-04", 4695, 515), ("2018-05", 5998, 632)]
)
def test_real_leads_and_deals(tmp_path: Path, through: str, n_leads: int, n_won: int) -> None:
    """Leads from January 2018 on and what was won of them by then; the same through `as_of` of a longer history."""
    history = read_history(olist(tmp_path, through, mend=True))

    assert history.counts["leads"].sum() == n_leads
    assert history.counts["won"].sum() == n_won == history.triangles["won"].sum()
    longer = read_history(olist(tmp_path, "2018-11", mend=True))
    assert longer.as_of(through).fingerprint() == history.fingerprint()


@needs_real_data
def test_the_real_win_before_its_first_contact_is_named(tmp_path: Path) -> None:
    """One lead of the file was won two days before its first contact: file, row and both dates are told."""
    text = message(read_history, olist(tmp_path, "2018-03", mend=False))

    assert text.startswith("leads.csv: column won_date: row ")
    assert '("2018-03-06 19:38:55, first_contact_date 2018-03-08"): comes before first_contact_date' in text
