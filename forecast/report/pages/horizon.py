"""The second page: the horizon period by period, what would change it, what is assumed, what went wrong before."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecast.columns import unit_of
from forecast.report import sentences
from forecast.report.document import Listing, Page, Part, Picture, Row, listing, period, said
from forecast.report.figures import panels
from forecast.report.pages.scenarios import bottleneck_sentence, lever_columns
from forecast.report.plots import plot
from forecast.report.plots.asking import main_measure
from forecast.report.plots.asking import whole as total
from forecast.report.plots.levers import levers_of
from forecast.tables import COUNT, CURRENCY, Record, records
from forecast.words import Message, Text, known, message, plural, together

if TYPE_CHECKING:
    from forecast.results import Results

RECENT = 24  # past periods in the fan: forecast periods stay wide enough to read
MOST_LEVERS = 6
LESS = 0.8  # of the current budget: how much less is shown
MOST_PERIODS = 13  # in the table; more stand in the workbook
LONG = 1e7  # amounts for which columns of one width have no room


def horizon_page(made: Results) -> Page:
    """The second page."""
    parts = [
        *_periods(made),
        *_changes(made),
        Part("What is assumed", listings=[_assumptions(made)]),
        Part("Last time, and what next", points=_next(made)),
    ]
    return Page("The forecast period by period", parts)


# ----------------------------------------------------------------------------------------------------- by period


def _periods(made: Results) -> list[Part]:
    """The fan with its target, and below it every period with what it rests on."""
    study, measure = made.study, main_measure(made)
    whole, unit = total(made.forecast, measure), unit_of(measure)
    alt = message(
        "{stage:stage} by period: the past as a line, the forecast as bands of 50, 80 and 90 percent, and the "
        "80 percent band of the whole horizon, {ends}.",
        stage=measure, ends=unit.band(whole["q10"], whole["q90"]),
    )  # fmt: skip
    drawn = partial(
        panels,
        2.1,
        lambda ax: plot.fan(made, recent=RECENT, ax=ax),
        lambda ax: plot.total(made, ax=ax),
        ratios=(5, 1),
    )
    lead = together(sentences.outlook(study, made.headline), sentences.target(study, made.headline))
    return [Part(lead=lead, figure=Picture(drawn, alt), listings=[_by_period(made, measure)])]


def _by_period(made: Results, measure: str) -> Listing:
    """A row a period and one for all of them: spend, stages, and the measure with its band."""
    frame = made.forecast[made.forecast["channel"] == "total"]
    wide = {
        str(period): {str(row["measure"]): row for row in records(part)}
        for period, part in frame.groupby("period", sort=False)
    }
    rows: list[dict[str, Any]] = [{"period": period, "by": cells} for period, cells in wide.items()]
    ahead = [row for row in rows if row["period"] != "total"]
    shown = [*ahead[:MOST_PERIODS], *(row for row in rows if row["period"] == "total")]
    asked = [m for m in ("spend", *made.study.stages) if all(m in row["by"] for row in shown)]
    unit = unit_of(measure)
    amounts = [abs(row["by"][measure]["mean"]) for row in shown if known(row["by"][measure]["mean"])]
    width = "a" if max(amounts, default=0.0) >= LONG else "1"

    def mean(name: str, head: Text) -> Any:
        return said(head, lambda row: unit_of(name).said(row["by"][name]["mean"]), width=width)

    def spread(low: str, high: str, head: Text) -> Any:
        def cell(row: Record) -> Text:
            return unit.band(row["by"][measure][low], row["by"][measure][high], narrow=True)

        return said(head, cell, width="2")

    def head(name: str) -> Message:
        return message("{measure:stage}", measure=name)

    columns = [period("period", message("Period, {cur}", cur=made.study.currency), total="whole horizon")]
    columns += [mean(name, head(name)) for name in [*(m for m in asked if m != measure), measure]]
    columns += [spread("q10", "q90", message("80~% band")), spread("q05", "q95", message("90~% band"))]
    return listing(shown, columns, strong=lambda row: row["period"] == "total")


# -------------------------------------------------------------------------------------------- what would change it


def _changes(made: Results) -> list[Part]:
    """The largest levers, and what less money would mean."""
    less = spend_less(made)
    if made.levers is None or made.levers.sensitivity.empty:
        return [Part("What would change it", text=less)] if less else []
    levers = made.levers
    inside = "revenue" if levers.valued else "won"
    unit, counted = sentences.unit_of(made.study, inside), CURRENCY if levers.valued else COUNT
    frame = levers_of(levers.sensitivity, inside).head(MOST_LEVERS)
    columns = lever_columns(unit, counted, message("Brings"))
    told = bottleneck_sentence(made, levers)
    share = 0.45
    drawn = partial(
        panels,
        0.9 + 0.2 * len(frame),
        lambda ax: plot.tornado(made, most=MOST_LEVERS, ax=ax),
        share=share,
    )
    picture = Picture(drawn, message("What each lever brings inside the horizon. {told}", told=told))
    return [
        Part(
            "What would change it",
            lead=together(told, less),
            figure=picture,
            listings=[listing(records(frame), columns)],
            beside=share,
        )
    ]


def spend_less(made: Results) -> Text:
    """What the best split of about a fifth less money would bring, from the frontier of budgets."""
    firm = made.decision
    if firm is None or firm.budget_frontier.empty or made.allocation.empty:
        return ""
    frame = firm.budget_frontier.sort_values("spent")
    current = float(made.allocation["current"].sum())
    spent, brings = frame["spent"].to_numpy(float), frame["contribution"].to_numpy(float)
    at = LESS * current
    if not spent[0] <= at <= spent[-1]:
        return ""
    less, same = (float(np.interp(x, spent, brings)) for x in (at, min(current, spent[-1])))
    return message(
        "A fifth less money, best divided, would bring {less:number}~{cur} of contribution in the end; as much as now, "
        "best divided, {same:number}~{cur}.",
        less=less, same=same, cur=made.study.currency,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- what is assumed


def _assumptions(made: Results) -> Listing:
    """What the forecast takes for granted, in plain sight: what, how much, and where it comes from."""
    study, rows = made.study, list[Row]()

    def add(what: Text, told: Text) -> None:
        if told:
            rows.append(Row([what, told]))

    spend = total(made.forecast, "spend").get("mean")
    if known(spend):
        plan = study.spend_plan or message("as planned")
        add("Spend", message("{x:whole}~{cur}, {plan:word}", x=spend, cur=study.currency, plan=plan))
    if known(study.gross_margin):
        add("Gross margin", message("{x:percent.3} of revenue", x=study.gross_margin))
    add("Customer lifetime", study.lifetime)
    add("Delays", _delays(made.delays))
    add("Response to spend", _responses(made.evidence))
    if len(made.known):
        add(
            "Events and changes",
            message("{names:list.6}", names=[str(row["name"]) for row in records(made.known)]),
        )
    add("Limits of the budget", study.limits)
    if made.read is not None:
        files = [
            plural("{file:clean} ({n:whole} row)", "{file:clean} ({n:whole} rows)", n=f.rows, file=f.file)
            for f in made.read.files
        ]
        add(
            "Data",
            message(
                "{first:period} to {last:period}: {files:list.4}",
                first=made.read.first,
                last=made.read.last,
                files=files,
            ),
        )
    return Listing(["", ""], rows, "ll", "a1", folds=True)


def _delays(delays: pd.DataFrame) -> Text:
    each = [
        message("into {stage:stage} {mean_days:number.2} days (learnt: {learnt:percent})", **row)
        for row in records(delays)
    ]
    return message("{each:parts}", each=each) if each else ""


def _responses(evidence: pd.DataFrame) -> Text:
    if evidence.empty:
        return ""
    assumed, learnt = (
        [str(name) for name in evidence.loc[evidence["assumed"] == flag, "channel"]] for flag in (True, False)
    )
    if not assumed:
        return "learnt from your data in every channel"
    if not learnt:
        return "assumed in every channel: what is usual for its kind"
    return message(
        "assumed in {assumed:list.8}; learnt from your data in {learnt:list.8}",
        assumed=assumed,
        learnt=learnt,
    )


# ------------------------------------------------------------------------------------------------------ what next


def _next(made: Results) -> list[Text]:
    """How forecasts of the past did, and what to do until the next one."""
    points: list[Text] = [_last_time(made)]
    firm = made.decision
    if firm is not None and firm.advice:
        points.append(firm.advice)
    points.append(
        message(
            'When {last:period} is complete: "forecast score" lays what came beside this forecast and takes the '
            "difference apart; then run again.",
            last=made.study.horizon[-1],
        )
        if made.study.horizon
        else ""
    )
    return [point for point in points if point]


def _last_time(made: Results) -> Message:
    past = made.backtest
    if past is None or not past.rows:
        return message(
            'How wrong forecasts of the past would have been is not measured yet: "forecast backtest" makes them, and '
            "the next report shows them here."
        )
    rows = list(past.rows)
    inside = sum(1 for row in rows if row["q10"] <= row["came"] <= row["q90"])
    last = rows[-1]
    unit = sentences.unit_of(made.study, past.measure)
    return message(
        "Forecasts of the past: {inside} of {n} outcomes lay inside the 80~% band. The last, for {first:period} to "
        "{end:period}: expected {mean:number}~{unit}, came {came:number}~{unit}.",
        inside=inside, n=len(rows), first=last["first"], end=last["last"], mean=last["mean"], came=last["came"],
        unit=unit,
    )  # fmt: skip
