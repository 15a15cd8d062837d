"""A small company in every form that is read: the sound files that fuzzing damages.

`make` writes them once into a folder; `KINDS` says of each kind which file is damaged, which others its command needs
beside it, and what is run.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from conftest import STUDY, counts, save_by_hand

OWN = STUDY.replace('name = "small"', 'name = "small"\ncurrency = "EUR"') + "\n[backtest]\nleast = 12\n"
LEADS = (
    OWN.replace('counts = "small.csv"', 'leads = "leads.csv"\nactivity = "act.csv"')
    .replace('through = "2026-06"\n', "")
    .replace("[funnel]", '[funnel]\nstages = ["visitors", "leads", "qualified", "won"]')
)
COMMANDS = {
    "check": ("check", "{study}"),
    "init": ("init", "--from", "{file}", "new"),
    "run": ("run", "{study}", "--preview", "--draws", "400", "--quiet"),
    "scenarios": ("scenarios", "{study}", "--quiet"),
    "allocate": ("allocate", "{study}", "--total", "9000", "--quiet"),
    "backtest": (
        "backtest", "{study}", "--preview", "--draws", "400", "--origins", "2", "--workers", "1", "--quiet",
        "--baseline", "drift",
    ),
    "score": ("score", "reports/small", "{study}", "--quiet"),
    "rank": ("rank", "{study}", "--quiet"),
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """What is damaged (`file`), what stands beside it, the commands that may be run, and how often it is taken."""

    file: str
    study: str
    commands: tuple[str, ...]
    beside: tuple[str, ...] = ()
    weight: int = 4
    how: str = "text"


RUN = ("reports/small/draws.nc", "reports/small/summary.json")
KINDS = {
    "counts csv": Kind("small.csv", "small.toml", ("check",), weight=14),
    "counts run": Kind("small.csv", "small.toml", ("run",), weight=1),
    "counts xlsx": Kind("small.xlsx", "xlsx.toml", ("check",), weight=10, how="zip"),
    "counts ods": Kind("small.ods", "ods.toml", ("check",), weight=8, how="zip"),
    "counts xls": Kind("small.xls", "xls.toml", ("check",), weight=2, how="bytes"),
    "counts parquet": Kind("small.parquet", "parquet.toml", ("check",), weight=5, how="parquet"),
    "leads csv": Kind("leads.csv", "leads.toml", ("check",), ("act.csv",), weight=10),
    "leads parquet": Kind("leads.parquet", "leadsp.toml", ("check",), ("act.csv",), weight=3, how="parquet"),
    "leads xlsx": Kind("leads.xlsx", "leadsx.toml", ("check",), ("act.csv",), weight=4, how="zip"),
    "activity": Kind("act.csv", "leads.toml", ("check",), ("leads.csv",), weight=5),
    "deals": Kind("deals.csv", "deals.toml", ("check",), ("act.csv", "leads.csv"), weight=5),
    "plan": Kind("plan.csv", "plan.toml", ("check",), ("small.csv",), weight=5),
    "retention": Kind("retention.csv", "retention.toml", ("check",), ("small.csv",), weight=5),
    "study": Kind("small.toml", "small.toml", ("check",), ("small.csv",), weight=16, how="toml"),
    "study leads": Kind("leads.toml", "leads.toml", ("check",), ("act.csv", "leads.csv"), weight=6, how="toml"),
    "override": Kind("", "small.toml", ("check",), ("small.csv",), weight=6, how="set"),
    "init csv": Kind("small.csv", "", ("init",), weight=5),
    "init crm": Kind("crm.csv", "", ("init",), weight=5),
    "init xlsx": Kind("small.xlsx", "", ("init",), weight=3, how="zip"),
    "init ods": Kind("small.ods", "", ("init",), weight=2, how="zip"),
    "init parquet": Kind("leads.parquet", "", ("init",), weight=2, how="parquet"),
    "rank": Kind("leads.csv", "leads.toml", ("rank",), ("act.csv",), weight=2),
    "posterior": Kind("small.nc", "small.toml", ("scenarios", "allocate"), ("small.csv",), weight=10, how="netcdf"),
    "outlook": Kind(RUN[0], "small.toml", ("score",), ("small.csv", RUN[1]), weight=7, how="netcdf"),
    "summary": Kind(RUN[1], "small.toml", ("score",), ("small.csv", RUN[0]), weight=7, how="json"),
    "backtest": Kind("reports/small/backtest.json", "small.toml", ("run",), ("small.csv",), weight=4, how="json"),
    "origins": Kind("reports/small/origins.jsonl", "small.toml", ("backtest",), ("small.csv",), weight=5, how="jsonl"),
}  # fmt: skip


def make(folder: Path) -> None:
    """All files of `KINDS`, sound."""
    make_inputs(folder)
    for name in ("small", "leads"):
        text = (folder / f"{name}.csv").read_text(encoding="utf-8")
        _books(folder, name, [line.split(",") for line in text.split()])
    _parquet(folder)
    save_by_hand(folder / "small.toml")
    _run(folder)


def make_inputs(folder: Path) -> None:
    """Studies, and the files of text that they name."""
    studies = {
        "small": OWN + '\n[[scenario]]\nname = "more"\ntraffic = { times = 1.1 }\n',
        **{kind: OWN.replace("small.csv", f"small.{kind}") for kind in ("xlsx", "ods", "xls", "parquet")},
        "leads": LEADS,
        "leadsx": LEADS.replace("leads.csv", "leads.xlsx"),
        "leadsp": LEADS.replace("leads.csv", "leads.parquet"),
        "deals": LEADS.replace('activity = "act.csv"', 'activity = "act.csv"\ndeals = "deals.csv"'),
        "plan": OWN.replace("periods = 3", 'periods = 3\nspend = "plan.csv"'),
        "retention": OWN + '\n[economics]\nretention_table = "retention.csv"\n',
    }
    for name, text in studies.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "small.csv").write_text(counts(), encoding="utf-8")
    (folder / "small.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    _leads(folder)
    plan = "\n".join(f"2026-{month:02d},ppc,{2000 + month}" for month in (7, 8, 9))
    (folder / "plan.csv").write_text(f"period,channel,spend\n{plan}\n", encoding="utf-8")
    kept = "\n".join(f"{n % 9 + 1},{n % 3 == 0:d}" for n in range(90))
    (folder / "retention.csv").write_text(f"tenure,churned\n{kept}\n", encoding="utf-8")


def _run(folder: Path) -> None:
    """A saved run of two months ago and a backtest, made by the commands' own jobs with paper left out."""
    from unittest import mock

    from forecast.workflow import backtest, run

    place = folder / "reports" / "small"

    def book(made: object, path: Path, *, created: object) -> None:
        path.write_bytes(b"PK")

    with (
        mock.patch("forecast.report.pdf.report_pdf", return_value=b"%PDF-"),
        mock.patch("forecast.report.workbook.write_workbook", book),
    ):
        early = ["history.through='2026-04'"]
        run(folder / "small.toml", out=place, overrides=early, preview=True, draws=400)
    backtest(
        folder / "small.toml", out=place, preview=True, draws=400, origins=2, workers=1, names=("drift",)
    )
    lines = next(place.glob("origins-*.jsonl"))
    (folder / "origins.name").write_text(lines.name, encoding="utf-8")
    shutil.copyfile(lines, place / "origins.jsonl")


