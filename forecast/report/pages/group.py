"""A group of runs on paper and terminal: what its units add up to, how sure that is and what the band rests on.

    group_page      in short, for the terminal
    group_report    the whole, for group.pdf
    group_tables    the tables behind it, for workbook and CSV

`told` is the content of group.json (`grouping.grouped`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from forecast.checks import FAIL, worst
from forecast.columns import GROUPED, by_measure
from forecast.report.document import (
    Listing,
    Page,
    Part,
    Picture,
    Report,
    Tile,
    band,
    checklist,
    listing,
    name,
    named,
    period,
    said,
    text,
    value,
)
from forecast.report.figures import panels
from forecast.report.plots.coming import plot_fan, plot_total
from forecast.tables import CHANCE, COUNT, CURRENCY, RATIO, WHOLE, Record, Table, Unit
from forecast.words import MISSING, Message, Name, Text, horizon_words, known, message, plural, together

Told = Mapping[str, Any]
MOST_IN_FRONT = 6
MOST_UNITS = 30  # on paper and terminal; the workbook has all
MOST_PAIRS = 10
MOST_PAST = 36  # periods of the past in the figure
OTHERS = message("{left} more in the chapter What to look at.")
NOTE = message(
    "Expected values add up, bands do not. Look at: what did not pass in the unit's own run. Move: how much money the "
    "unit's recommendation takes from one channel to another, over the horizon."
)


def group_page(told: Told) -> Page:
    """What a group says in a few lines."""
    parts = [
        Part(verdict=told["verdict"]),
        Part("What is forecast", text=together(what_is_expected(told), of_target(told))),
        Part("By unit", listings=[units(told)], note=NOTE),
        Part("By period", listings=[by_period(told)]),
        Part("What the band rests on", text=rests_on(told), listings=[bands(told)]),
    ]
    return Page(parts=parts)


def group_report(told: Told) -> Report:
    """The whole. On the front the table of few units; more of them would leave half of it empty, and follow."""
    by_unit = Part("By unit", listings=[units(told)], note=NOTE)
    by_time = Part("By period", listings=[by_period(told)])
    first, then = (by_unit, by_time) if len(told["units"]) <= MOST_IN_FRONT else (by_time, by_unit)
    front = Page(
        parts=[
            Part(verdict=told["verdict"], others=OTHERS, tiles=_tiles(told)),
            Part(
                "What is forecast",
                lead=together(what_is_expected(told), of_target(told)),
                figure=_figure(told),
            ),
            first,
        ],
        alone=True,
    )
    total = Page(
        "The total" if then is by_time else "Units and total",
        [
            then,
            Part("What the band rests on", lead=rests_on(told), listings=[bands(told)], note=ORDERED),
            *_pairs(told),
            *_money(told),
        ],
    )
    checks = Page("What to look at", [Part(listings=[checklist(told["verdict"].checks, head="Unit")])])
    return Report(
        title=message("Growth forecast of {n:whole} units", n=len(told["units"])),
        about=_about(told),
        as_of=message("as of {as_of}", as_of=told["as_of"]),
        status=told["verdict"].status,
        pages=[front, total, checks],
        run=str(told["run_id"]),
    )  # fmt: skip


def _about(told: Told) -> Message:
    return message(
        "As of {as_of}, for {horizon}, in {cur}",
        as_of=told["as_of"], horizon=horizon_words(told["horizon"], told["period"]), cur=told["currency"],
    )  # fmt: skip


def group_tables(told: Told) -> list[Table]:
    """Units and their sum, total, bands by correlation, pairs, and what is left out."""
    rows = {
        "units": [*told["units"], _sum_of_units(told)],
        "totals": told["totals"],
        "bands": told["bands"],
        "pairs": told["correlation"]["pairs"],
        "failed": told["failed"],
    }
    return [
        Table(
            key,
            *GROUPED[key],
            pd.DataFrame(found, columns=None if found else [c.name for c in GROUPED[key][1]]),
        )
        for key, found in rows.items()
    ]


def _sum_of_units(told: Told) -> dict[str, Any]:
    """The row of the total below those of the units."""
    head, measure = told["headline"], told["measure"]
    target = told["target"] or {"measure": None, "amount": None}
    return {
        "unit": "total",
        "status": told["verdict"].status,
        "measure": measure,
        **{end: head[f"{measure}_{end}"] for end in ("mean", "q10", "q90")},
        "won_mean": head["won_mean"],
        "target": target["amount"],
        "target_measure": target["measure"],
        "p_target": head["p_target"],
        "moved": head["moved"],
        "currency": told["currency"],
    }


SHEETS = {
    "units": message(
        "A row a unit and their total, money in the group's currency; what it is in the unit's own stands beside."
    ),
    "totals": message("The sum of the units by period and over the horizon, with its bands."),
    "bands": message(
        "The total over the horizon at other correlations of the units: how much its band rests on it."
    ),
    "pairs": message(
        "The correlation of each two units' pasts, after trend and season; nothing is made of a single one."
    ),
    "failed": message("Units that failed, and why: they are in no number here."),
}


def front_lines(told: Told) -> list[Text]:
    """What stands on the first sheet of the workbook."""
    verdict = told["verdict"]
    lines = [
        message("{status:word}: {sentence}", status=verdict.status, sentence=verdict.sentence),
        _about(told),
        what_is_expected(told),
        of_target(told),
        rests_on(told),
        *_rates(told),
    ]
    return [line for line in lines if line]


# ------------------------------------------------------------------------------------------------------------ sentences

ORDERED = message(
    "Whole futures of the units are put side by side, each unit's exactly once: the correlation moves the band of the "
    "total, never its expected value, nor anything of a unit."
)


def what_is_expected(told: Told) -> Message:
    """The total over the horizon with its band."""
    head, measure = told["headline"], told["measure"]
    values = {
        "n": head["units"], "when": horizon_words(told["horizon"], told["period"]), "cur": told["currency"],
        "mean": head[f"{measure}_mean"], "ends": (head[f"{measure}_q10"], head[f"{measure}_q90"]),
    }  # fmt: skip
    if measure == "won":
        return plural(
            "Over {when} we expect {mean:count} wins of one unit (80~% band {ends:count_band}).",
            "Over {when} we expect {mean:count} wins of {n:whole} units together (80~% band {ends:count_band}).",
            **values,
        )
    return plural(
        "Over {when} we expect {mean:number}~{cur} of revenue of one unit, in four cases out of five between "
        "{ends:between}~{cur}.",
        "Over {when} we expect {mean:number}~{cur} of revenue of {n:whole} units together, in four cases out of five "
        "between {ends:between}~{cur}.",
        **values,
    )


def of_target(told: Told) -> Text:
    """P(target), or why there is none."""
    target, head = told["target"], told["headline"]
    if target is None:
        return told["no_target"] or ""
    if not known(head["p_target"]):
        return ""
    unit = message("wins") if target["measure"] == "won" else message("{cur}", cur=told["currency"])
    said = (
        "The units' targets add up to {aim:whole}~{unit}, without those of units that failed; together they are met "
        "with a probability of {p:chance}."
        if told["failed"]
        else "The units' targets add up to {aim:whole}~{unit}; together they are met with a probability of {p:chance}."
    )
    return message(said, aim=target["amount"], unit=unit, p=head["p_target"])


def rests_on(told: Told) -> Text:
    """Which correlation the band holds, and where it comes from."""
    found = told["correlation"]
    if found["how"] == "given":
        return message(
            "The correlation of the units' totals is {r:given}, as it was given.", r=found["value"]
        )
    if found["how"] == "assumed":
        return message(
            "The correlation of the units' totals is assumed: {r:given}. Fewer than two units have two years of "
            "periods in common, from which it could be learnt.",
            r=found["value"],
        )
    return message(
        "The correlation of the units' totals is {r:number.2}, learnt from {n:whole} units over {periods:whole} "
        "periods: what trend and season leave of their outcomes correlates by {raw:number.2} on average (standard "
        "error {error:number.2}). The data weigh {weight:.0%}, the assumption of {assumed:given} the rest.",
        r=found["value"], n=found["units"], periods=found["periods"], raw=found["raw"], error=found["error"],
        weight=found["weight"], assumed=found["assumed"],
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- listings


def units(told: Told) -> Listing:
    """A row a unit, the largest first where there are many and the others as one; those that failed; the total."""
    rows = [dict(row) for row in told["units"]]
    measure = told["measure"]
    if len(rows) > MOST_UNITS:
        rows.sort(key=lambda row: -float(row["mean"] or 0.0))
        rows = [*rows[: MOST_UNITS - 1], _others(rows[MOST_UNITS - 1 :])]
    rows += [
        {
            "unit": each["name"],
            "p_target": None,
            "moved": None,
            "status": FAIL,
            "look_at": message("failed, in no number"),
        }
        for each in told["failed"][:MOST_UNITS]
    ]
    whole = _sum_of_units(told) | {"look_at": ""}
    unit = named("unit", "Unit")
    columns = [
        replace(
            unit,
            cells=lambda rows: [
                row.get("said", cell) for row, cell in zip(rows, unit.cells(rows), strict=True)
            ],
        ),
        value("mean", message("Expected, {unit}", unit=_unit(told, measure)), by_measure),
        band(message("80~% band"), by_measure, "2"),
        said("P(target)", lambda row: _known(CHANCE, row["p_target"])),
        said(message("Move, {cur}", cur=told["currency"]), lambda row: _known(CURRENCY, row["moved"])),
        said("Verdict", lambda row: row["status"], "l", "a"),
        text("look_at", "Look at", "3"),
    ]
    if not any(known(row["p_target"]) for row in [*rows, whole]):
        del columns[3]
    if told["rates"]:
        columns.insert(3, said("Own currency", _own_money, "r", "a"))
    return listing([*rows, whole], columns, strong=lambda row: row is whole)


def _others(rows: Sequence[Record]) -> dict[str, Any]:
    """The row of the smallest units together, without a band, as bands do not add up."""
    moved = [row["moved"] for row in rows if row["moved"] is not None]
    return {
        "unit": "others",
        "said": plural("1 other", "{n} others", n=len(rows)),
        "measure": rows[0]["measure"],
        "mean": sum(float(row["mean"] or 0.0) for row in rows),
        "p_target": None,
        "moved": sum(moved) if moved else None,
        "status": worst([row["status"] for row in rows]),
        "look_at": message("each by itself in group.xlsx"),
    }


def _known(unit: Unit, value: Any) -> Text:
    return unit.said(value) if known(value) else MISSING


def _own_money(row: Record) -> Text:
    """What a unit's revenue is in its own currency, where that is another."""
    if row.get("rate", 1.0) == 1.0 or not known(row["own_mean"]):
        return ""
    return message("{x:number}~{cur}", x=row["own_mean"], cur=row["currency"])


