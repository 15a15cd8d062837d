"""What customers cost and are worth: rates against published ranges, unit economics, the market, common mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from forecast import words
from forecast.checks import REVIEW
from forecast.funnel import RATES
from forecast.report import sentences
from forecast.report.document import (
    Cell,
    Listing,
    Over,
    Page,
    Part,
    Picture,
    Row,
    Shown,
    banded,
    checklist,
    checks_of,
    listing,
    named,
    nested,
    over,
    said,
    text,
    value,
)
from forecast.report.figures import panels
from forecast.report.pages.largest import left_out, on_paper, only
from forecast.report.plots import plot
from forecast.report.plots.channels import economics_wide, rates_figure
from forecast.tables import CHANCE, COUNT, CURRENCY, RATIO, SHARE, Record, Unit, records
from forecast.words import MISSING, Message, Text, known, message, short_names, stage_word, together

if TYPE_CHECKING:
    import pandas as pd

    from forecast.results import Results

By = Mapping[str, Mapping[str, Record]]  # channel -> measure -> row

EXACT = Unit("exact", one="exact")
UNITS = {
    "cpl": "Cost per lead",
    "break_even_cpl": "Break-even cost per lead",
    "worth_of_lead": "Worth of a lead",
    "worth_of_qualified": "Worth of a qualified lead",
    "cost_per_qualified": "Cost per qualified lead",
    "cac": "Cost per customer",
    "deal_value": "Deal value",
}
# Of a customer: heading, and the share of the width.
HEADS = {
    "cac": ("Cost of a customer", "4"),
    "cac_with_sales": ("with sales", "4"),
    "ltv": ("Worth of a customer", "5"),
    "ltv_cac": ("LTV / CAC", "3"),
    "p_ltv_cac_3": ("P(3~or~more)", "5"),
    "payback_months": ("Payback, months", "4"),
    "break_even_cpl_lifetime": ("A lead may cost", "4"),
    "marginal_cpl": ("Next lead costs", "4"),
    "marginal_cac": ("Next customer costs", "5"),
}
COSTS_NOTE = message(
    "Expected values, with the 80~% band beneath; payback, which may be never, by its median. Cost of a customer "
    "(CAC): spend over those who are won in the end. Worth (LTV): margin over the whole relationship. Payback: months "
    "from the win until the margin, earned evenly over each renewal period, has paid the cost; at once: with the first "
    "payment; never: not within the lifetime. A lead may cost: break-even over the lifetime, sales paid. Next: what "
    "the next lead or customer costs at today's spend, without the sales team; the average hides that the first ones "
    "came cheap or for nothing."
)
MARKET_NOTE = message(
    "In brackets: 80~% band. Lifted: every channel that lies below it has this rate, from now on and for new "
    "cohorts alone; others stay as they are. Published ranges are averages over other companies: a comparison, never a "
    "target, and gains of several stages multiply."
)
_STANDS = {
    "below": "{low:exact_percent} to {high:exact_percent}: below",
    "inside": "{low:exact_percent} to {high:exact_percent}: inside",
    "above": "{low:exact_percent} to {high:exact_percent}: above",
}
_RATE_NAMES = {
    "conversion": message("conversion"),
    "qualification": message("qualification"),
    "close": message("close"),
}
_AIMS = {"low end": "{aim_rate:percent} (low end)", "middle": "{aim_rate:percent} (middle)"}
MISTAKES_NOTE = message("UNKNOWN: the data cannot tell. Advice, not part of the verdict.")

# ----------------------------------------------------------------------------------------------------- the funnel


def funnel_page(made: Results) -> Page:
    """Rates against published ranges, three stages at a time, then what a lead costs and is worth."""
    stages = list(dict.fromkeys(str(s) for s in made.funnel["stage"]))
    parts = []
    for first in range(0, len(stages), 3):
        group = stages[first : first + 3]
        frame = made.funnel[made.funnel["stage"].isin(group)]
        lead = sentences.rates(frame)
        alt = message(
            "Rates into {stages:listed} by channel, with bands. {lead}",
            stages=[stage_word(s) for s in group],
            lead=lead,
        )
        title = "Rates by channel, continued" if first else "Rates by channel"
        shown = on_paper(made, frame["channel"])
        note = together(left_out(frame["channel"], shown), sentences.RATES_NOTE)
        frame = only(frame, shown)
        parts.append(
            Part(
                title, lead=lead, figure=Picture(partial(rates_figure, frame, group, made.study.stages), alt)
            )
        )
        parts.append(Part(listings=[_rates_listing(frame, group)], note=note))
    sheets = [made.table("funnel"), made.table("economics")]
    return Page("Funnel and unit economics", [*parts, *_per_unit(made)], sheets)


def _rates_listing(frame: pd.DataFrame, stages: Sequence[str]) -> Listing:
    """A row for each channel, two columns for each stage of destination: the rate with its band, and P(below)."""

    def rate(stage: str) -> Shown:
        def cell(row: Record) -> Cell:
            found = row.get(stage, {})
            if not known(found.get("mean")):
                return MISSING
            ends = (found["q10"], found["q90"])
            return message("{x:percent}~({ends:tight_percent})", x=found["mean"], ends=ends)

        return said(message("into {stage:stage}", stage=stage), cell)

    def below(stage: str) -> Shown:
        return said("P(below)", lambda row: CHANCE.said(row.get(stage, {}).get("p_below")), width="a")

    columns = [named("channel", "Channel"), *(made(stage) for stage in stages for made in (rate, below))]
    by = nested(records(frame), "channel", "stage")
    rows = listing([{"channel": name} | cells for name, cells in by.items()], columns, strong=_is_total)
    ranges = [cell for stage in stages for cell in (_published(frame, stage), "")]
    last = Row(["published range", *ranges])
    return replace(rows, rows=[*rows.rows, last])


def _is_total(row: Record) -> bool:
    return bool(row["channel"] == "total")


def _published(frame: pd.DataFrame, stage: str) -> Text:
    """The published range of a stage, where all channels have the same."""
    found = frame.loc[(frame["stage"] == stage) & frame["benchmark_low"].notna()]
    lows, highs = found["benchmark_low"], found["benchmark_high"]
    if lows.nunique() == 1 and highs.nunique() == 1:
        return SHARE.band(lows.iloc[0], highs.iloc[0])
    return "by channel" if len(lows) else MISSING


def _per_unit(made: Results) -> list[Part]:
    """What a lead costs against what may be paid for one, and every other value per unit."""
    cur, wide = made.study.currency, economics_wide(made.economics)
    shown = [m for m in UNITS if f"{m}_mean" in wide and wide[f"{m}_mean"].notna().any()]
    if not shown:
        why = "The data hold neither spend nor deal values, so nothing can be said about the cost or worth of a lead."
        return [Part("Unit economics", text=why)]
    parts = []
    if "cpl" in shown and "break_even_cpl" in shown:
        lead = sentences.break_even(wide)
        shares = [c for c in wide if str(c).startswith(("cpl_", "break_even_cpl_"))]
        frame = wide[["channel", *shares]].dropna(how="all", subset=shares)
        names = [*on_paper(made, frame["channel"]), "total"]
        frame = only(frame, names)
        drawn = partial(
            panels,
            0.8 + 0.185 * len(frame),
            lambda ax: plot.break_even(made, channel=list(frame["channel"]), ax=ax),
        )
        alt = message("Cost per lead and break-even. {lead}", lead=lead)
        title = "What a lead costs, and what it is worth"
        parts.append(Part(title, lead=lead, figure=Picture(drawn, alt)))
    columns = [named("channel", message("Channel, {cur}", cur=cur))]
    columns += [over(measure, UNITS[measure], CURRENCY, narrow=True) for measure in shown]
    kept = on_paper(made, wide["channel"])
    rows = listing(records(only(wide, kept)), columns, strong=_is_total)
    worth: Text = sentences.WORTH_NOTE if "worth_of_lead" in shown else ""
    note = together(left_out(wide["channel"], kept), worth)
    return [*parts, Part("" if parts else "Unit economics", listings=[rows], note=note)]


# ------------------------------------------------------------------------------------------- economics of a customer


def customers_page(made: Results) -> Page | None:
    """What a customer costs and is worth, on average and the next one; nothing where neither is known."""
    by = nested(records(made.economics), "channel", "measure")
    total, cur = by.get("total", {}), made.study.currency
    if "marginal_cac" not in total and "ltv_cac" not in total:
        return None
    picture = _ltv_cac(made, total) if "ltv_cac" in total else None
    kept = on_paper(made, by)
    rests = message("LTV rests on {lifetime:word}.", lifetime=made.study.lifetime)
    note = together(left_out(by, kept), COSTS_NOTE, rests if made.study.lifetime and "ltv" in total else "")
    return Page(
        "Unit economics of a customer",
        [
            Part(lead=unit_sentence(total, cur), points=next_points(by, cur), figure=picture),
            Part(
                listings=[_costs({name: by[name] for name in by if name in (*kept, "total")}, cur)], note=note
            ),
        ],
    )


def middle(row: Record) -> float:
    """The expected value; the median where some futures never pay, so that there is no mean."""
    return float(row["mean"] if known(row.get("mean")) else row["q50"])


def unit_sentence(total: Mapping[str, Record], currency: str) -> Message:
    """What a customer costs and is worth, LTV / CAC with its chance, and when the cost is back."""
    key = "cac_with_sales" if "cac_with_sales" in total else "cac"
    parts = []
    if key in total:
        cac = total[key]
        parts.append(
            message(
                "A customer costs {x:number}~{cur} with the cost of sales (80~% band {ends:band}~{cur})."
                if key == "cac_with_sales"
                else "A customer costs {x:number}~{cur} in marketing (80~% band {ends:band}~{cur}).",
                x=middle(cac), ends=(cac["q10"], cac["q90"]), cur=currency,
            )
        )  # fmt: skip
    if "ltv_cac" in total:
        at, back = total["ltv_cac"], total["payback_months"]["q50"]
        parts.append(
            message(
                "It is worth {ltv:number}~{cur}: LTV / CAC is {at:number.2} ({ends:band.2}), at least 3 with a "
                "probability of {p:chance}.",
                ltv=middle(total["ltv"]), cur=currency, at=middle(at), ends=(at["q10"], at["q90"]),
                p=total["p_ltv_cac_3"]["mean"],
            )
        )  # fmt: skip
        never = "The cost does not come back within the lifetime in at least half of the draws."
        after = message("The cost is back after {months}.", months=months(back))
        parts.append(message(never) if math.isinf(back) else after)
    return together(*parts)


def months(value: float) -> Text:
    r"""A payback time in words.

    >>> str(months(0.0)), str(months(math.inf)), str(months(10.0))
    ('the first payment', 'never', '10\xa0months')
    """
    if math.isinf(value):
        return message("never")
    return message("the first payment") if value == 0 else message("{x:number.2}~months", x=value)


def next_points(by: By, currency: str) -> list[Message]:
    """In words: what the next customer costs, where the next unit of money is lost, cheap leads and dear customers."""
    total = by.get("total", {})
    points = []
    if "marginal_cac" in total and "cac" in total:
        then, now = middle(total["marginal_cac"]), middle(total["cac"])
        points.append(
            message(
                "The next customer costs {x:number}~{cur} of marketing, {times:number.2} times the average: the "
                "average counts those who come without more spend.",
                x=then, times=then / now, cur=currency,
            )
        )  # fmt: skip
    channels = {channel: rows for channel, rows in by.items() if channel != "total"}
    lost = [n for n, rows in channels.items() if rows.get("marginal_ltv_cac", {"q90": 1.0})["q90"] < 1]
    if lost:
        what = "The next unit of money does not come back (90~% sure) in {lost:listed}."
        points.append(message(what, lost=lost))
    dear = {n: rows["p_cheap_but_dear"]["mean"] for n, rows in channels.items() if "p_cheap_but_dear" in rows}
    pairs = [message("{name} ({p:chance})", name=n, p=p) for n, p in dear.items() if p > 0.8]
    if pairs:
        points.append(message("Cheap leads that become dear customers: {pairs:listed}.", pairs=pairs))
    return points


def _ltv_cac(made: Results, total: Mapping[str, Record]) -> Picture:
    """The figure, with the averages in words."""
    measures = [measure for measure in ("ltv_cac", "marginal_ltv_cac") if measure in total]
    shown = [f"{measure}_{q}" for measure in measures for q in ("q10", "mean", "q90")]
    wide = economics_wide(made.economics)[["channel", *shown]].dropna(how="all", subset=shown)
    wide = only(wide, on_paper(made, wide["channel"]))
    averages = [
        message("{name} {x:number.2}", name=message("total") if name == "total" else name, x=x)
        for name, x in zip(wide["channel"], wide["ltv_cac_mean"], strict=True)
        if known(x)
    ]
    alt = (
        "LTV / CAC by channel with bands, average and next customer; marks at 1 and 3. {averages:listed.24}."
    )
    drawn = partial(
        panels, 0.8 + 0.2 * len(wide), lambda ax: plot.ltv_cac(made, channel=list(wide["channel"]), ax=ax)
    )
    return Picture(drawn, message(alt, averages=averages))


def _costs(by: By, currency: str) -> Listing:
    def cost(measure: str) -> Shown:
        head, width = HEADS[measure]
        return said(message(head), lambda row: _cost(row.get(measure)), width=width)

    rows = sorted(({"channel": channel, **cells} for channel, cells in by.items()), key=_is_total)
    shown = [measure for measure in HEADS if any(measure in row for row in rows)]
    columns = [named("channel", message("Channel, {cur}", cur=currency)), *map(cost, shown)]
    return listing(rows, columns, strong=_is_total)


def _cost(row: Record | None) -> Cell:
    """A number over its band, a chance alone, a time of payback in words; a band without width is said once."""
    if row is None:
        return MISSING
    if row["unit"] == "probability":
        return CHANCE.said(row["mean"])
    ends = [row["q10"], row["q90"]]
    if row["unit"] == "months":
        return _over(*(_payback(value) for value in (row["q50"], *ends)))
    if any(math.isinf(v) for v in (middle(row), *ends)):
        unit = _unit(row)
        return _over(*(message("never") if math.isinf(v) else unit.said(v) for v in (middle(row), *ends)))
    return banded({**row, "mean": middle(row)}, "mean", _unit(row), narrow=True)


def _unit(row: Record) -> Unit:
    return CURRENCY if row["unit"] == "currency" else RATIO


def _over(said: Text, low: Text, high: Text) -> Cell:
    """Words over the ends of a band; once, where all are the same."""
    return said if said == low == high else Over(said, message("{low} to {high}", low=low, high=high))


def _payback(value: float) -> Text:
    """Months until a cost is back, for a cell."""
    if math.isinf(value):
        return message("never")
    return message("at once") if value == 0 else message("{x:number.2}", x=value)


# --------------------------------------------------------------------------------------------- against the market


def market_page(made: Results) -> Page | None:
    """Each rate beside its published range, and what lifting it would bring; nothing where nothing is published."""
    frame, cur = made.benchmarks, made.study.currency
    if frame.empty:
        return None
    in_money = bool(frame["revenue"].notna().any())
    total = frame[frame["channel"] == "total"]

    columns = _market_columns(cur, in_money)
    whole = said("Rate into", lambda row: message("{stage:stage}", **row), "l", "a")
    rows = listing(records(total), [whole, *columns])
    parts = [Part(lead=market_sentence(made), listings=[rows], note=MARKET_NOTE)]
    low = frame[(frame["channel"] != "total") & (frame["position"] == "below") & (frame["aim"] == "low end")]
    if not low.empty:
        by = "revenue_eventual" if in_money else "won_eventual"
        short = short_names([str(c) for c in low["channel"]])
        each = said(
            "Channel, rate into",
            lambda row: message("{name}, {stage:stage}", name=short[str(row["channel"])], **row),
            "l",
            "a",
        )
        largest = records(low.sort_values(by, ascending=False, kind="stable").head(10))
        parts.append(Part("Clearly below the range", listings=[listing(largest, [each, *columns])]))
    return Page("Against the market", parts, [made.table("benchmarks")])


def _market_columns(currency: str, in_money: bool) -> list[Shown]:
    def spread(row: Record) -> Text:
        return SHARE.band(row["benchmark_low"], row["benchmark_high"], narrow=True)

    columns = [
        over("mean", "Today", SHARE, "4", narrow=True),
        said("Range", spread, width="4"),
        said("P(below)", lambda row: CHANCE.said(row["p_below"]), width="5"),
        said("Lifted to", lambda row: message(_AIMS[row["aim"]], **row), width="5"),
        over("won", "Wins in the horizon", COUNT, "4", narrow=True),
        over("won_eventual", "in the end", COUNT, "4", narrow=True),
    ]
    if in_money:
        inside = message("{cur} in the horizon", cur=currency)
        columns.append(over("revenue", inside, CURRENCY, "5", narrow=True))
        columns.append(over("revenue_eventual", "in the end", CURRENCY, "5", narrow=True))
    return columns


def market_sentence(made: Results) -> Message:
    """Where the company stands, and which gap is worth most."""
    frame, currency = made.benchmarks, made.study.currency
    total = frame[(frame["channel"] == "total") & (frame["aim"] == "low end")]
    low = [stage_word(s) for s in total.loc[total["position"] == "below", "stage"]]
    high = [stage_word(s) for s in total.loc[total["position"] == "above", "stage"]]
    none = "No rate of the whole company is clearly below its published range."
    parts = [
        message("Clearly below the published range: the rate into {low:listed}." if low else none, low=low)
    ]
    if high:
        parts.append(message("Clearly above it: into {high:listed}.", high=high))
    best = made.largest_gap
    if best and best["won_eventual"] > 0:
        worth = message("{n:count} wins in the end", n=best["won_eventual"])
        if known(best["revenue_eventual"]):
            worth = message(
                "{x:number}~{cur} of revenue in the end (80~% band {ends:band}~{cur})",
                x=best["revenue_eventual"], cur=currency,
                ends=(best["revenue_eventual_q10"], best["revenue_eventual_q90"]),
            )  # fmt: skip
        parts.append(
            message(
                "The largest gain lies in the rate into {stage:stage}: with every channel at the middle of the range, "
                "{rate:percent}, or above, the horizon's cohorts would bring {worth} more.",
                stage=best["stage"], rate=best["aim_rate"], worth=worth,
            )
        )  # fmt: skip
    return together(*parts)


# ------------------------------------------------------------------------------------------------ common mistakes


def mistakes_page(made: Results) -> Page | None:
    """The seven common mistakes, as far as they show."""
    frame = made.mistakes
    if frame.empty:
        return None
    found = [words.text(str(m)).lower() for m in frame.loc[frame["status"] == REVIEW, "mistake"]]
    none = "No trace of the seven common mistakes shows in the data."
    lead = message("Traces of {found:listed.7}." if found else none, found=found)
    asked = [
        replace(
            check,
            value=message("{x:sentence}", x=check.value),
            advice=check.advice if check.status == REVIEW else "",
        )
        for check in checks_of(records(frame), "mistake")
    ]
    rows = checklist(asked, head="Mistake", answer="Evidence", widths="2a443", standing_out=REVIEW)
    return Page(
        "Seven common mistakes",
        [Part(lead=lead, listings=[rows], note=MISTAKES_NOTE)],
        [made.table("mistakes")],
    )


# ------------------------------------------------------------------------------------------- the funnel by hand


def by_hand_page(told: Mapping[str, Any]) -> Page:
    """The funnel equation by hand; `told`: of `forecast.funnel.summary`."""
    parts = [Part(listings=[_stages(told)]), Part(listings=[_worth(told)]), Part(listings=[_one_point(told)])]
    ends = told["benchmark_revenue"]
    if ends is not None:
        lead = message(
            "Benchmark, not your data: revenue of these visitors and this value at rates of {market} companies",
            market=told["market"].upper(),
        )
        rows: list[Record] = [
            {"what": message("median"), "said": CURRENCY.said(ends["q50"])},
            {"what": message("central 50~%"), "said": message("{q25:number} to {q75:number}", **ends)},
            {"what": message("central 80~%"), "said": message("{q10:number} to {q90:number}", **ends)},
        ]
        parts.append(Part(lead=lead, listings=[listing(rows, [text("what", ""), text("said", "")])]))
    return Page(parts=parts)


def _stages(told: Mapping[str, Any]) -> Listing:
    rows: list[Record] = [{"stage": _stage("visitors"), "units": told["visitors"]}]
    for key, stage in RATES.items():
        place = told["benchmarks"].get(key)
        stands: Text = ""
        if place:
            stands = message(_STANDS[place["stands"]], **place)
        rate = message("{x:exact_percent}", x=told[key])
        rows.append({"stage": _stage(stage), "rate": rate, "units": told[stage], "place": stands})
    rate = message("x {x:exact}", x=told["value"])
    rows.append({"stage": _stage("revenue"), "rate": rate, "units": told["revenue"]})
    columns = [
        text("stage", "stage"),
        said("rate", lambda row: row.get("rate", "")),
        value("units", "per period", EXACT),
    ]
    if told["benchmarks"]:
        head = message("{market} range", market=told["market"].upper())
        columns.append(said(head, lambda row: row.get("place", ""), "l"))
    return listing(rows, columns)


def _stage(name: str) -> Message:
    return message("{stage:stage}", stage=name)


def _worth(told: Mapping[str, Any]) -> Listing:
    names = {
        "visitor": message("a visitor"),
        "lead": message("a lead"),
        "qualified": message("a qualified lead"),
    }
    margin = message("break-even cost at margin {margin:exact_percent}", margin=told["margin"])
    columns = [
        text("name", "worth of", "1"),
        value("worth", "revenue", EXACT),
        value("break_even", margin, EXACT),
    ]
    worths = ("worth", "break_even")
    rows = [{"name": name} | {each: told[each][unit] for each in worths} for unit, name in names.items()]
    return listing(rows, columns)


def _one_point(told: Mapping[str, Any]) -> Listing:
    columns = [
        text("name", "one point more"),
        said("rate", lambda row: message("{now:exact_percent} -> {rate:exact_percent}", **row)),
        value("revenue", "revenue", EXACT),
        said("gain", lambda row: message("+{gain:exact}", **row)),
        said("", lambda row: "" if row["relative"] is None else message("+{relative:exact_percent}", **row)),
    ]
    rows = [
        {"name": _RATE_NAMES.get(name, name), "now": told[name], **raised}
        for name, raised in told["plus_one_point"].items()
    ]
    return listing(rows, columns)
