"""Figures of a forecast: `forecast.plot.fan(made)`, where `made` is what `forecast.forecast(...)` gives.

    fan          the past of a measure and its forecast as bands, by period
    total        the bands of the whole horizon
    windows      earlier windows as long as the horizon, and the forecast beside them
    comparison   why the forecast differs from what came before
    bridge       where revenue comes from: open pipeline, new leads, what lands later
    rates        rates by channel with bands, beside what was seen and what is published
    break_even   what a lead costs, and what may be paid for one
    ltv_cac      what a customer is worth over what one costs
    response     how contribution follows spend
    budget       spend by channel: current, recommended, and what is nearly as good
    frontier     the best contribution at every budget
    risk         contribution against that of the worst draws
    tornado      what each lever brings
    variance     where the doubt comes from
    scenarios    what each scenario of the study brings
    segments     what a lead of each segment is worth
    mix          the share of each segment by period
    backtest     forecasts of the past, and what came
    calibration  where in its forecast what came fell: even bars where bands are right
    plans        plans beside each other, each against the first
    scored       a run that `forecast.score` scored: its plan by period, and what came
    shares       of such a run, where the difference came from
    earlier      of such a run, the last horizons as forecast then

Each draws on `ax`, or on a figure of its own, and returns the axes; `ax.figure` is the figure. What can be chosen is
chosen by keyword. Texts are in the language of the study. Nothing is computed that a table does not hold, the caller's
settings of matplotlib stay as they are.

Raises UsageError, with what there is, for a name that is not known and for what the forecast does not have.
"""

from forecast.report.plots.channels import break_even, ltv_cac, rates
from forecast.report.plots.coming import fan, total, windows
from forecast.report.plots.leads import mix, segments
from forecast.report.plots.levers import plans, scenarios, tornado, variance
from forecast.report.plots.money import budget, frontier, response, risk
from forecast.report.plots.past import backtest, calibration
from forecast.report.plots.scored import earlier, scored, shares
from forecast.report.plots.steps import bridge, comparison

__all__ = [
    "backtest",
    "break_even",
    "bridge",
    "budget",
    "calibration",
    "comparison",
    "earlier",
    "fan",
    "frontier",
    "ltv_cac",
    "mix",
    "plans",
    "rates",
    "response",
    "risk",
    "scenarios",
    "scored",
    "segments",
    "shares",
    "tornado",
    "total",
    "variance",
    "windows",
]
