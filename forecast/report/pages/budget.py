"""The budget: the recommended split and the curves behind it, and how firm it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from forecast.budget import OBJECTIVES
from forecast.report import sentences
from forecast.report.document import (
    Cell,
    Listing,
    Page,
    Part,
    Picture,
    Shown,
    band,
    listing,
    named,
    said,
    value,
)
from forecast.report.figures import panels
from forecast.report.pages.largest import MOST_CHANNELS, largest, left_out, only
from forecast.report.pages.overview import what_to_do
from forecast.report.plots import plot
from forecast.report.plots.money import response_figure
from forecast.tables import AMOUNT, CHANGE, CURRENCY, GAIN, RATIO, SHARE, Record, records
from forecast.verdict import EXTRAPOLATED
from forecast.words import Message, Name, Text, known, message, plural, short_names, together

if TYPE_CHECKING:
    from forecast.budget import Firmness
    from forecast.results import Results

ROUGH = replace(CURRENCY, one="number.2")  # known no better
SHOWN = 7  # rows of the frontier's table
FRONTIER_NOTE = message(
    "Best contribution within the other limits of the study, for every budget; marginal: what the next unit of money "
    "brings back. Worst draws: mean of the share that budget.risk names, chance included."
)
TEST_NOTE = message(
    "Single draws: the best split of each draw by itself, 10 to 90 %; where the range is wide, decimals of the "
    "recommendation mean nothing. Worth: what knowing the channel's response would add over the horizon, with its "
    "Monte Carlo error; the test takes away only part of the doubt."
)
LEDGER_NOTE = message(
    "If it saturates: the gain if the response flattens from the highest spend seen on, with the level and the slope "
    "that it has there."
)
STATUS = {
    "optimal": "Under the model no split within the limits has a higher {aim}.",
    "optimal, to": "Under the model no split within the limits has a higher {aim}, to {gap:number.1}~{cur}.",
    "best found": "Of several searches this split has the highest {aim}.",
    "current plan kept": "Under the model no split within the limits is better than the current plan.",
    "current plan held": "This is the current plan as it is; its {aim} is all that is said.",
}

# -------------------------------------------------------------------------------------------------------- the split


def budget_page(made: Results) -> Page:
    """The recommended split, the curves behind it, and what they do not say; or why there is none."""
    frame, cur = made.allocation, made.study.currency
    sheets = [made.table("allocation"), made.table("response")]
    if frame.empty:
        ask = "Record the spend of each channel and period, and what deals are worth; the split will stand here."
        return Page("Budget", [Part(lead=sentences.recommendation(made), text=ask)], sheets)
    told = sentences.budget(made.study, frame)
    moved = (frame["recommended"] - frame["current"]).abs() + 1e-9 * frame["current"]
    shown = largest(frame["channel"], moved)
    alt = "Spend by channel, current and recommended, with the range that is nearly as good. {told}"
    drawn = partial(panels, 0.85 + 0.17 * len(shown), lambda ax: plot.budget(made, channel=shown, ax=ax))
    picture = Picture(drawn, message(alt, told=told))
    parts = [
        Part(lead=together(sentences.recommendation(made), told), figure=picture),
        Part(listings=[_split(made, shown)], note=sentences.BUDGET_NOTE),
    ]
    if not made.response.empty:
        lead = sentences.response(made.response)
        alt = (
            "Contribution over spend for each channel, with bands; hatched beyond the spend ever seen. {lead}"
        )
        drawn_curves = made.response if len(shown) == len(frame) else only(made.response, shown)
        curves = Picture(lambda: response_figure(drawn_curves, currency=cur), message(alt, lead=lead))
        title = "How contribution follows spend"
        note = together(left_out(frame["channel"], shown), sentences.RESPONSE_NOTE)
        parts.append(Part(title, lead=lead, figure=curves, note=note))
    parts.append(Part("Before you move money", points=sentences.caveats(made.study, made.evidence)))
    return Page(sentences.budget_title(made.headline), parts, sheets)


def split_page(made: Results) -> Page:
    """A budget divided anew: the split, the verdict on the fit, the recommendation, and how firm it is."""
    firm = firmness_page(made, most=len(made.allocation))
    parts = [Part(listings=[_split(made)]), Part(verdict=made.verdict), what_to_do(made)]
    return Page(parts=[*parts, *(firm.parts if firm else ())])


def _split(made: Results, shown: Sequence[str] | None = None) -> Listing:
    """The recommended split beside the current one, and the sum of both; shown: these channels, the others as one."""
    table = made.table("allocation")
    sums = table.totals()
    moved = sums["recommended"] - sums["current"]
    rows = [row | {"moved": row["recommended"] - row["current"]} for row in table]
    sums |= {"moved": moved}
    if shown is not None and len(shown) < len(rows):
        rest = [row for row in rows if str(row["channel"]) not in shown]
        others = {key: sum(row[key] for row in rest) for key in sums if all(key in row for row in rest)}
        rows = [row for row in rows if str(row["channel"]) in shown]
        rows.append(others | {"channel": "", "others": plural("1 other", "{n} others", n=len(rest))})

    def names(rows: Sequence[Record]) -> Sequence[Cell]:
        short = short_names(str(row["channel"]) for row in rows if row is not total and "others" not in row)

        def name(row: Record) -> Text:
            if row is total or "others" in row:
                return "total" if row is total else row["others"]
            each = short[str(row["channel"])]
            return message("{name} (locked)", name=each) if row.get("locked") else Name(each)

        return [name(row) for row in rows]

    def beyond(row: Record) -> Text:
        return beyond_seen(row["extrapolated"]) if "extrapolated" in row else ""

    columns = [
        Shown(message("Channel, {cur}", cur=made.study.currency), names, "l", "a"),
        value("current", "Current spend", AMOUNT),
        value("recommended", "Recom\u00admended", AMOUNT),
        value("moved", "Change", CHANGE),
        *([] if made.headline.get("material", True) else [value("best", "Best split", AMOUNT)]),
        band("Nearly as good", CURRENCY, "a", low="low", high="high"),
        value("expected_contribution_current", "Brings now"),
        value("expected_contribution_recommended", "Would bring"),
        value("marginal", "Next unit brings", RATIO),
        said("Beyond seen", beyond),
    ]
    total = sums | {"channel": "total"}
    return listing([*rows, total], columns, strong=lambda row: row is total)


def beyond_seen(share: Any) -> Text:
    """How far a recommendation lies beyond the data: "no", or the share that does."""
    return message("no") if known(share) and float(share) <= 0 else SHARE.said(share)


# ---------------------------------------------------------------------------------------------------- how firm it is


def firmness_page(made: Results, *, most: int = MOST_CHANNELS) -> Page | None:
    """Certainty, frontiers, what is worth knowing, what lies beyond the spend seen, what limits cost; or nothing.

    most: channels of a table.
    """
    firm, cur = made.decision, made.study.currency
    if firm is None:
        return None
    recommended = float(made.allocation["recommended"].sum())
    material = bool(made.headline.get("material", True))
    lead, text = certainty(firm, cur, material=material), frontier(firm, recommended, cur)

    drawn = partial(
        panels,
        2.5,
        lambda ax: plot.frontier(made, ax=ax),
        lambda ax: plot.risk(made, ax=ax),
    )
    tested = largest(firm.tests["channel"], firm.tests["worth_of_knowing"], most)
    alt = message("Contribution against budget, and against the mean of the worst draws. {text}", text=text)
    parts = [
        Part(lead=lead, text=text, figure=Picture(drawn, alt)),
        Part(listings=[_frontier(firm, cur)], note=FRONTIER_NOTE),
        Part(
            "What is worth knowing",
            lead=firm.advice,
            listings=[_tests(firm, cur, tested)],
            note=together(left_out(firm.tests["channel"], tested), TEST_NOTE),
        ),
    ]
    beyond = firm.ledger[firm.ledger["beyond"] > EXTRAPOLATED]
    if len(beyond):
        told = largest(beyond["channel"], beyond["gain_beyond"], most)
        note = together(left_out(beyond["channel"], told), LEDGER_NOTE)
        listings = [_ledger(records(only(beyond, told)), cur)]
        parts.append(Part("Beyond the spend ever seen", listings=listings, note=note))
    prices = binding(firm, cur)
    if prices:
        parts.append(Part("What limits cost", points=prices))
    sheets = [made.table(name) for name in ("optimum", "tests", "ledger", "budget_frontier", "risk_frontier")]
    return Page("How firm the budget is", parts, [sheet for sheet in sheets if len(sheet)])


def certainty(firm: Firmness, currency: str, *, material: bool = True) -> Message:
    """Whether it is the best split under the model, what it reaches, and what not knowing costs.

    Where no change is `material` all of it is of the best split, which is then not the recommended one.
    """
    made = firm.certificate
    status = str(made["status"])
    if status == "optimal" and known(made["gap"]) and made["gap"] >= 1:
        status = "optimal, to"
    aim = message(OBJECTIVES[made["objective"]].words)
    best = message(STATUS[status], aim=aim, gap=made["gap"], cur=currency)
    of = "" if material else "What follows is of the best split, which is not recommended."
    regret = message(
        "Not knowing the response better costs {regret:number.2}~{cur} with it over the horizon, and "
        "{now:number.2}~{cur} with the current plan.",
        regret=round(firm.regret["value"], 2), now=round(firm.regret_current["value"], 2), cur=currency,
    )  # fmt: skip
    return together(of, best, *_reached(made.get("evidence", {}), currency), regret)


def _reached(found: Mapping[str, float], currency: str) -> list[Message]:
    """What another objective, or another question than a fixed budget, comes to."""
    sentence_of = {
        "p_target": "The target is {p_target:chance} likely to be met, by the current plan {p_target_current:chance}.",
        "cvar": "The mean of the worst draws is {cvar:number}~{cur}, of the current plan {cvar_current:number}~{cur}.",
        "cac": "A customer costs {cac:number}~{cur}.",
    }
    return [message(words, cur=currency, **found) for key, words in sentence_of.items() if key in found]


def frontier(firm: Firmness, recommended: float, currency: str) -> Message:
    """How far more money would pay."""
    more = "Within the other limits more money would pay, up to {x:number}~{cur} over the horizon."
    less = "Within the other limits no more than {x:number}~{cur} over the horizon would pay."
    if firm.stops_paying > recommended * 1.005:
        return message(more, x=firm.stops_paying, cur=currency)
    return message(less, x=min(firm.stops_paying, recommended), cur=currency)


def binding(firm: Firmness, currency: str) -> list[Message]:
    """Each limit that holds the plan back, and what one unit more of it would add."""
    unit = message(OBJECTIVES[firm.certificate["objective"]].unit, cur=currency)
    money, place = (
        "{name}: 1~{cur} more would add {x:number}{unit}.",
        "{name}: one unit more would add {x:number}{unit}.",
    )
    return [
        message(
            place if str(limit).startswith("economics.capacity") else money,
            name=limit, x=price, unit=unit, cur=currency,
        )
        for limit, price in sorted(firm.certificate["prices"].items(), key=lambda item: -float(item[1]))
    ]  # fmt: skip


def _frontier(firm: Firmness, currency: str) -> Listing:
    step = max(1, -(-len(firm.budget_frontier) // SHOWN))
    columns = [
        value("spent", message("Budget, {cur}", cur=currency), AMOUNT),
        value("contribution", "Contribution"),
        band(message("80~% band"), CURRENCY, "2"),
        value("marginal", "Marginal return", RATIO),
    ]
    return listing(records(firm.budget_frontier.iloc[::step]), columns)


def _tests(firm: Firmness, currency: str, shown: Sequence[str]) -> Listing:
    tests, optimum = (records(only(frame, shown)) for frame in (firm.tests, firm.optimum))
    rows = [test | {"best": (best["q10"], best["q90"])} for test, best in zip(tests, optimum, strict=True)]

    worth = "{worth_of_knowing:number.2} ± {error:number.1}"
    columns = [
        named("channel", message("Channel, {cur}", cur=currency)),
        said("Single draws", lambda row: message("{best:whole_band}", **row), width="2"),
        said("Worth of knowing", lambda row: message(worth, **row), width="2"),
        said("Test, periods", lambda row: message("{periods} at ±{swing:percent}", **row), width="2"),
        value("learnt", "Learnt", SHARE),
        value("worth", "Worth", ROUGH),
        value("cost", "Cost", ROUGH),
    ]
    return listing(rows, columns, strong=lambda row: bool(row["advised"]))


def _ledger(beyond: Sequence[Record], currency: str) -> Listing:
    columns = [
        named("channel", message("Channel, {cur}", cur=currency)),
        value("highest_seen", "Highest seen", AMOUNT),
        value("peak", "Highest planned", AMOUNT),
        value("beyond", "Beyond", SHARE),
        value("gain", "Gain", GAIN),
        value("gain_beyond", "of it beyond", GAIN),
        value("gain_if_saturating", "If it saturates", GAIN),
    ]
    return listing(beyond, columns)
