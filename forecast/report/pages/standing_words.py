"""What is said of a run that is scored: one message each, from score.json; and how its numbers are written.

Money and large counts to the unit, as they came; what is expected to three digits, as forecasts are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forecast.checks import Check
from forecast.columns import unit_of
from forecast.report.plots.scored import lead_measure
from forecast.tables import AMOUNT, CURRENCY, Record
from forecast.words import Message, Text, known, message, together

Told = Mapping[str, Any]

PREVIEWED = message(
    "What is still to come is a PREVIEW from the history as it is now: closed form, no sampling; bands are approximate."
)
SIGNS = message(
    "A difference is actual less plan, here and everywhere: below 0 where the forecast was too high."
)
WHOLE_FROM = 1000  # counts from here on are written without decimals


def _money(measure: str) -> bool:
    return unit_of(measure) in (AMOUNT, CURRENCY)


def amount(measure: str, x: Any, currency: str) -> Message:
    """A sum of a measure with its unit."""
    if _money(measure):
        return message("{x:whole}~{cur}", x=x, cur=currency)
    return message("{x}~wins" if measure == "won" else "{x}~{stage:stage}", x=one(measure, x), stage=measure)


def spread(measure: str, low: Any, high: Any, currency: str) -> Message:
    """A band of a measure with its unit."""
    if _money(measure):
        return message("{x:band}~{cur}", x=(low, high), cur=currency)
    return message("{x:count_band}~wins" if measure == "won" else "{x:count_band}", x=(low, high))


def one(measure: str, x: Any) -> Message:
    """A sum without its unit: to the unit where it is money or large, else with one decimal where it needs one."""
    if not known(x):
        return message("{x:whole}", x=None)
    coarse = _money(measure) or abs(float(x)) >= WHOLE_FROM
    return message("{x:whole}" if coarse or float(x).is_integer() else "{x:,.1f}", x=x)


def off_by(measure: str, x: Any) -> Message:
    """A difference with its sign."""
    if not known(x):
        return message("{x:whole}", x=None)
    coarse = _money(measure) or abs(float(x)) >= WHOLE_FROM
    return message("{x:signed}" if coarse or float(x).is_integer() else "{x:+,.1f}", x=x)


def rounded(measure: str, x: float) -> float:
    """An expected sum to three digits, as forecasts are written: more would promise too much."""
    if not known(x) or x == 0:
        return x
    digits = 2 - int(np.floor(np.log10(abs(x))))
    return float(round(x, max(digits, 0 if _money(measure) else 1) if digits > 0 else digits))


def span(labels: Sequence[str]) -> Text:
    """A few periods."""
    if len(labels) == 1:
        return message("{label:period}", label=labels[0])
    return message("{first:period} to {last:period}", first=labels[0], last=labels[-1])


def runs(told: Told) -> bool:
    """Whether a part of the horizon is still to come."""
    return len(told["come"]) < len(told["horizon"])


def row_of(rows: Sequence[Record], measure: str) -> Record | None:
    """The row of a measure, or the last one."""
    return next((row for row in rows if row["measure"] == measure), rows[-1] if rows else None)


def ended(told: Told) -> Text:
    """How the horizon ended, or how far it has come, against plan."""
    head, cur = told.get("headline"), told["currency"]
    if head is None:
        return "What came is not known whole for any measure: fill in the cells and amounts that are empty."
    measure = str(head["measure"])
    values = {
        "span": span(told["come"]),
        "actual": amount(measure, head["actual"], cur),
        "plan": amount(measure, head["plan"], cur),
        "gap": amount(measure, abs(head["difference"]), cur),
        "share": abs(head["share"] or 0.0),
    }
    if not known(head["share"]) or abs(head["share"]) < 0.0005:
        return message("{span} brought {actual}, as planned.", **values)
    less = "{span} brought {actual}, {gap} ({share:.1%}) less than the plan of {plan}."
    more = "{span} brought {actual}, {gap} ({share:.1%}) more than the plan of {plan}."
    if measure == "revenue":
        less = "{span} brought {actual} of revenue, {gap} ({share:.1%}) less than the plan of {plan}."
        more = "{span} brought {actual} of revenue, {gap} ({share:.1%}) more than the plan of {plan}."
    return message(less if head["difference"] < 0 else more, **values)


def fell(told: Told) -> Text:
    """Where the actual fell in the band of the plan."""
    head = told.get("headline")
    if head is None:
        return ""
    where = {"ends": spread(head["measure"], head["q10"], head["q90"], told["currency"]), "p": head["pit"]}
    if head["inside80"]:
        said_as = "It lies in the plan's 80~% band of {ends}: {p:chance} of the plan's futures brought less."
    elif head["actual"] < head["q10"]:
        said_as = (
            "It lies below the plan's 80~% band of {ends}: {p:chance} of the plan's futures brought less."
        )
    else:
        said_as = (
            "It lies above the plan's 80~% band of {ends}: {p:chance} of the plan's futures brought less."
        )
    return message(said_as, **where)


def aimed(told: Told) -> Text:
    """The target: whether it was met, or how likely it is now; and how likely it was as planned."""
    target, run = told.get("target"), told.get("running")
    if target is None:
        return ""
    values = {"aim": amount(target["measure"], target["amount"], told["currency"]), "p": target["p_planned"]}
    if target["met"] is not None:
        values["gap"] = amount(target["measure"], abs(target["difference"]), told["currency"])
        met = "The target of {aim} was met, with {gap} to spare; as planned its chance was {p:chance}."
        missed = "The target of {aim} was missed by {gap}; as planned its chance was {p:chance}."
        return message(met if target["met"] else missed, **values)
    if run is None or run["p_now"] is None:
        return message("The target is {aim}; as planned its chance was {p:chance}.", **values)
    now = "The chance of the target of {aim} is now {now:chance}; as planned it was {p:chance}."
    return message(now, now=run["p_now"], **values)


def spent(told: Told) -> Text:
    """Spend planned and recorded."""
    row = next((r for r in told.get("spend", []) if r["period"] == r["channel"] == "total"), None)
    if row is None:
        return "No spend was planned or recorded."
    values = {"plan": row["plan"], "actual": row["actual"], "cur": told["currency"]}
    return message("Spend: {actual:whole}~{cur} recorded, {plan:whole}~{cur} planned.", **values)


def failed(told: Told) -> Text:
    """That the run's verdict was FAIL."""
    if told.get("status") != "FAIL":
        return ""
    return message("The verdict of the run was FAIL: its plan was no basis for a decision.")


