"""What the report says in words: one message beside each figure, and the notes that never change.

Messages carry their numbers as they are (currency units, rates in [0, 1]); `words` writes them. Nothing here estimates
anything. Each function takes what it speaks of: the facts of the study, the headline, a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forecast.budget import OBJECTIVES
from forecast.fit import GATE
from forecast.verdict import EXTRAPOLATED
from forecast.words import Message, Text, horizon_words, known, message, some_of_many, together

if TYPE_CHECKING:
    import pandas as pd

    from forecast.results import Results, StudyFacts

# ------------------------------------------------------------------------------------- notes that never change

HOW_TO_READ = message(
    "Expected: the mean of all simulated futures, which adds up over channels and periods; bands do not add up. Every "
    "table is in full in report.xlsx, every simulated future in draws.nc."
)
COMPARISON_NOTE = message(
    "The rows add up. Chance: what came then beside what the funnel of that time made likely. Bars are named by the "
    "first period that they hold."
)
BARS_NOTE = message("Bars are named by the first period that they hold.")
PLAN_NOTE = message(
    "Brings: expected eventual contribution, gross margin times eventual revenue less the spend. Nearly as good: there "
    "the result hardly depends on the amount."
)
SIGN = message(
    'The command "forecast sign" puts on record which plan is followed, by whom, and why where it is another.'
)
SIGNED: tuple[Text, ...] = ("Plan", "recommended", "current", "other", "Approved by", "Date", "Signature")
KNOWN_LEAD = message(
    "The study states these, and the forecast holds them in every plan: simulated futures, budget and the worth of a "
    "customer alike. Times: the factor on what is moved while it lasts."
)
RATES_NOTE = message(
    "In brackets: 80~% band. P(below): probability that the rate lies below the published range. Published "
    "ranges are averages over many companies: a starting point for the model and a mark to compare with, never a "
    "target."
)
WORTH_NOTE = message(
    "Expected values, with the 80~% band beneath. A lead is worth all the rates still to come times the value of "
    "a deal. A qualified lead has passed one of them already and is worth more: to pay that for a raw lead is to "
    "overpay. Break-even is the worth of a lead times the gross margin."
)
BUDGET_NOTE = message(
    "Spend over the whole horizon. Nearly as good: inside this range the result hardly depends on the amount. Brings: "
    "expected eventual contribution (gross margin times eventual revenue, less the spend). Next unit brings: eventual "
    "margin from one more unit of money, before that unit is paid. Beyond seen: share of the recommendation above the "
    "highest spend in the data."
)
RESPONSE_NOTE = message(
    "Diamond: current spend. Dot: recommended. Shade: 80~% band. Hatched: more than was ever spent. The curve "
    "is before the spend is paid, the table above after it; report.xlsx holds the curves as numbers."
)
ELASTICITY_NOTE = message(
    "Elasticity 0.5: 10~% more spend brings about 5~% more traffic. Evidence 0~%: the number is the "
    "prior; 100~%: it is the data."
)
SAMPLING_NOTE = message(
    "Sound by weights: Pareto k-hat below {max_k:given}, both effective sizes above {min_ess:given}. By chains: R-hat "
    "below {max_rhat:given}, both effective sample sizes (ESS) above {min_ess:given}, divergences below "
    "{max_divergent:.1%} of the draws, E-BFMI above {min_bfmi:given}. Hazards of dated leads: a last step below "
    "{max_step:given}.",
    **vars(GATE),
)
PROVENANCE_NOTE = message(
    "Study and data are named by the SHA-256 of their content: the same study, data, seed and versions give the same "
    "report."
)
RUN_LETTERS = 12  # of the id of a run, as people read it
BANDS = message("Bands are central intervals: 80~% means four cases out of five.")

# ------------------------------------------------------------------------------------------------ the front page


def run_of(run_id: str) -> Text:
    """Which run a page is of."""
    return message("Run {run}.", run=run_id[:RUN_LETTERS]) if run_id else ""


def unit_of(study: StudyFacts, measure: str | None) -> Message:
    """The unit of a measure: the currency, or wins."""
    return message("wins") if measure == "won" else message("{cur}", cur=study.currency)


def outlook(study: StudyFacts, head: Mapping[str, Any]) -> Message:
    """What is forecast: revenue and wins over the horizon with their 80 % bands."""
    when = horizon_words(study.horizon, study.period)
    ends = (head.get("won_q10"), head.get("won_q90"))
    wins = message("{n:count} wins (80~% band {ends:count_band})", n=head.get("won_mean"), ends=ends)
    if not known(head.get("revenue_mean")):
        said = "Over {when} we expect {wins}. The data hold no deal values, so no revenue is forecast."
        return message(said, when=when, wins=wins)
    parts = [
        message(
            "Over {when} we expect {mean:number}~{cur} of revenue, in four cases out of five between "
            "{ends:between}~{cur}, from {wins}.",
            when=when, wins=wins, mean=head["revenue_mean"], ends=(head["revenue_q10"], head["revenue_q90"]),
            cur=study.currency,
        )
    ]  # fmt: skip
    if known(head.get("refunds_mean")):
        text = "It is net of {x:number}~{cur} of refunds; the value of a deal is before them."
        parts.append(message(text, x=head["refunds_mean"], cur=study.currency))
    if known(head.get("recurring_mean")):
        text = "{x:number}~{cur} of it are paid by earlier customers (recurring revenue)."
        parts.append(message(text, x=head["recurring_mean"], cur=study.currency))
    return parts[0] if len(parts) == 1 else together(*parts)


def against(study: StudyFacts, comparison: pd.DataFrame) -> Text:
    """The forecast against what came just before, and a year before."""
    if comparison.empty:
        return message(
            "No earlier periods of the same number are known whole: there is nothing to compare with."
        )
    wide = comparison.pivot(index="against", columns="item", values="amount")
    rows = comparison.drop_duplicates("against").set_index("against")
    unit = unit_of(study, str(comparison["measure"].iloc[0]))
    parts: list[Text] = []
    for name in rows.index:
        came, now = float(wide.loc[name, "came"]), float(wide.loc[name, "forecast"])
        year = name != "before"
        said = _AGAINST[year, now >= came]
        ends = {"first": rows.loc[name, "first"], "last": rows.loc[name, "last"]}
        parts.append(message(said, x=abs(now - came), came=came, unit=unit, **ends))
    return together(*parts)


_AGAINST = {
    (
        False,
        True,
    ): "Expected is {x:number}~{unit} more than came in {first:period} to {last:period} just before ({came:number}).",
    (
        False,
        False,
    ): "Expected is {x:number}~{unit} less than came in {first:period} to {last:period} just before ({came:number}).",
    (
        True,
        True,
    ): "Against the same periods a year before ({came:number}~{unit}) it is {x:number}~{unit} more.",
    (
        True,
        False,
    ): "Against the same periods a year before ({came:number}~{unit}) it is {x:number}~{unit} less.",
}


def target(study: StudyFacts, head: Mapping[str, Any]) -> Message:
    """P(target) and the gap in words."""
    if not known(study.target) or not known(head.get("p_target")):
        return message("The study sets no target.")
    unit = unit_of(study, study.target_measure)
    parts = [
        message(
            "The target of {aim:whole}~{unit} is met with a probability of {p:chance}.",
            aim=study.target, unit=unit, p=head["p_target"],
        )
    ]  # fmt: skip
    if known(head.get("gap")):
        short = "The expected value is {gap:number}~{unit} short of it."
        above = "The expected value is {gap:number}~{unit} above it."
        gap = float(head["gap"])
        parts.append(message(short if gap > 0 else above, gap=abs(gap), unit=unit))
    then = head.get("p_target_recommended")
    if known(then) and head.get("material", True):
        parts.append(message("With the recommended budget the probability is {p:chance}.", p=then))
    return together(*parts)


def recommendation(made: Results) -> Message:
    """What to do, then what it is worth, with its band."""
    study, head, table = made.study, made.headline, made.allocation
    if table.empty or not known(head.get("gain_mean")):
        return message(
            "No budget is recommended: that takes channels with recorded spend, and a known value of a deal."
        )
    worth = message(
        "{gain:number}~{cur} of expected eventual contribution (80~% band {ends:band}~{cur}; {p:chance} likely to be "
        "above 1~% of what the current plan brings)",
        gain=head["gain_mean"], ends=(head["gain_q10"], head["gain_q90"]), p=head["p_gain"], cur=study.currency,
    )  # fmt: skip
    mode = made.decision.certificate.get("mode") if made.decision is not None else ""
    asked: Text = ""
    if mode:
        total = table["recommended"].sum()
        said = "The {mode:word}: {total:whole}~{cur} over the horizon."
        asked = message(said, mode=mode, total=total, cur=study.currency)
    elif not head.get("material", True) and abs(head["gain_mean"]) < 0.5:
        return message(
            "No material change: keep the current split. The model finds no better one within the limits."
        )
    elif not head.get("material", True):
        aim = made.decision.certificate.get("objective", "profit") if made.decision is not None else "profit"
        said = "No material change: keep the current split. The best split that the model finds would add {worth}."
        if aim != "profit":
            said = (
                "No material change of the {aim:word}: keep the current split. The best split that the model finds "
                "would add {worth}."
            )
        return message(said, worth=worth, aim=OBJECTIVES[aim].words)
    elif not head.get("current_allowed", True):
        asked = message("The current plan does not keep the limits of the budget.")
    what = "Against the current plan that is {worth}." if asked else "That adds {worth}."
    return together(asked, move(study, head, table), message(what, worth=worth))


def move(study: StudyFacts, head: Mapping[str, Any], table: pd.DataFrame) -> Message:
    """The recommendation as an order: from which channels, to which, how much; changes below 0.5 % are not named."""
    cur, change = study.currency, table["recommended"] - table["current"]
    by_size = table.assign(change=change).sort_values("change", kind="stable")
    least = 0.005 * table["current"].sum()
    downs = [str(c) for c in by_size.loc[by_size["change"] < -least, "channel"]]
    ups = [str(c) for c in by_size.loc[by_size["change"] > least, "channel"]][::-1]
    more, less = change.clip(lower=0).sum(), -change.clip(upper=0).sum()
    parts = [_order(ups, downs, more, less, cur)]
    unspent = head.get("unspent")
    total = change.sum() + (float(unspent) if known(unspent) else 0.0)
    if ups and downs and abs(total) > least:
        above = "The whole budget is {total:number}~{cur} above the current plan."
        below = "The whole budget is {total:number}~{cur} below the current plan."
        parts.append(message(above if total > 0 else below, total=abs(total), cur=cur))
    if known(unspent) and float(unspent) > least:
        reason = head.get("unspent_reason") or "no channel brings back the next unit of money"
        said = "{left:number}~{cur} stays unspent: {reason:word}."
        parts.append(message(said, left=unspent, cur=cur, reason=reason))
    return together(*parts)


def _order(ups: Sequence[str], downs: Sequence[str], more: float, less: float, currency: str) -> Message:
    if ups and downs:
        said = "Move {x:number}~{cur} from {downs:listed} to {ups:listed}."
    elif ups:
        said = "Spend {more:number}~{cur} more on {ups:listed}."
    elif downs:
        said = "Spend {less:number}~{cur} less on {downs:listed}."
    else:
        said = "Keep the current split."
    return message(said, x=min(more, less), more=more, less=less, ups=ups, downs=downs, cur=currency)


# --------------------------------------------------------------------------------------------- beside the figures


def bridge(study: StudyFacts, table: pd.DataFrame) -> Text:
    """Beside the bridge: how much of the horizon rests on leads that are already there."""
    in_money = bool(table["mean"].notna().any())
    by = table.set_index("item")["mean" if in_money else "won_mean"].to_dict()
    inside, pipeline = by.get("revenue inside the horizon"), by.get("from open pipeline")
    later = by.get("lands after the horizon")
    if not known(inside) or not known(pipeline) or not inside:
        return ""
    said = "{share:percent} of the wins inside the horizon comes from leads already in the pipeline."
    if in_money:
        said = "{share:percent} of the revenue inside the horizon comes from leads already in the pipeline."
    parts = [message(said, share=pipeline / inside)] if pipeline >= 0 else []
    if known(later) and later < 0:
        text = "{x:number}~{cur} more is paid back after it than lands then from leads that are in the funnel by then."
        parts.append(message(text, x=-later, cur=study.currency))
    elif known(later):
        amount = message("{x:number}~{cur}" if in_money else "{x:count}~wins", x=later, cur=study.currency)
        more = "A further {amount} comes later from leads that are in the funnel by then."
        parts.append(message(more, amount=amount))
    return together(*parts)


def luck(head: Mapping[str, Any]) -> Text:
    """Luck against ignorance: which part of the uncertainty more data would buy down."""
    share, ignorance = head.get("process_share"), head.get("parameter_share")
    if not (known(share) and known(ignorance)):
        return ""
    return message(
        "{luck:percent} of the spread (its variance) is luck: which leads happen to close, and for how much. "
        "{rest:percent} is ignorance of the true rates, delays and values: more data and better measurement "
        "shrink that part, never the luck.",
        luck=share, rest=ignorance,
    )  # fmt: skip


def eventual(study: StudyFacts, head: Mapping[str, Any]) -> Text:
    """The second money: what the leads acquired inside the horizon bring in the end."""
    if not known(head.get("eventual_mean")):
        return ""
    return message(
        "Two moneys, never to be added: the revenue above falls inside the horizon. The leads that the horizon "
        "acquires bring {mean:number}~{cur} in the end (80~% band {ends:band}~{cur}), whenever that lands. Budgets are "
        "judged by it.",
        mean=head["eventual_mean"], ends=(head["eventual_q10"], head["eventual_q90"]), cur=study.currency,
    )  # fmt: skip


def rates(table: pd.DataFrame) -> Message:
    """Beside the rates: where a rate is most likely below its published range."""
    if not table["benchmark_low"].notna().any():
        return message("No published range exists for these stages: compare the channels with one another.")
    rows = table[(table["channel"] != "total") & (table["p_below"] > 0.8)]
    rows = rows.sort_values("p_below", ascending=False, kind="stable")
    if rows.empty:
        return message("No rate is clearly below its published range.")
    pairs = [
        message(
            "{channel:clean} into {stage:stage} ({p:chance})", channel=r.channel, stage=r.stage, p=r.p_below
        )
        for r in rows.itertuples()
    ]
    return message("Likely below the published range (probability in brackets): {pairs:listed}.", pairs=pairs)


def break_even(wide: pd.DataFrame) -> Text:
    """Beside the costs per lead; `wide` has a row per channel with cpl_mean and break_even_cpl_mean (and q10, q90)."""
    cols = ("cpl_q10", "cpl_q90", "break_even_cpl_q10", "break_even_cpl_q90")
    if any(c not in wide for c in cols):
        return ""
    rows = wide[(wide["channel"] != "total") & wide[list(cols)].notna().all(axis=1)]
    over = [str(c) for c in rows.loc[rows["cpl_q10"] > rows["break_even_cpl_q90"], "channel"]]
    under = [str(c) for c in rows.loc[rows["cpl_q90"] < rows["break_even_cpl_q10"], "channel"]]
    unclear = len(rows) - len(over) - len(under)
    clearly = "Leads clearly cost less than they are worth in {under} of {n} channels"
    found = together(
        message(clearly, under=len(under), n=len(rows)),
        message("clearly more in {over:listed}", over=over) if over else "",
        message("the bands overlap in {unclear}", unclear=unclear) if unclear else "",
        between="; ",
    )
    said = "{found}. A cheap lead is no aim in itself: the gap to break-even is what counts."
    return message(said, found=found)


def budget(study: StudyFacts, table: pd.DataFrame) -> Message:
    """Beside the budget: how firm each amount is."""
    inside = int(((table["current"] >= table["low"]) & (table["current"] <= table["high"])).sum())
    return message(
        "Of the {total:whole}~{cur}, no amount is exact: the current spend of {inside} of {n} channels "
        "lies inside the range that is nearly as good. Inside that range, choose by what is easy to do.",
        total=table["recommended"].sum(), cur=study.currency, inside=inside, n=len(table),
    )  # fmt: skip


def budget_title(head: Mapping[str, Any]) -> str:
    """The heading of the budget page, which says at once when there is nothing to do."""
    return "Recommended budget" if head.get("material", True) else "Budget: no material change"


def response(table: pd.DataFrame) -> Text:
    """Beside the response curves: which recommendations lie clearly beyond the spend seen (`verdict.EXTRAPOLATED`)."""
    if table.empty:
        return ""
    first = table.groupby("channel", sort=False).first()
    seen = (1.0 - EXTRAPOLATED) * first["recommended"] <= first["observed_max"]
    beyond = [str(c) for c in first.index[~seen]]
    if not beyond:
        return message("No recommended amount lies more than a little above the spend that history has seen.")
    return message(
        "Clearly beyond the highest spend ever seen (hatched), where the curve is an assumption: {beyond:list}. "
        "Go there in steps.",
        beyond=some_of_many(beyond),
    )


def caveats(study: StudyFacts, evidence: pd.DataFrame) -> list[Message]:
    """What the reader of a recommendation must know, as a list of sentences."""
    weak = [str(c) for c in evidence.loc[evidence["assumed"], "channel"]] if len(evidence) else []
    prior = "The response to spend is mostly assumed, not seen in your data, in {weak:list}."
    kept = "Limits used: {limits:word}" if study.limits else (
        "The split keeps to the total and the limits that the study sets."
    )  # fmt: skip
    return [
        message(
            "Attributed is not incremental: a channel is credited with the leads recorded under it. Some would have "
            "come anyway, some were prepared by other channels. Only an experiment tells them apart."
        ),
        *([message(prior, weak=some_of_many(weak))] if weak else []),
        message(kept, limits=study.limits),
        message(
            "The gain is eventual: gross margin times eventual revenue, less spend. Part of it lands after the horizon."
        ),
    ]


# ------------------------------------------------------------------------------------------- levers and doubts

RATES = {
    "leads": message("conversion"),
    "qualified": message("qualification"),
    "won": message("close rate"),
}
LEVERS = {
    "traffic": message("traffic"),
    "value": message("deal value"),
    "capacity": message("room of sales"),
    "budget": message("budget"),
    "best budget": message("best budget"),
}
SOURCES = {
    "traffic": message("traffic"),
    "deal value": message("deal value"),
    "refunds": message("refunds"),
    "recurring revenue": message("recurring revenue"),
    "delay": message("delay"),
    "open pipeline": message("open pipeline"),
    "chance: open pipeline": message("chance: open pipeline"),
    "chance: new units": message("chance: new units"),
}


def lever_name(lever: str, stage: str) -> Message:
    """A lever in words."""
    if lever in LEVERS:
        return LEVERS[lever]
    if lever == "rate":
        return RATES.get(stage) or message("rate into {stage:stage}", stage=stage)
    return message("delay into {stage:stage}", stage=stage)


def source_name(source: str) -> Text:
    """A source of variance in words."""
    kind, _, stage = source.partition(": ")
    return lever_name(kind, stage) if kind == "rate" else SOURCES.get(source, source)