def _unit(told: Told, measure: str) -> Message:
    return message("wins") if measure == "won" else message("{cur}", cur=told["currency"])


def by_period(told: Told) -> Listing:
    """The total by period and over the horizon."""
    rows = [row for row in told["totals"] if row["measure"] == told["measure"]]
    columns = [
        period("period", "Period"),
        value("mean", message("Expected, {unit}", unit=_unit(told, told["measure"])), by_measure),
        band(message("80~% band"), by_measure, "2"),
    ]
    return listing(rows, columns, strong=lambda row: row["period"] == "total")


def bands(told: Told) -> Listing:
    """The band of the total at other correlations."""
    columns = [
        said("Correlation", lambda row: RATIO.said(row["correlation"]), "l"),
        value("sd", "Standard deviation", by_measure),
        band(message("80~% band of the total"), by_measure, "2"),
        said("", lambda row: message("used here") if row["used"] else "", "l", "a"),
    ]
    return listing(told["bands"], columns, strong=lambda row: bool(row["used"]))


def _pairs(told: Told) -> list[Part]:
    """The strongest pairs."""
    rows = sorted(told["correlation"]["pairs"], key=lambda row: -abs(row["correlation"]))[:MOST_PAIRS]
    if len(rows) < 2:
        return []
    columns = [
        name("unit", "Unit"), name("other", "and"), value("correlation", "Correlation", RATIO),
        value("periods", "Periods", WHOLE),
    ]  # fmt: skip
    note = message(
        "Of what trend and season leave, unit by unit, the strongest pairs. So few periods tell little of a single "
        "pair, so the total takes the one correlation that all have in common."
    )
    return [Part("Pair by pair", listings=[listing(rows, columns)], note=note)]


