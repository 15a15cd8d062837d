"""What the report says in words: how numbers are written for people, and one sentence beside each figure.

Numbers come in raw (currency units, rates in [0, 1]); percent, thin spaces and rounding exist only from here on. A
band is rounded to three significant digits of the largest number in it; a missing value is written as a dash. Nothing
here estimates anything.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

NBSP = "\N{NO-BREAK SPACE}"
THIN = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
MISSING = DASH
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WORDS = {"contribution": "eventual contribution"}  # dated by acquisition, whenever it lands
_PLURAL = {"month": "months", "week": "weeks", "quarter": "quarters"}

# ---------------------------------------------------------------------------------------------- numbers and names


def known(value: Any) -> bool:
    """Whether there is a finite number (None, NaN and infinity are not)."""
    return value is not None and not isinstance(value, str) and math.isfinite(float(value))


def _step(values: Iterable[float], digits: int) -> float:
    """Rounding step that leaves `digits` significant digits of the largest value."""
    largest = max((abs(v) for v in values), default=0.0)
    return 10.0 ** (math.floor(math.log10(largest)) - digits + 1) if largest > 1e-9 else 1.0


def _written(value: float, step: float) -> str:
    """A number rounded to `step`, thousands kept apart by thin spaces."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{abs(round(value / step) * step):,.{decimals}f}".replace(",", THIN)
    return (MINUS if value < 0 and text.strip("0.") else "") + text


def number(value: Any, digits: int = 3) -> str:
    """A number to `digits` significant digits: 181 000; 8.42; a dash where there is none."""
    if not known(value):
        return MISSING
    return _written(float(value), _step([float(value)], digits))


def count(value: Any) -> str:
    """An expected number of things: 7.6, 28, 131; more digits would promise too much."""
    return number(value, 2 if known(value) and abs(float(value)) < 100 else 3)


def count_band(low: Any, high: Any) -> str:
    """A band of counts: 25 to 32."""
    return band(low, high, "", 2 if known(high) and abs(float(high)) < 100 else 3)


def whole(value: Any) -> str:
    """A number that is known exactly, to the unit: 12 867."""
    return _written(float(value), 1.0) if known(value) else MISSING


def money(value: Any, currency: str, *, exact: bool = False) -> str:
    """An amount with its currency: 181 000 EUR; `exact` keeps every unit, for amounts that someone decides."""
    if not known(value):
        return MISSING
    return f"{whole(value) if exact else number(value)}{NBSP}{currency}"


def band(low: Any, high: Any, unit: str = "", digits: int = 3) -> str:
    """A band, both ends rounded alike: 166 000 to 197 000 EUR."""
    if not (known(low) and known(high)):
        return MISSING
    step = _step([float(low), float(high)], digits)
    return f"{_written(float(low), step)} to {_written(float(high), step)}" + (
        f"{NBSP}{unit}" if unit else ""
    )


def tight(spread: str) -> str:
    """A band for narrow columns: 166 000–197 000; a minus sign keeps the word, a dash beside it would mislead."""
    return spread if MINUS in spread else spread.replace(" to ", DASH)


def percent(share: Any, digits: int = 2) -> str:
    """A rate or share as percent: 3.1 %."""
    if not known(share):
        return MISSING
    return f"{number(100 * float(share), max(digits, 3) if abs(float(share)) >= 0.9995 else digits)}{NBSP}%"


def percent_band(low: Any, high: Any, digits: int = 2) -> str:
    """A band of rates: 2.6 to 3.7 %."""
    if not (known(low) and known(high)):
        return MISSING
    return band(100 * float(low), 100 * float(high), "%", digits)


def chance(p: Any, *, brief: bool = False) -> str:
    """A probability for people, never a false certainty: 41 %, below 1 %, above 99 %; `brief` is for tables."""
    if not known(p):
        return MISSING
    below, above = ("<", ">") if brief else ("below", "above")
    if float(p) < 0.01:
        return f"{below}{NBSP}1{NBSP}%"
    return f"{above}{NBSP}99{NBSP}%" if float(p) > 0.99 else f"{round(100 * float(p))}{NBSP}%"


def signed(value: float) -> str:
    """A change with its sign: +1 200, −800, 0."""
    text = whole(value)
    return f"+{text}" if value >= 0.5 else text


