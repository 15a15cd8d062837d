"""The tables of a run that is scored, as they are read and as files have them, and the way from plan to actual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from forecast.columns import SCORED, by_measure
from forecast.report.document import Listing, Shown, band, listing, named, period, said, text
from forecast.report.pages.past import inside_of, origin_rows
from forecast.report.pages.standing_words import (
    Told,
    checks_of,
    off_by,
    one,
    rounded,
    runs,
    span,
)
from forecast.report.plots.scored import lead_measure, unit_word
from forecast.tables import CHANCE, Record, Table
from forecast.words import MISSING, Message, Name, Text, known, message, together

if TYPE_CHECKING:
    pass

MOST_CHANNELS = 12  # of the blocks by channel on paper; the workbook has all
SPENT = {
    "plan": message("Spend planned"),
    "actual": message("Spend recorded"),
    "difference": message("Spend, actual less plan"),
}


def _plan_columns(measure: Callable[[Record], str]) -> list[Shown]:
    """Plan, actual and difference of rows; `measure`: of a row."""
    return [
        said("Plan", lambda r: one(measure(r), r["plan"])),
        said("Actual", lambda r: one(measure(r), r["actual"])),
        said("Difference", lambda r: off_by(measure(r), r["difference"])),
        said("of plan", lambda r: message("{x:+.1%}", x=r["share"]) if known(r.get("share")) else MISSING),
    ]


def _as_rows(rows: Sequence[Record]) -> list[Record]:
    """Scores as plan and actual; where nothing has come, there is neither actual nor difference."""
    return [
        {**r, "plan": r["mean"], "actual": r["came"], "difference": r["came"] - r["mean"],
         "share": (r["came"] - r["mean"]) / r["mean"] if r["mean"] else None}
        for r in rows
    ]  # fmt: skip


def measures(told: Told, *, wide: bool = False) -> Listing:
    """Every stage, and revenue, over all that has come."""
    rows = _as_rows([r for r in told["scores"] if (r["period"], r["channel"]) == ("total", "total")])
    plan, *rest = _plan_columns(lambda r: str(r["measure"]))
    columns = [
        said("Measure", lambda row: message("{measure:stage}", **row), "l", "a"),
        plan,
        band(message("80~% band"), by_measure, "2") if wide else tight_band("80~% band"),
        *rest,
        said("Inside", inside_of),
    ]
    if wide:
        columns.append(said("Futures below", lambda row: CHANCE.said(row["pit"])))
    lead = lead_measure(told)
    return listing(rows, columns, strong=lambda row: row["measure"] == lead)


def tight_band(head: str) -> Shown:
    """The 80 % band where there is little room."""
    return said(message(head), lambda r: by_measure(r).band(r["q10"], r["q90"], narrow=True))


def periods(rows: Sequence[Record], told: Told) -> Listing:
    """Months, and all of them."""
    plan, *rest = _plan_columns(lambda r: str(r["measure"]))
    columns = [
        period("period", "Period", total="so far" if runs(told) else "total"),
        plan,
        band(message("80~% band"), by_measure, "2"),
        *rest,
        said("Inside", lambda r: inside_of(r) if known(r["came"]) else ""),
        said("Spend, actual less plan", lambda r: _spend_moved(told, r["period"])),
    ]
    made = _as_rows(rows)
    shown = columns if told.get("spend") else columns[:-1]
    return listing(made, shown, strong=lambda row: row["period"] == "total")


def _spend_moved(told: Told, period: str) -> Text:
    row = next((r for r in told["spend"] if r["period"] == period and r["channel"] == "total"), None)
    return MISSING if row is None else off_by("spend", row["difference"])


def spend_listings(told: Told) -> list[Listing]:
    """Spend by channel: planned, recorded."""
    rows = [r for r in told.get("spend", []) if r["period"] == "total"]
    if not rows:
        return []
    columns = [named("channel", "Spend by channel"), *_plan_columns(lambda _: "spend")]
    return [listing(rows, columns, strong=lambda row: row["channel"] == "total")]


def channels(told: Told) -> Listing | None:
    """Spend and headline by channel, side by side."""
    measure = lead_measure(told)
    rows = _as_rows([r for r in told["scores"] if r["measure"] == measure and r["period"] == "total"])
    if not any(r["channel"] != "total" for r in rows):
        return None
    spend = {r["channel"]: r for r in told.get("spend", []) if r["period"] == "total"}
    unit = unit_word(measure, told["currency"])
    _, actual, moved, share = _plan_columns(lambda r: str(r["measure"]))

    def paid(head: Text, key: str) -> Shown:
        def cell(row: Record) -> Text:
            own = spend.get(row["channel"])
            if own is None:
                return MISSING
            return off_by("spend", own[key]) if key == "difference" else one("spend", own[key])

        return said(head, cell)

    columns = [
        named("channel", "Channel"),
        *(paid(head, key) for key, head in SPENT.items() if spend),
        said(message("Plan, {unit}", unit=unit), lambda r: one(measure, r["plan"])), actual, moved, share,
        said("Inside", inside_of),
    ]  # fmt: skip
    return listing(rows, columns, strong=lambda row: row["channel"] == "total")


def attribution(told: Told) -> Listing:
    """Blocks in the order of the funnel: what each was planned to be, is now, and moved."""
    parts = [part for part in told["attribution"] if part["channel"] == "total"]
    moved = {(part["block"], part["measure"]): part["amount"] for part in parts}
    found: dict[str, list[Record]] = {}
    for block in told["blocks"]:
        found.setdefault(block["block"], []).append(block)
    measures = list(dict.fromkeys(part["measure"] for part in told["attribution"]))

    def blocks(key: str, head: Text) -> Shown:
        return said(head, lambda row: _together(found.get(row["block"], []), key))

    def of_measure(measure: str) -> Shown:
        money = measure == "revenue"
        head = message("{m:stage}, {cur}" if money else "{m:stage}", m=measure, cur=told["currency"])
        return said(head, lambda row: message("{x:signed}" if money else "{x:+,.1f}", x=row[measure]))

    names = dict.fromkeys(block for block, _ in moved)
    rows: list[Record] = [{"block": b} | {m: moved.get((b, m), 0.0) for m in measures} for b in names]
    sums = {m: sum(row[m] for row in rows) for m in measures}
    columns = [
        text("block", "Where the difference came from"),
        blocks("then", "As planned"),
        blocks("now", "As it came"),
        *map(of_measure, measures),
    ]
    total = {"block": "actual less plan"} | sums
    return listing([*rows, total], columns, strong=lambda row: row["block"] == "actual less plan")


def _together(blocks: Sequence[Record], key: str) -> Message:
    """The number of a block; delays of all stages add up to the time from the first to the win."""
    if blocks and blocks[0]["unit"] == "days":
        return message("{x:.0f}~days", x=sum(block[key] for block in blocks))
    units = {"share": "{x:percent.3}"}
    each = (message(units.get(block["unit"], "{x:number}"), x=block[key], **block) for block in blocks)
    return together(*each, between=", ")


def by_channel(told: Told, measure: str) -> Listing | None:
    """Blocks by channel; nothing where outcomes have no channel, or there are too many for paper."""
    parts = [p for p in told["attribution"] if p["measure"] == measure]
    names = list(dict.fromkeys(p["channel"] for p in parts))
    if len(names) < 3 or len(names) > MOST_CHANNELS:
        return None
    cells = {(p["channel"], p["block"]): p["amount"] for p in parts}
    blocks = list(dict.fromkeys(p["block"] for p in parts))
    rows = [{"channel": n} | {b: cells.get((n, b), 0.0) for b in blocks} for n in names]
    rows = [r | {"all": sum(r[b] for b in blocks)} for r in rows]

    def share(block: str) -> Shown:
        return said(block, lambda row: off_by(measure, row[block]), "r", "a")

    columns = [
        named("channel", "Channel", "1"),
        *map(share, blocks),
        said("all", lambda r: off_by(measure, r["all"]), "r", "a"),
    ]
    return listing(rows, columns, strong=lambda row: row["channel"] == "total")


def still_to_come(told: Told) -> Listing:
    """All that is still to come: the rest, the year, the next horizon, goals."""
    lead, goals = lead_measure(told), {row["goal"] for row in told["goals"]}
    rows = [row for row in ahead_rows(told) if row["measure"] == lead or row["part"] in goals]
    measured = said("Measure", lambda r: message("{measure:stage}", **r), "l", "a")
    columns = [
        text("part", "What"),
        said("Periods", periods_of, "l", "a"),
        *([] if len({r["measure"] for r in rows}) < 2 else [measured]),
        said("Came so far", lambda r: one(r["measure"], r["so_far"])),
        said("Expected in all", lambda r: one(r["measure"], rounded(r["measure"], r["mean"]))),
        band(message("80~% band"), by_measure, "2"),
        said("Target", lambda r: one(r["measure"], r["target"]) if known(r["target"]) else ""),
        said("P(target)", lambda r: CHANCE.said(r["p"]) if known(r["p"]) else ""),
    ]  # fmt: skip
    return listing(rows, columns)


def periods_of(row: Record) -> Text:
    """First and last period of a row."""
    return span([row["first"]] if row["first"] == row["last"] else [row["first"], row["last"]])


def ahead_rows(told: Told) -> list[dict[str, Any]]:
    """What is still to come: part, first, last, measure, so_far, band of the whole, target and its chance."""
    rows: list[dict[str, Any]] = []
    run, year, after, target = told.get("running"), told["year"], told["following"], told.get("target")
    blank = {"so_far": None, "mean": None, "q10": None, "q50": None, "q90": None, "target": None, "p": None}

    def add(part: str, labels: Sequence[str], row: Record, start: str = "") -> None:
        told_of = {k: row[f"{start}{k}"] for k in ("mean", "q10", "q50", "q90") if f"{start}{k}" in row}
        named = {"part": part, "first": labels[0], "last": labels[-1], "measure": row["measure"]}
        extra = {k: row[k] for k in ("so_far", "target", "p") if k in row}
        rows.append(blank | named | told_of | extra)

    for row in [] if run is None else run["rows"]:
        now, then = dict(row), {k: v for k, v in row.items() if k != "so_far"}
        if target is not None and target["measure"] == row["measure"] and run is not None:
            now |= {"target": target["amount"], "p": run["p_now"]}
            then |= {"target": target["amount"], "p": target["p_planned"]}
        add("this horizon, now", told["horizon"], now, "now_")
        add("this horizon, as planned", told["horizon"], then, "plan_")
    for row in year["rows"]:
        labels = [*year["come"], *year["rest"]]
        add("the year", labels, row)
    for row in after["rows"]:
        aim = after["p"] is not None and row["measure"] == after["measure"]
        add(
            "the next horizon",
            after["periods"],
            row | ({"target": after["target"], "p": after["p"]} if aim else {}),
        )
    for row in told["goals"]:
        add(Name(row["goal"]), (row["from"], row["by"]), row | {"target": row["amount"]})
    return rows


def forecast_then(told: Told) -> Listing:
    """The last horizons, each as forecast then and as it came."""
    measure = lead_measure(told)
    return origin_rows(told["earlier"]["rows"], measure, unit_word(measure, told["currency"]))


def score_tables(told: Told) -> list[Table]:
    """Plan and actual, the difference taken apart, the blocks then and now, what is to come, checks."""
    rows = [{k: v for k, v in r.items() if k not in ("mean", "came")} for r in _as_rows(told["scores"])]
    frames = {
        "score": [*rows, *(dict(r) for r in told.get("spend", []))],
        "attribution": list(told["attribution"]),
        "blocks": list(told["blocks"]),
        "ahead": ahead_rows(told) if "year" in told else [],
        "checks": [c.told() for c in checks_of(told)],
    }
    return [Table(name, *SCORED[name], _frame(name, rows)) for name, rows in frames.items()]


def sheets(told: Told, *names: str) -> list[Table]:
    """Some of them, for the workbook, which sets rows that sum up others apart."""
    return [table for table in score_tables(told) if table.name in names]


def _frame(name: str, rows: Sequence[Record]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=[column.name for column in SCORED[name][1]])
    return frame.dropna(axis=1, how="all") if len(frame) else frame