def _money(told: Told) -> list[Part]:
    """The rates by which money was turned."""
    if not told["rates"]:
        return []
    said = message("Money of other currencies was turned by these rates, as they were given.")
    return [Part("Rates of exchange", text=said, points=_rates(told))]


def _rates(told: Told) -> list[Message]:
    return [
        message("1~{code} is {rate:given}~{cur}", code=Name(code), rate=rate, cur=told["currency"])
        for code, rate in told["rates"].items()
    ]


def _tiles(told: Told) -> list[Tile]:
    head, cur = told["headline"], told["currency"]
    tiles = []
    for measure, title in (("revenue", "Expected revenue"), ("won", "Expected wins")):
        if known(head.get(f"{measure}_mean")):
            unit = CURRENCY if measure == "revenue" else COUNT
            ends = message("{ends} (80~%)", ends=unit.band(head[f"{measure}_q10"], head[f"{measure}_q90"]))
            mean = head[f"{measure}_mean"]
            shown = message("{x:number}~{cur}", x=mean, cur=cur) if measure == "revenue" else COUNT.said(mean)
            tiles.append(Tile(title, shown, ends))
    if known(head["p_target"]):
        below = message(
            "of {aim:whole}~{unit}", aim=told["target"]["amount"], unit=_unit(told, told["target"]["measure"])
        )
        tiles.append(Tile("Probability of the target", message("{p:chance}", p=head["p_target"]), below))
    many = message("{n:whole} of {all:whole}", n=head["units"], all=head["units"] + head["failed"])
    lost = plural("{n:whole} failed", "{n:whole} failed", n=head["failed"])
    tiles.append(Tile("Units in these numbers", many, lost if head["failed"] else "all of them"))
    return tiles


def _figure(told: Told) -> Picture:
    """The past of the sum and its forecast."""
    measure = told["measure"]
    past = pd.DataFrame(told["history"], columns=["period", "measure", "value"]).tail(MOST_PAST)
    *rows, whole = [row for row in told["totals"] if row["measure"] == measure]
    target = told["target"]
    aim = target["amount"] if target is not None and target["measure"] == measure else None
    unit: Text = message("wins") if measure == "won" else str(told["currency"])
    drawn = partial(
        panels,
        2.3,
        lambda ax: plot_fan(past, pd.DataFrame(rows), ax, unit=unit, kind=told["period"]),
        lambda ax: plot_total(whole, ax, unit=unit, target=aim),
        ratios=(5, 1),
    )
    alt = message(
        "The sum of the units by period as a line, its forecast as bands, and the whole horizon beside it."
    )
    return Picture(drawn, alt)
