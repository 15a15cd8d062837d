"""The sheets of report.xlsx as data: which tables there are, in what order and group, and what each is.

    Sheet        a table with its group and a sentence for the contents; a chart where numbers are better seen
    sheets_of    those of results: every table that a page stands on, and some that only a workbook has

Tables that say the same of the same rows stand on one sheet. A sheet holds rows of data; rows that sum up others come
in a block below them, those of the forecast on a sheet of their own (`Table.data`, `Table.sums`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forecast.columns import TABLES, unit_of
from forecast.report.contents import report_of
from forecast.report.plots.asking import main_measure
from forecast.tables import AMOUNT, COINS, PERIOD, TEXT, Column, Table
from forecast.words import Text, message

if TYPE_CHECKING:
    from forecast.results import Results

SUMMARY: str = "Summary"
FORECAST: str = "Forecast"
BUDGET: str = "Budget"
EVIDENCE: str = "What it rests on"
GROUPS = (SUMMARY, FORECAST, BUDGET, EVIDENCE)
RECENT = 36  # periods of the past beside the forecast
# By table, in the order of the sheets: the group, and what the sheet is.
ABOUT: Mapping[str, tuple[str, Text]] = {
    "by_period": (
        FORECAST,
        "The main measure by period, past and forecast with its 80 % band, and its chart.",
    ),
    "forecast": (
        FORECAST,
        "Every measure by period and channel with the current plan: mean, sd and quantiles.",
    ),
    "totals": (
        FORECAST,
        "The forecast over channels, over the horizon and over both, with bands of their own.",
    ),
    "forecast_recommended": (FORECAST, "Every measure by period and channel with the recommended budget."),
    "bridge": (
        FORECAST,
        "Where revenue inside the horizon comes from, and what lands later, with its chart.",
    ),
    "comparison": (
        FORECAST,
        "The forecast beside the last periods and those of a year before, with the reasons.",
    ),
    "windows": (FORECAST, "What came in earlier horizons as long as this one."),
    "history": (FORECAST, "What came, by period and measure, over all channels."),
    "known": (FORECAST, "Events and changes that the study states and the forecast holds."),
    "funnel": (
        FORECAST,
        "The rate into each stage by channel, beside what the data show and the market's range.",
    ),
    "economics": (FORECAST, "What a lead and a customer cost and are worth, by channel."),
    "benchmarks": (FORECAST, "Rates against the market's ranges, and what reaching them would bring."),
    "flow": (FORECAST, "Leads that flow back into the funnel, by channel."),
    "worth": (FORECAST, "What a lead of each segment is worth."),
    "rates": (FORECAST, "The rate into each stage by segment and channel."),
    "mix": (FORECAST, "Shares of segments in the leads of each period."),
    "shift": (FORECAST, "What moving leads between segments would bring."),
    "goals": (FORECAST, "Dated goals of the study, and how likely each is."),
    "ways": (FORECAST, "What one lever alone would have to do for each goal."),
    "allocation": (BUDGET, "Current and recommended spend over the horizon by channel, with its chart."),
    "plan": (BUDGET, "Recommended and current spend by period and channel, ready to paste into a plan."),
    "response": (BUDGET, "What each channel brings at other amounts of spend, before the spend is paid."),
    "firmness": (
        BUDGET,
        "How firm the budget is by channel: elasticity, worth of a test, what lies beyond the data.",
    ),
    "budget_frontier": (
        BUDGET,
        "What other totals would bring, and what the next unit of money brings there.",
    ),
    "risk_frontier": (
        BUDGET,
        "Plans between the current and the recommended one: what they bring, and their risk.",
    ),
    "scenarios": (BUDGET, "Scenarios of the study beside the plan."),
    "sensitivity": (EVIDENCE, "What moving each lever a little would change, by channel."),
    "variance": (EVIDENCE, "Where the doubt of the forecast comes from."),
    "checks": (EVIDENCE, "Every check of verdict and data, and common mistakes, with what to do."),
    "origins": (EVIDENCE, "Forecasts of the past beside what came."),
    "methods": (EVIDENCE, "How good the forecasts of the past were, beside simple methods."),
    "delays": (EVIDENCE, "How long it takes into each stage, and how much of that the data taught."),
    "sampling": (EVIDENCE, "How each part of the model was fitted."),
    "data_read": (EVIDENCE, "Which files were read, and how."),
    "data_totals": (EVIDENCE, "Totals of what was read, exact, to lay beside the books."),
    "made_from": (EVIDENCE, "Versions, seed, and hashes of study and data."),
}
JOINED = ("evidence", "tests", "ledger")  # by channel: on the sheet firmness
CHECKED = ("mistakes", "audit")  # with those of the verdict: on the sheet checks
SAID_ELSEWHERE = ("optimum",)  # its ends stand beside the budget


@dataclass(frozen=True, eq=False)
class Sheet:
    """One sheet. table: its rows, sums among them; blocks: further tables below it; chart: the name of one.

    across: each row has its total beside the table.
    """

    table: Table
    group: str = EVIDENCE
    about: Text = ""
    blocks: Sequence[Table] = ()
    chart: str = ""
    across: bool = False


def sheets_of(made: Results) -> list[Sheet]:
    """The sheets of results in their order; a table without rows has none."""
    tables = {table.name: table for page in report_of(made).pages for table in page.sheets if len(table)}
    tables |= {table.name: table for table in _more(made, tables)}
    for name in (*JOINED, *CHECKED, *SAID_ELSEWHERE):
        tables.pop(name, None)
    order = {name: at for at, name in enumerate(ABOUT)}
    ranked = sorted(tables.values(), key=lambda table: order.get(table.name, len(order)))
    return [_sheet(made, table) for table in ranked]


def _sheet(made: Results, table: Table) -> Sheet:
    group, about = ABOUT.get(table.name, (EVIDENCE, ""))
    if table.name != "by_period":
        table = replace(table, frame=table.frame.dropna(axis="columns", how="all"))
    if table.name in ("forecast", "forecast_recommended"):
        return Sheet(table.data, group, about)
    if table.name == "plan":
        current = _plan(made, "plan_current", made.forecast, message("period, current"))
        return Sheet(table, group, about, blocks=[current] if current else [], across=True)
    charts = {"by_period": "fan", "bridge": "bridge", "allocation": "budget"}
    return Sheet(table, group, about, chart=charts.get(table.name, ""))


def _more(made: Results, tables: Mapping[str, Table]) -> Iterator[Table]:
    """Tables that are made of others."""
    if "forecast" in tables:
        yield _by_period(made)
        yield _totals(tables)
    if "allocation" in tables and (
        plan := _plan(made, "plan", made.forecast_recommended, message("period, recommended"))
    ):
        yield plan
    if joined := [tables[name] for name in JOINED if name in tables]:
        yield _joined(joined)
    if checks := _checks(tables):
        yield checks


def _by_period(made: Results) -> Table:
    """The main measure: what came, and what is expected with its 80 % band."""
    measure = main_measure(made)
    unit = unit_of(measure)
    past = made.history[made.history["measure"] == measure].tail(RECENT)
    rows = made.forecast
    rows = rows[(rows["measure"] == measure) & (rows["channel"] == "total") & (rows["period"] != "total")]
    ahead = rows[["period", "mean", "q10", "q90"]].assign(width=rows["q90"] - rows["q10"])
    came = past[["period", "value"]].rename(columns={"value": "came"})
    columns = (
        Column("period", PERIOD),
        Column("came", unit, message("{measure:stage}, came", measure=measure)),
        Column("mean", unit, "expected"),
        Column("q10", unit, "10 %"),
        Column("q90", unit, "90 %"),
        Column("width", unit, "width of the 80 % band"),
    )
    frame = pd.concat([came, ahead], ignore_index=True)
    return Table("by_period", "By period", columns, frame)


def _totals(tables: Mapping[str, Table]) -> Table:
    """The totals of both plans, with the plan that each is of."""
    sheet, columns = "Totals", TABLES["forecast"][1]
    plans: list[tuple[str, Text]] = [
        ("forecast", message("current")),
        ("forecast_recommended", message("recommended")),
    ]
    frames = [tables[name].sums.frame.pipe(_marked, "plan", said) for name, said in plans if name in tables]
    bare = tuple(replace(column, sums=()) for column in columns)  # here they are the data
    return Table("totals", sheet, (Column("plan"), *bare), pd.concat(frames, ignore_index=True))


def _marked(frame: pd.DataFrame, name: str, said: Text) -> pd.DataFrame:
    """A frame with a text of ours in each row."""
    return frame.assign(**{name: pd.Series([said] * len(frame), index=frame.index, dtype=object)})


def _plan(made: Results, name: str, forecast: pd.DataFrame, head: Text) -> Table | None:
    """Spend by period, a column a channel: as the forecast has it, in the smallest coin, adding up to each total."""
    rows = (
        forecast[(forecast["measure"] == "spend") & (forecast["channel"] != "total")]
        if len(forecast)
        else forecast
    )
    if rows.empty:
        return None
    spend = rows[rows["period"] != "total"].pivot(index="period", columns="channel", values="mean")
    names = [name for name in dict.fromkeys(rows["channel"]) if spend[name].any()]
    spend = spend.loc[list(made.study.horizon), names]
    coins = in_coins(spend.to_numpy(dtype=float), decimals_of(made.study.currency))
    columns = [Column("period", PERIOD, head)]
    unit = COINS if decimals_of(made.study.currency) else AMOUNT
    columns += [Column(name, unit, message("{x:clean}", x=name), total=True) for name in names]
    frame = pd.DataFrame(coins, columns=names)
    frame.insert(0, "period", list(spend.index))
    return Table(name, "Plan by period", tuple(columns), frame)


def decimals_of(currency: str) -> int:
    """Decimals of the smallest coin of a currency: 2 for EUR, 0 for JPY."""
    from babel.numbers import get_currency_precision

    return int(get_currency_precision(currency))


def in_coins(spend: np.ndarray, decimals: int) -> np.ndarray:
    """Amounts (period, channel) in whole coins that add up, over periods, to each channel's total to the coin.

    What rounding down leaves goes to the periods that lost most of it; the first of two that lost as much.
    """
    scaled = spend * 10.0**decimals
    coins = np.floor(scaled + 1e-6)
    left = np.rint(scaled.sum(axis=0) - coins.sum(axis=0)).astype(int)
    for column, more in enumerate(left):
        lost = np.argsort(-(scaled - coins)[:, column], kind="stable")[:more]
        coins[lost, column] += 1
    return coins / 10.0**decimals


def _joined(tables: Sequence[Table]) -> Table:
    """Tables by channel side by side."""
    names = dict.fromkeys(name for table in tables for name in table.frame["channel"])
    frame, columns = pd.DataFrame({"channel": list(names)}), list(tables[0].shown[:1])
    for table in tables:
        new = [column for column in table.shown if column.name not in {c.name for c in columns}]
        frame = frame.merge(table.frame[["channel", *(c.name for c in new)]], on="channel", how="left")
        columns += new
    texts = [column for column in columns[1:] if column.unit == TEXT]
    ordered = [columns[0], *(column for column in columns[1:] if column not in texts), *texts]
    return Table("firmness", "How firm", tuple(ordered), frame)


def _checks(tables: Mapping[str, Table]) -> Table | None:
    """The checks of verdict, data and common mistakes in one list."""
    parts = [
        ("checks", message("verdict"), {}),
        ("audit", message("data"), {"check": "name", "evidence": "value"}),
        ("mistakes", message("common mistakes"), {"mistake": "name", "evidence": "value"}),
    ]
    frames = [
        tables[name].frame.rename(columns=titles).pipe(_marked, "part", part)
        for name, part, titles in parts
        if name in tables
    ]
    if not frames:
        return None
    columns = (
        Column("part", TEXT, "of"),
        Column("name", TEXT, "check"),
        Column("status"),
        Column("value", TEXT, "found"),
        Column("threshold", TEXT, "expected"),
        Column("advice"),
    )
    return Table("checks", "Checks", columns, pd.concat(frames, ignore_index=True).fillna(""))