def still_open(told: Told) -> Text:
    """A running horizon: what has come, what is open, the whole."""
    run = told.get("running")
    row = None if run is None else row_of(run["rows"], lead_measure(told))
    if run is None or row is None:
        return ""
    m, cur = row["measure"], told["currency"]
    left = span(run["left"])
    parts: list[Text] = []
    values = {"left": left, "rest": amount(m, rounded(m, row["rest_mean"]), cur)}
    if row.get("from_pipeline", 0.0) >= 0.05:
        values |= {"old": amount(m, rounded(m, row["from_pipeline"]), cur)}
        open_ = "{left} is still to come: {rest} are expected, {old} of them from what is in the funnel now."
    else:
        open_ = "{left} is still to come: {rest} are expected."
    parts.append(message(open_, **values))
    if known(row.get("now_mean")):
        whole = "The whole is now expected at {now}, 80~% band {ends}; the plan was {plan}."
        parts.append(
            message(
                whole, now=amount(m, rounded(m, row["now_mean"]), cur),
                ends=spread(m, row["now_q10"], row["now_q90"], cur), plan=amount(m, row["plan_mean"], cur),
            )
        )  # fmt: skip
    if run["partial"]:
        parts.append(message("{p:period} is not over and counts as still to come.", p=run["partial"]))
    before = "Open before {next:stage}: {units:whole} {stage:stage}."
    parts += [message(before, **each) for each in run["open"]]
    return together(*parts)


def will_move(told: Told) -> Text:
    """How far the next forecast is likely to move by the end of the running horizon."""
    found = told.get("revision")
    if not found:
        return ""
    m, cur = found["measure"], told["currency"]
    return message(
        "The forecast of {later} is {mean} today. By the end of {last:period} it will have moved with what comes: in "
        "four cases of five by {low} to {high}. That settles {share:.0%} of the variance of what {later} brings.",
        later=span(found["periods"]), mean=amount(m, rounded(m, found["mean"]), cur),
        last=told["running"]["left"][-1], low=off_by(m, rounded(m, found["q10"])),
        high=off_by(m, rounded(m, found["q90"])), share=found["share"],
    )  # fmt: skip


def of_year(told: Told) -> Text:
    """The year: what came of it, and the rest."""
    year, cur = told["year"], told["currency"]
    row = row_of(year["rows"], lead_measure(told))
    if row is None:
        return ""
    m = row["measure"]
    values = {"year": year["year"], "first": year["come"][0], "last": year["come"][-1]}
    if row["so_far"] is None:
        return message("What {year} brought so far is not known whole.", **values)
    values["so_far"] = amount(m, row["so_far"], cur)
    if not year["rest"]:
        over = "{year} is over: {so_far} from {first:period} on."
        return message(over, **values)
    return message(
        "{year}: {so_far} came from {first:period} to {last:period}, {rest} are expected of the rest. The year then "
        "brings {whole}, 80~% band {ends}.",
        rest=amount(m, rounded(m, row["rest_mean"]), cur), whole=amount(m, rounded(m, row["mean"]), cur),
        ends=spread(m, row["q10"], row["q90"], cur), **values,
    )  # fmt: skip


def spending(told: Told) -> Text:
    """Which spend what is still to come rests on; nothing where there is none."""
    if not told["spend"]:
        return ""
    if told["rest_spend"] == "plan":
        return (
            message("Planned spend: the run's plan, and after it the study's.")
            if runs(told)
            else message("Planned spend: the study's plan.")
        )
    if runs(told):
        return message(
            "Planned spend: the run's plan, and after it what is spent now: the study's ends before."
        )
    return message("Planned spend: what is spent now: the study's plan does not reach so far.")