def _books(folder: Path, name: str, table: list[list[str]]) -> None:
    import xlsxwriter

    book = xlsxwriter.Workbook(str(folder / f"{name}.xlsx"))
    sheet = book.add_worksheet("data")
    for i, row in enumerate(table):
        for j, cell in enumerate(row):
            sheet.write(i, j, float(cell) if cell.replace(".", "").isdigit() else cell)
    book.close()
    cell = '<table:table-cell office:value-type="{k}"{v}><text:p>{t}</text:p></table:table-cell>'
    rows = "".join(
        "<table:table-row>"
        + "".join(
            cell.format(k="float", v=f' office:value="{text}"', t=text)
            if text.isdigit()
            else cell.format(k="string", v="", t=text)
            for text in row
        )
        + "</table:table-row>"
        for row in table
    )
    names = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{short}:1.0"'
        for short in ("office", "table", "text")
    )
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {names}><office:body><office:spreadsheet>'
        f'<table:table table:name="data">{rows}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>"
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    (folder / f"{name}.ods").write_bytes(made.getvalue())


def _leads(folder: Path) -> None:
    lines, crm, deals = ["lead_id,channel,created,qualified,won,lost,amount,size"], [], ["lead_id,won,amount"]
    for n in range(240):
        month, day = n * 14 // 240, n % 27 + 1
        created = f"{2025 + month // 12}-{month % 12 + 1:02d}-{day:02d}"
        later, last = (
            f"{2025 + (month + more) // 12}-{(month + more) % 12 + 1:02d}-{day:02d}" for more in (1, 2)
        )
        qualified = later if n % 2 else ""
        won, lost = (last if n % 10 == 1 else ""), (last if n % 10 in (3, 8) else "")
        amount = str(1000 + 37 * n) if won else ""
        channel = ("ppc", "seo", "email")[n % 3]
        lines.append(f"L{n:04d},{channel},{created},{qualified},{won},{lost},{amount},{n % 7}")
        crm.append(
            f"{n},{channel},{created} 10:{n % 60:02d},{won},{'Closed Won' if won else 'Open'},{amount}"
        )
        if won:
            deals.append(f"L{n:04d},{won},{amount}")
    (folder / "leads.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "deals.csv").write_text("\n".join(deals) + "\n", encoding="utf-8")
    head = "Record ID,Original Source,Create Date,Close Date,Deal Stage,Amount"
    (folder / "crm.csv").write_text("\n".join([head, *crm]) + "\n", encoding="utf-8")
    act = ["period,channel,spend,visitors"]
    for month in range(14):
        act += [
            f"{2025 + month // 12}-{month % 12 + 1:02d},{channel},{900 + 31 * month},{400 + 11 * month}"
            for channel in ("ppc", "seo", "email")
        ]
    (folder / "act.csv").write_text("\n".join(act) + "\n", encoding="utf-8")


def _parquet(folder: Path) -> None:
    import duckdb

    with duckdb.connect() as connection:
        for name in ("small", "leads"):
            source, target = folder / f"{name}.csv", folder / f"{name}.parquet"
            connection.execute(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}'")


def lay_out(kind: Kind, home: Path, folder: Path) -> None:
    """The files that a kind's command needs, in a folder of its own."""
    for name in {*kind.beside, kind.file, kind.study} - {""}:
        target = name
        if name.endswith("origins.jsonl"):
            target = f"reports/small/{(home / 'origins.name').read_text(encoding='utf-8')}"
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(home / name, folder / target)


def place_of(kind: Kind, home: Path) -> str:
    """Where the damaged file stands in that folder."""
    if kind.file.endswith("origins.jsonl"):
        return f"reports/small/{(home / 'origins.name').read_text(encoding='utf-8')}"
    return kind.file


def arguments(kind: Kind, command: str, more: tuple[str, ...] = ()) -> list[str]:
    """The command line."""
    return [part.format(study=kind.study, file=kind.file) for part in COMMANDS[command]] + list(more)
