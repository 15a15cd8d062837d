"""The budget: the recommended split and the curves behind it, and how firm it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast import words
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
from forecast.report.figures import (
    BLUE,
    GREY,
    NOW,
    PALE,
    THEN,
    area,
    blank,
    few_ticks,
    house,
    legend,
    name_rows,
    panels,
    scale_of,
)
from forecast.report.pages.overview import what_to_do
from forecast.tables import AMOUNT, CHANGE, CURRENCY, GAIN, RATIO, SHARE, Record, records
from forecast.verdict import EXTRAPOLATED
from forecast.words import Message, Name, Text, known, message, short_names, together

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from forecast.budget import Firmness
    from forecast.results import Results

ROUGH = replace(CURRENCY, one="number.2")  # known no better
_LABELS = (message("current"), message("recommended"), message("nearly as good"))
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
    alt = "Spend by channel, current and recommended, with the range that is nearly as good. {told}"
    drawn = partial(panels, 0.85 + 0.17 * len(frame), lambda ax: plot_budget(frame, ax, currency=cur))
    picture = Picture(drawn, message(alt, told=told))
    parts = [
        Part(lead=together(sentences.recommendation(made), told), figure=picture),
        Part(listings=[_split(made)], note=sentences.BUDGET_NOTE),
    ]
    if not made.response.empty:
        lead = sentences.response(made.response)
        alt = (
            "Contribution over spend for each channel, with bands; hatched beyond the spend ever seen. {lead}"
        )
        curves = Picture(lambda: response_figure(made.response, currency=cur), message(alt, lead=lead))
        title = "How contribution follows spend"
        parts.append(Part(title, lead=lead, figure=curves, note=sentences.RESPONSE_NOTE))
    parts.append(Part("Before you move money", points=sentences.caveats(made.study, made.evidence)))
    return Page(sentences.budget_title(made.headline), parts, sheets)


def split_page(made: Results) -> Page:
    """A budget divided anew: the split, the verdict on the fit, the recommendation, and how firm it is."""
    firm = firmness_page(made)
    parts = [Part(listings=[_split(made)]), Part(verdict=made.verdict), what_to_do(made)]
    return Page(parts=[*parts, *(firm.parts if firm else ())])


def _split(made: Results) -> Listing:
    """The recommended split beside the current one, and the sum of both."""
    table = made.table("allocation")
    sums = table.totals()
    moved = sums["recommended"] - sums["current"]
    rows = [row | {"moved": row["recommended"] - row["current"]} for row in table]

    def names(rows: Sequence[Record]) -> Sequence[Cell]:
        short = short_names(str(row["channel"]) for row in rows)
        pairs = [(short[str(row["channel"])], row.get("locked")) for row in rows if row is not total]
        return [message("{name} (locked)", name=each) if locked else Name(each) for each, locked in pairs] + [
            "total"
        ]

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
    total = sums | {"channel": "total", "moved": moved}
    return listing([*rows, total], columns, strong=lambda row: row is total)


def beyond_seen(share: Any) -> Text:
    """How far a recommendation lies beyond the data: "no", or the share that does."""
    return message("no") if known(share) and float(share) <= 0 else SHARE.said(share)


# ---------------------------------------------------------------------------------------------------- how firm it is


def firmness_page(made: Results) -> Page | None:
    """Certainty, frontiers, what is worth knowing, what lies beyond the spend seen, what limits cost; or nothing."""
    firm, cur = made.decision, made.study.currency
    if firm is None:
        return None
    current, recommended = (float(made.allocation[name].sum()) for name in ("current", "recommended"))
    material = bool(made.headline.get("material", True))
    lead, text = certainty(firm, cur, material=material), frontier(firm, recommended, cur)

    amounts = {"current": current, "recommended": recommended, "stops": firm.stops_paying}
    drawn = partial(
        panels,
        2.5,
        lambda ax: plot_budget_frontier(firm.budget_frontier, ax, **amounts, currency=cur),
        lambda ax: plot_risk_frontier(firm.risk_frontier, ax, currency=cur),
    )
    alt = message("Contribution against budget, and against the mean of the worst draws. {text}", text=text)
    parts = [
        Part(lead=lead, text=text, figure=Picture(drawn, alt)),
        Part(listings=[_frontier(firm, cur)], note=FRONTIER_NOTE),
        Part("What is worth knowing", lead=firm.advice, listings=[_tests(firm, cur)], note=TEST_NOTE),
    ]
    beyond = records(firm.ledger[firm.ledger["beyond"] > EXTRAPOLATED])
    if beyond:
        parts.append(Part("Beyond the spend ever seen", listings=[_ledger(beyond, cur)], note=LEDGER_NOTE))
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


def _tests(firm: Firmness, currency: str) -> Listing:
    tests, optimum = records(firm.tests), records(firm.optimum)
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


# -------------------------------------------------------------------------------------------------------- figures


@house
def plot_budget(table: pd.DataFrame, ax: Axes, *, currency: str = "") -> Axes:
    """Draw current and recommended spend by channel over the range that is nearly as good (low to high)."""
    factor, label = scale_of(table[["current", "recommended", "high"]], currency)
    at = name_rows(ax, [str(c) for c in table["channel"]])
    ax.barh(at, (table["high"] - table["low"]) / factor, left=table["low"] / factor, height=0.5, color=PALE)
    (now,) = ax.plot(table["current"] / factor, at, markersize=5, **NOW)
    (then,) = ax.plot(table["recommended"] / factor, at, markersize=5, **THEN)
    ax.set_xlim(left=0)
    ax.set_xlabel(words.text(message("{unit} over the horizon", unit=label)))
    legend(ax, [now, then, area(color=PALE)], _LABELS, columns=3)
    return ax


@house
def plot_response(table: pd.DataFrame, ax: Axes, *, factors: tuple[float, float] = (1.0, 1.0)) -> Axes:
    """Draw one channel's response: contribution over spend with its 80 % band; hatched beyond the spend ever seen.

    `table`: spend, mean, q10, q90, observed_max, current, recommended of one channel. `factors`: divisors of both axes.
    """
    x, y = factors
    first = table.iloc[0]
    ax.fill_between(table["spend"] / x, table["q10"] / y, table["q90"] / y, color=PALE, linewidth=0)
    ax.plot(table["spend"] / x, table["mean"] / y, color=BLUE)
    last = float(table["spend"].max())
    if first["observed_max"] < last:
        unseen: dict[str, Any] = {"facecolor": "none", "edgecolor": "#9a9a9a", "hatch": "///"}
        ax.axvspan(first["observed_max"] / x, last / x, linewidth=0, **unseen)
    curve = (table["spend"].to_numpy(float), table["mean"].to_numpy(float))
    for name, look in (("current", NOW), ("recommended", THEN)):
        # On the drawn line, between its points: where the marker goes is the curve's business, not a new number.
        ax.plot(first[name] / x, np.interp(first[name], *curve) / y, markersize=4, **look)
    ax.set_xlim(0, last / x or 1.0)
    ax.set_ylim(0, None)
    few_ticks(ax.xaxis, 4)
    few_ticks(ax.yaxis, 4)
    return ax


@house
def response_figure(table: pd.DataFrame, *, currency: str = "") -> Figure:
    """Small multiples of the response curves: one scale of contribution, and for each channel its own of spend."""
    names = list(dict.fromkeys(str(c) for c in table["channel"]))
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    (x, x_label), (y, y_label) = scale_of(table["spend"], currency), scale_of(table["mean"], currency)
    height = 0.5 + 0.95 * rows if rows > 1 else 2.0
    figure, axes = blank(height, nrows=rows, ncols=columns, sharey=True)
    short = short_names(names, 18 if columns > 2 else 40)
    for ax, name in zip(axes.ravel(), names, strict=False):
        plot_response(table[table["channel"] == name], ax, factors=(x, y))
        ax.set_title(short[name])
    axes[0, 0].set_ylim(0, (1.05 * table["q90"].max() / y) or 1.0)
    for ax in axes.ravel()[len(names) :]:
        ax.set_visible(False)
    figure.supxlabel(words.text(message("spend over the horizon, {unit}", unit=x_label)), fontsize=7.5)
    figure.supylabel(_contribution(y_label), fontsize=7.5)
    return figure


def _contribution(unit: str) -> str:
    return words.text(message("contribution, {unit}", unit=unit))


@house
def plot_budget_frontier(
    table: pd.DataFrame, ax: Axes, *, current: float, recommended: float, stops: float, currency: str = ""
) -> Axes:
    """Draw the best contribution against budget with its 80 % band; where the plans lie, and where money stops paying.

    `table`: spent, contribution, q10, q90. `current`, `recommended`, `stops`: amounts over the horizon.
    """
    (x, x_label), (y, y_label) = scale_of(table["spent"], currency), scale_of(table["contribution"], currency)
    spent = table["spent"].to_numpy(float)
    ax.fill_between(spent / x, table["q10"] / y, table["q90"] / y, color=PALE, linewidth=0)
    (line,) = ax.plot(spent / x, table["contribution"] / y, color=BLUE)
    edge = ax.axvline(stops / x, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    best = np.interp([current, recommended], spent, table["contribution"]) / y
    (now,) = ax.plot(current / x, best[0], markersize=4.5, **NOW)
    (then,) = ax.plot(recommended / x, best[1], markersize=4.5, **THEN)
    ax.set_xlabel(words.text(message("budget over the horizon, {unit}", unit=x_label)))
    ax.set_ylabel(_contribution(y_label))
    labels = ["best split", "today's total", "recommended", "pays up to here"]
    legend(ax, [line, now, then, edge], labels, columns=2, wide=1.0, handle=1.4)
    return ax


@house
def plot_risk_frontier(table: pd.DataFrame, ax: Axes, *, currency: str = "") -> Axes:
    """Draw mean contribution against that of the worst draws: from the best mean to the safest, and where plans lie.

    `table`: plan (mix, current, recommended), contribution, cvar.
    """
    y, y_label = scale_of(table["contribution"], currency)
    mixes = table[table["plan"] == "mix"]
    (line,) = ax.plot(mixes["cvar"] / y, mixes["contribution"] / y, color=BLUE, marker=".", markersize=4)
    handles = [line]
    for plan, look in (("current", NOW), ("recommended", THEN)):
        row = table[table["plan"] == plan]
        handles += ax.plot(row["cvar"] / y, row["contribution"] / y, markersize=4.5, **look)
    ax.set_xlabel(words.text(message("mean of the worst draws, {unit}", unit=y_label)))
    ax.set_ylabel(_contribution(y_label))
    ax.margins(0.15)
    legend(ax, handles, ["mean to safest", *_LABELS[:2]], columns=2, wide=1.0, handle=1.4)
    return ax