def extrapolated(value: Any) -> str:
    """How far a recommendation lies beyond the data: a share, or yes and no."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return ("no" if float(value) <= 0 else percent(value)) if known(value) else MISSING


def sentence(text: Any) -> str:
    """A note as a sentence: capital first, full stop last; nothing where there is none."""
    said = clean(text).strip()
    return said and said[0].upper() + said[1:] + ("" if said[-1] in ".!?:" else ".")


def clean(text: Any) -> str:
    """Text that any page can take: line breaks and tabs become spaces, other control characters a replacement sign.

    Marks that turn the direction of writing are dropped: a name must not rearrange the line it stands in.
    """
    out = []
    for char in str(text):
        if char in "\t\n\r\v\f\x85\u2028\u2029":
            out.append(" ")
        elif char not in _BIDI:
            out.append(
                "\N{REPLACEMENT CHARACTER}"
                if unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn")
                else char
            )
    return "".join(out)


def short_names(names: Iterable[str], width: int = 24) -> dict[str, str]:
    """Each name within `width` characters, cut in the middle where it is longer, and still different from the others.

    >>> short_names(["ppc", "paid search, brand terms, Finland", "paid search, brand terms, Poland"], 16)["ppc"]
    'ppc'
    """
    short: dict[str, str] = {}
    for name in names:
        text = clean(name)
        cut = text if len(text) <= width else f"{text[: width - width // 3 - 1]}…{text[-(width // 3) :]}"
        k = 2
        while cut in short.values() and name not in short:
            cut, k = f"{text[: width - len(str(k)) - 2]}…{k}", k + 1
        short.setdefault(name, cut)
    return short


def stage_word(stage: str) -> str:
    """A stage as it is read: site_visits is "site visits"."""
    return _WORDS.get(stage, clean(stage).replace("_", " "))


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names in a row, with "and": a, b and c; longer lists end with "and 3 more"."""
    shown = [clean(n) for n in names[:most]]
    if len(names) > most:
        shown.append(f"{len(names) - most}{NBSP}more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"


def horizon_words(study: Mapping[str, Any]) -> str:
    """The horizon: "2026-11 to 2027-01 (3 months)"."""
    labels, kind = list(study["horizon"]), study["period"]
    n = f"1{NBSP}{kind}" if len(labels) == 1 else f"{len(labels)}{NBSP}{_PLURAL.get(kind, kind + 's')}"
    return f"{labels[0]} ({n})" if len(labels) == 1 else f"{labels[0]} to {labels[-1]} ({n})"


# ------------------------------------------------------------------------------------- notes that never change

HOW_TO_READ = (
    "The expected value is the mean of all simulated futures and adds up over channels and periods; the median is the "
    "middle one; bands do not add up. Every table is in full in report.xlsx, every simulated future in draws.nc."
)
RATES_NOTE = (
    f"In brackets: 80{NBSP}% band. P(below): probability that the rate lies below the published range. Published "
    "ranges are averages over many companies: a starting point for the model and a mark to compare with, never a "
    "target."
)
WORTH_NOTE = (
    f"Expected values, with the 80{NBSP}% band beneath. A lead is worth all the rates still to come times the value of "
    "a deal. A qualified lead has passed one of them already and is worth more: to pay that for a raw lead is to "
    "overpay. Break-even is the worth of a lead times the gross margin."
)
BUDGET_NOTE = (
    "Spend over the whole horizon. Nearly as good: inside this range the result hardly depends on the amount. Brings: "
    "expected eventual contribution (gross margin times eventual revenue, less the spend). Next unit brings: eventual "
    "margin from one more unit of money, before that unit is paid. Beyond seen: share of the recommendation above the "
    "highest spend in the data."
)
RESPONSE_NOTE = (
    f"Diamond: current spend. Dot: recommended. Shade: 80{NBSP}% band. Hatched: more than was ever spent. The curve "
    "is before the spend is paid, the table above after it; report.xlsx holds the curves as numbers."
)
ELASTICITY_NOTE = (
    f"Elasticity 0.5: 10{NBSP}% more spend brings about 5{NBSP}% more traffic. Evidence 0{NBSP}%: the number is the "
    f"prior; 100{NBSP}%: it is the data."
)
SAMPLING_NOTE = (
    "Sound: R-hat below 1.01, both effective sample sizes (ESS) above 400, no divergences, E-BFMI above 0.3."
)
PROVENANCE_NOTE = (
    "Study and data are named by the SHA-256 of their content: the same study, data, seed and versions give the same "
    "report."
)

# ---------------------------------------------------------------------------------------------------- page 1


def outlook(study: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """What is forecast: revenue and wins over the horizon with their 80 % bands."""
    cur, when = clean(study["currency"]), horizon_words(study)
    wins = (
        f"{count(head.get('won_mean'))} wins "
        f"(80{NBSP}% band {count_band(head.get('won_q10'), head.get('won_q90'))})"
    )
    if not known(head.get("revenue_mean")):
        return f"Over {when} we expect {wins}. The data hold no deal values, so no revenue is forecast."
    ends = band(head["revenue_q10"], head["revenue_q90"], cur).replace(" to ", " and ")
    return (
        f"Over {when} we expect {money(head['revenue_mean'], cur)} of revenue, in four cases out of five "
        f"between {ends}, from {wins}."
    )


def target(study: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """P(target) and the gap in words."""
    if not known(study.get("target")) or not known(head.get("p_target")):
        return "The study sets no target."
    unit = "wins" if study.get("target_measure") == "won" else clean(study["currency"])
    aim = f"{whole(study['target'])}{NBSP}{unit}"
    said = f"The target of {aim} is met with a probability of {chance(head['p_target'])}."
    if known(head.get("gap")):
        gap = float(head["gap"])
        said += (
            f" The middle forecast is {number(abs(gap))}{NBSP}{unit} {'short of' if gap > 0 else 'above'} it."
        )
    if known(head.get("p_target_recommended")) and head.get("material", True):
        said += f" With the recommended budget the probability is {chance(head['p_target_recommended'])}."
    return said


def recommendation(study: Mapping[str, Any], head: Mapping[str, Any], table: pd.DataFrame) -> str:
    """What to do, then what it is worth, with its band; `table` is the allocation."""
    if table.empty or not known(head.get("gain_mean")):
        return (
            "No budget is recommended: that takes channels with recorded spend, and a known value of a deal."
        )
    cur = clean(study["currency"])
    worth = (
        f"{money(head['gain_mean'], cur)} of expected eventual contribution "
        f"(80{NBSP}% band {band(head['gain_q10'], head['gain_q90'], cur)}; "
        f"{chance(head['p_better'])} likely to be better than the current plan)"
    )
    if not head.get("material", True):
        return f"No material change: keep the current split. The best split that the model finds would add {worth}."
    if not head.get("current_allowed", True):
        said = f"The current plan does not keep the limits of the budget. {move(study, head, table)}"
        return f"{said} Against the current plan that is {worth}."
    return f"{move(study, head, table)} That adds {worth}."


def move(study: Mapping[str, Any], head: Mapping[str, Any], table: pd.DataFrame) -> str:
    """The recommendation as an order: from which channels, to which, how much; changes below 0.5 % are not named."""
    cur, change = clean(study["currency"]), table["recommended"] - table["current"]
    by_size = table.assign(change=change).sort_values("change", kind="stable")
    least = 0.005 * table["current"].sum()
    downs = [str(c) for c in by_size.loc[by_size["change"] < -least, "channel"]]
    ups = [str(c) for c in by_size.loc[by_size["change"] > least, "channel"]][::-1]
    up, down = change.clip(lower=0).sum(), -change.clip(upper=0).sum()
    more, less = money(up, cur), money(down, cur)
    if ups and downs:
        said = f"Move {money(min(up, down), cur)} from {listed(downs)} to {listed(ups)}."
    elif ups or downs:
        said = f"Spend {more} more on {listed(ups)}." if ups else f"Spend {less} less on {listed(downs)}."
    else:
        said = "Keep the current split."
    total = change.sum() + (float(head["unspent"]) if known(head.get("unspent")) else 0.0)
    if ups and downs and abs(total) > least:
        said += f" The whole budget is {money(abs(total), cur)} {'above' if total > 0 else 'below'} the current plan."
    if known(head.get("unspent")) and float(head["unspent"]) > least:
        reason = clean(head.get("unspent_reason") or "no channel brings back the next unit of money")
        said += f" {money(head['unspent'], cur)} stays unspent: {reason}."
    return said


# --------------------------------------------------------------------------------------------- beside the figures


def fan(study: Mapping[str, Any], total: Mapping[str, Any], measure: str) -> str:
    """Beside the fan: the two ends of the 80 % band as cases to plan for."""
    unit = clean(study["currency"]) if measure == "revenue" else "wins"
    low, high = total.get("q10"), total.get("q90")
    if not (known(low) and known(high)):
        return ""
    return (
        f"Plan for {number(low)}{NBSP}{unit} as the cautious case and {number(high)}{NBSP}{unit} as the good one: "
        f"one horizon in ten ends below the first, one in ten above the second."
    )


def bridge(study: Mapping[str, Any], table: pd.DataFrame) -> str:
    """Beside the bridge: how much of the horizon rests on leads that are already there."""
    column = "mean" if table["mean"].notna().any() else "won_mean"
    by = table.set_index("item")[column].to_dict()
    inside, pipeline = by.get("revenue inside the horizon"), by.get("from open pipeline")
    later = by.get("lands after the horizon")
    if not known(inside) or not known(pipeline) or not inside:
        return ""
    what = "revenue" if column == "mean" else "wins"
    said = f"{percent(pipeline / inside)} of the {what} inside the horizon comes from leads already in the pipeline."
    if known(later):
        amount = money(later, clean(study["currency"])) if column == "mean" else f"{count(later)}{NBSP}wins"
        said += f" A further {amount} comes later from leads that are in the funnel by then."
    return said


def luck(head: Mapping[str, Any]) -> str:
    """Luck against ignorance: which part of the uncertainty more data would buy down."""
    share, ignorance = head.get("process_share"), head.get("parameter_share")
    if not (known(share) and known(ignorance)):
        return ""
    return (
        f"{percent(share)} of the spread (its variance) is luck: which leads happen to close, and for how much. "
        f"{percent(ignorance)} is ignorance of the true rates, delays and values: more data and better measurement "
        f"shrink that part, never the luck."
    )


def eventual(study: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """The second money: what the leads acquired inside the horizon bring in the end."""
    if not known(head.get("eventual_mean")):
        return ""
    cur = clean(study["currency"])
    return (
        f"Two moneys, never to be added: the revenue above falls inside the horizon. The leads that the horizon "
        f"acquires bring {money(head['eventual_mean'], cur)} in the end (80{NBSP}% band "
        f"{band(head['eventual_q10'], head['eventual_q90'], cur)}), whenever that lands. Budgets are judged by it."
    )


def rates(table: pd.DataFrame) -> str:
    """Beside the rates: where a rate is most likely below its published range."""
    if not table["benchmark_low"].notna().any():
        return "No published range exists for these stages: compare the channels with one another."
    rows = table[(table["channel"] != "total") & (table["p_below"] > 0.8)]
    rows = rows.sort_values("p_below", ascending=False, kind="stable")
    if rows.empty:
        return "No rate is clearly below its published range."
    pairs = [
        f"{clean(r.channel)} into {stage_word(str(r.stage))} ({chance(r.p_below)})" for r in rows.itertuples()
    ]
    return f"Likely below the published range (probability in brackets): {listed(pairs)}."


def break_even(wide: pd.DataFrame) -> str:
    """Beside the costs per lead; `wide` has a row per channel with cpl_mean and break_even_cpl_mean (and q10, q90)."""
    cols = ("cpl_q10", "cpl_q90", "break_even_cpl_q10", "break_even_cpl_q90")
    if any(c not in wide for c in cols):
        return ""
    rows = wide[(wide["channel"] != "total") & wide[list(cols)].notna().all(axis=1)]
    over = [str(c) for c in rows.loc[rows["cpl_q10"] > rows["break_even_cpl_q90"], "channel"]]
    under = [str(c) for c in rows.loc[rows["cpl_q90"] < rows["break_even_cpl_q10"], "channel"]]
    unclear = len(rows) - len(over) - len(under)
    parts = [f"Leads clearly cost less than they are worth in {len(under)} of {len(rows)} channels"]
    if over:
        parts.append(f"clearly more in {listed(over)}")
    if unclear:
        parts.append(f"the bands overlap in {unclear}")
    return "; ".join(parts) + ". A cheap lead is no aim in itself: the gap to break-even is what counts."


def budget(study: Mapping[str, Any], table: pd.DataFrame) -> str:
    """Beside the budget: how firm each amount is."""
    inside = int(((table["current"] >= table["low"]) & (table["current"] <= table["high"])).sum())
    total = money(table["recommended"].sum(), clean(study["currency"]), exact=True)
    return (
        f"Of the {total} recommended, no amount is exact: the current spend of {inside} of {len(table)} channels lies "
        f"inside the range that is nearly as good. Inside that range, choose by what is easy to do."
    )


def budget_title(head: Mapping[str, Any]) -> str:
    """The heading of the budget page, which says at once when there is nothing to do."""
    return "Recommended budget" if head.get("material", True) else "Budget: no material change"


def response(table: pd.DataFrame) -> str:
    """Beside the response curves: which recommendations lie beyond the spend that history has seen."""
    if table.empty:
        return ""
    first = table.groupby("channel", sort=False).first()
    beyond = [str(c) for c in first.index[first["recommended"] > first["observed_max"]]]
    if not beyond:
        return "Every recommended amount lies within the spend that history has seen."
    return (
        f"Beyond the highest spend ever seen (hatched), where the curve is an assumption: {listed(beyond)}. "
        f"Go there in steps."
    )


def caveats(study: Mapping[str, Any], evidence: pd.DataFrame) -> list[str]:
    """What the reader of a recommendation must know, as a list of sentences."""
    attributed = (
        "Attributed is not incremental: a channel is credited with the leads recorded under it. Some would have come "
        "anyway, some were prepared by other channels. Only an experiment tells them apart."
    )
    weak = [str(c) for c in evidence.loc[evidence["evidence"] < 0.4, "channel"]] if len(evidence) else []
    prior = f"The response to spend is mostly assumed, not seen in your data, in {listed(weak)}."
    limits = study.get("limits")
    kept = (
        f"Limits used: {clean(limits)}"
        if limits
        else "The split keeps to the total and the limits that the study sets."
    )
    gain = "The gain is eventual: gross margin times eventual revenue, less spend. Part of it lands after the horizon."
    return [attributed, *([prior] if weak else []), kept, gain]