def largest(told: Told, measure: str) -> Text:
    """The block that moved most."""
    parts = [p for p in told["attribution"] if p["channel"] == "total" and p["measure"] == measure]
    top = max(parts, key=lambda p: abs(p["amount"]), default=None)
    if top is None:
        return ""
    values = {"block": top["block"], "x": amount(measure, abs(top["amount"]), told["currency"])}
    less, more = (
        "Most came from {block:word}: {x} less than planned.",
        "Most came from {block:word}: {x} more than planned.",
    )
    if top["block"] == "chance":
        less = "Most of it is chance, which no block explains: {x} less than planned."
        more = "Most of it is chance, which no block explains: {x} more than planned."
    return message(less if top["amount"] < 0 else more, **values)


def goal_now(row: Record) -> Message:
    """A dated goal as it stands now."""
    unit = {"aim": one(row["measure"], row["amount"]), "p": row["p"], "goal": row["goal"], "by": row["by"]}
    if row["over"]:
        came = one(row["measure"], row["so_far"])
        return message("Goal {goal} ({aim} by {by:period}): {came} came.", came=came, **unit)
    return message("Goal {goal} ({aim} by {by:period}): its chance is now {p:chance}.", **unit)


def so_many(told: Told, n: int) -> Text:
    """What the chapter of earlier horizons is called."""
    if n == 1:
        return "The last horizon, as forecast then"
    quarters = (told["period"], len(told["horizon"])) in (("month", 3), ("week", 13), ("quarter", 1))
    many = (
        "The last {n} quarters, as forecast then" if quarters else "The last {n} horizons, as forecast then"
    )
    return message(many, n=n)


def made_by(told: Told) -> Text:
    """What the earlier forecasts are, and on which spend they rest."""
    found = told["earlier"]
    if found["by"] == "preview":
        alone = (
            "PREVIEWS made now from what was known then, with the spend that was usual then; `forecast backtest` fits "
            "each."
        )
        own = (
            "PREVIEWS made now from what was known then, with the spend that was usual then; `forecast backtest` fits "
            "each. The run itself comes last."
        )
        return own if any(r["own"] for r in found["rows"]) else alone
    if found["by"] == "backtest":
        return {
            "actual": message("Of the saved backtest, with the spend that came; the run itself comes last."),
            "last year": message(
                "Of the saved backtest, with the spend of a year before; the run itself comes last."
            ),
        }.get(
            found["spend"],
            message("Of the saved backtest, with the spend that was usual then; the run itself comes last."),
        )
    return "No earlier horizon can be forecast: the history is too short, or cannot be taken back."


def score_points(told: Told) -> list[Text]:
    """What follows for the next plan."""
    head, made = told.get("headline"), list[Text]()
    if head is not None and not head["inside90"]:
        made.append(
            "What came lies outside the plan's 90~% band, as one in ten does by chance: find out what has changed."
        )
    made.append(
        message(
            "The plan knows nothing after {as_of:period}. `forecast run` fits what has come since and makes the next "
            "one.",
            as_of=told["as_of"],
        )
    )
    checks = checks_of(told)
    n = len(checks)
    one = "One check of the data and of the model now asks for a look: {names:parts}."
    some = "{n} checks of the data and of the model now ask for a look: {names:parts}."
    if n:
        names = [message("{name:word}", name=c.name) for c in checks[:3]]
        made.append(message(one if n == 1 else some, n=n, names=names))
    else:
        made.append("No check of the data as they are now asks for a look.")
    return [message(p) if isinstance(p, str) else p for p in made]


def title(told: Told) -> Message:
    """Which run, and how much of it has come."""
    values = {"name": told["name"], "as_of": told["as_of"], "span": span(told["come"])}
    if not runs(told):
        return message("{name} as planned as of {as_of:period}, {span}", **values)
    some = {
        "month": "{name} as planned as of {as_of:period}, {span} ({come} of {n} months have come)",
        "week": "{name} as planned as of {as_of:period}, {span} ({come} of {n} weeks have come)",
        "quarter": "{name} as planned as of {as_of:period}, {span} ({come} of {n} quarters have come)",
    }[told["period"]]
    return message(some, come=len(told["come"]), n=len(told["horizon"]), **values)


def summary_lines(told: Told) -> list[Text]:
    """What the first sheet of the workbook says, line by line."""
    lines = [title(told), ended(told), fell(told), aimed(told), spent(told), failed(told), SIGNS]
    if "year" in told:
        lines += [still_open(told), will_move(told), of_year(told), PREVIEWED, spending(told)]
    return [line for line in lines if line]


def checks_of(told: Told) -> list[Check]:
    """What asks for a look; read again from score.json it is the same."""
    return [c if isinstance(c, Check) else Check(**c) for c in told.get("checks", [])]
