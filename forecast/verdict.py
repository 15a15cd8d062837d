"""How far a run can be trusted: named checks with value, threshold and advice, and the verdict they add up to.

    sampling          Pareto k-hat and sizes of weights; R-hat, ESS, divergences, E-BFMI, depth of chains; draws
    model and history posterior predictive checks (`fit.predictive`)
    priors            conflict with the data, and numbers that are mostly their prior (`fit.sensitivity`)
    deals             gamma or lognormal (`deal_law`)
    plausibility      of the forecast and of the gain, against what came in comparable periods
    delays, data, extrapolation, calibration where a backtest gave one

FAIL means: do not decide on these numbers. Only sampling, the audit of the data, a model that misses the last periods
by a quarter, and numbers that no company of this size could show can FAIL; every other doubt is one that a reader can
weigh, so it is a REVIEW.

Are deals gamma or lognormal? The question is asked of single deals, where their amounts are known. The model sums gamma
deals (closed under summation), which is good up to a coefficient of variation of about one. Wider lognormal deals have
the same mean and a longer tail; then the low end of the revenue band is too low (docs/method.md).

    gamma:      amount ~ Gamma(a, a / m_c)                   lognormal:  log amount ~ Normal(mu_c, sigma)

Both have a mean per channel and one shape for all, so their maximal log likelihoods compare as they are: the difference
of AIC is twice their difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, ndtr

from forecast.backtest import region
from forecast.checks import FAIL, PASS, REVIEW, Check, Verdict, worst
from forecast.fit import EVIDENCE_LEARNT, GATE, Posterior
from forecast.history import History
from forecast.periods import PERIODS_PER_YEAR
from forecast.study import Study
from forecast.tables import records
from forecast.words import Message, Text, message, some_of_many, together

Array = NDArray[np.float64]
Records = Sequence[Mapping[str, Any]]

# Thresholds; those of sampling are the gate of a fit (`fit.GATE`).
DELAY_LEARNT = 0.2
LEAST_P = 0.01  # of a family of posterior predictive checks, over all parts of the funnel
TINY = 0.0001  # no p is said to be less
MISSES_RECENT = 0.25  # all channels, last periods, relative: with a small p, no longer usable
SENSITIVE = 0.05  # power-scaling sensitivity (Kallioinen et al. 2024)
LEARNT = message("the data's pull above {least:exact}", least=SENSITIVE)
SHARE_THAT_MATTERS = 0.1  # of what today's traffic brings
MOVE_THAT_MATTERS = 0.02  # of the total spend
EXTRAPOLATED = 0.05  # of a recommended amount, above any spend seen
PLAINLY = 6  # names in a sentence of the first page
CLEARLY = 10.0  # difference of AIC
BAND = 0.8
LEAST_DEALS = 20
# Times what came in the nearest comparable periods, beyond planned spend. A company that grows by a tenth a month
# expects 1.7 times its last year in the next one; wins that were empty in most channels made 2.3 and 14.
IMPLAUSIBLE = 2.0


PREVIEW = Check(
    name="preview",
    status=REVIEW,
    value="closed form",
    threshold="a sampled fit",
    advice="a closed-form approximation, no sampling: bands are approximate; run without --preview before you decide",
    plain="These numbers are a quick approximation: run the fit (without --preview) before you decide.",
)
STANDS_IN = "it stands in for the fit that failed: bands are approximate"
STANDS_IN_PLAIN = "The fit failed; a quick approximation stands in for it, with bands that are approximate."
PREVIEW_SENTENCE = "PREVIEW: closed-form approximation, no sampling; bands are approximate."
FALLBACK_SENTENCE = (
    "The fit failed its checks; the numbers shown are the PREVIEW in closed form, not the fit."
)
MISSED = "the model misses the last periods by far: do not use it before it is known why"
MISSED_MONEY = (
    "revenue of the last periods is not wins times the mean deal: write wins and money into the channel and period in "
    "which the deal was won (Revenue and wins agree, above or in forecast check), or start after a change of price "
    "(history.from)"
)
FIT_FAILED = (
    "The fit did not pass its own checks: give longer history or merge small channels, then fit again."
)
DO_NOT_USE = "do not use the numbers: give longer history or merge small channels, then fit again"


SENTENCES = {
    PASS: "All checks passed: the numbers can be used for the decision.",
    REVIEW: "Usable with care: read the points marked REVIEW first.",
    FAIL: "A check failed: do not decide on these numbers.",
}


def verdict(
    posterior: Posterior,
    audit: pd.DataFrame,
    delays: pd.DataFrame,
    allocation: pd.DataFrame,
    *,
    deals: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    plausible: Sequence[Check] = (),
    evidence: pd.DataFrame | None = None,
) -> Verdict:
    """PASS, REVIEW or FAIL with the checks behind it; the worst check decides.

    evidence: of the response to spend, by channel (`results.evidence_table`). plausible: of `plausible_total` and
    `plausible_gain`. deals: what `deal_law` found. calibration: of a backtest, how many outcomes lay `inside` their
    80 % band, of how many (`outcomes`).
    """
    known = posterior.provenance
    failures: Sequence[Text] = known.get("failures", [])
    preview = known.get("method") == "preview"
    weighed = known.get("sensitivity", [])
    # Of the fit that failed, where a preview stands in for it.
    checks = [
        replace(c, advice=DO_NOT_USE, plain=FIT_FAILED) if c.status == FAIL else c
        for c in GATE.checks(posterior.diagnostics)
    ]
    if preview:
        checks.insert(0, replace(PREVIEW, advice=STANDS_IN, plain=STANDS_IN_PLAIN) if failures else PREVIEW)
    if failures and not any(c.status == FAIL for c in checks):
        checks.append(
            _check(
                "sampling",
                together(*failures[:3], between="; "),
                "all parts pass",
                FAIL,
                DO_NOT_USE,
                FIT_FAILED,
            )
        )
    checks += [
        *_predictive(known.get("predictive", [])),
        *plausible,
        *_priors(weighed, delays),
        *_elasticities(evidence, allocation),
    ]
    checks += [_delay(row) for row in delays.to_dict("records")]
    checks += [] if deals is None else [_deals(deals)]
    checks += [
        Check(
            message("data: {name:word}", name=row["check"]),
            row["status"],
            row["evidence"],
            row["advice"],
            PASS,
            message("In the data: {evidence:word}.", evidence=row["evidence"]),
        )
        for row in audit[audit["status"] != PASS].to_dict("records")
    ]
    checks += [*_extrapolation(allocation)]
    checks += [] if calibration is None else [_calibration(calibration)]
    status = worst(c.status for c in checks)
    stands_for = FALLBACK_SENTENCE if failures else PREVIEW_SENTENCE
    return Verdict(status, together(stands_for if preview else "", SENTENCES[status]), checks)


def _check(name: Text, value: Text, threshold: Text, wrong: str, advice: Text, plain: Text = "") -> Check:
    """A check that has the status `wrong` ("" for PASS); a check that passed has no advice, and nothing to be told."""
    return Check(name, wrong or PASS, value, advice if wrong else "", threshold, plain if wrong else "")


# family -> (name of the check, what to do)
_FAMILIES = {
    "totals": ("totals", "the model does not bring back what was counted there: check those rows"),
    "recent": (
        "last periods",
        "something has changed that the model does not know of: find out what, and trust this step of the funnel less",
    ),
    "latest": (
        "latest periods",
        "the last two periods are off: are they complete? Else leave them out (history.through)",
    ),
    "largest": (
        "largest period",
        "one period lies beyond what the model can make: check that row; if it is right, expect more such periods",
    ),
    "zeros": (
        "periods with nothing",
        "empty periods come otherwise than by chance: leave a cell blank where nothing was recorded",
    ),
    "dispersion": (
        "scatter",
        "single periods scatter otherwise than the model has it: take bands of a single period with care",
    ),
    "band": (
        "periods inside their band",
        "too many periods lie outside their band: take bands of a single period as too narrow",
    ),
    "memory": (
        "runs of good and bad periods",
        "good and bad periods follow each other otherwise than by chance: take bands of totals with care",
    ),
    "jumps": (
        "steps from one period to the next",
        "this changed in one step: if the counting changed, start after it (history.from); if not, learn why",
    ),
    "ages": (
        "shape of the delay",
        "units do not move on at the ages that the model has: read the split into periods with care, totals hold",
    ),
    "together": (
        "stages that move together",
        "months are good or bad at several stages at once, which the model leaves out: take bands of totals with care",
    ),
}


def _predictive(records: Records) -> list[Check]:
    """One check per family, over all parts of the funnel: the smallest p times the number of parts."""
    checks = []
    for family, (name, remedy) in _FAMILIES.items():
        mine = [r for r in records if r["family"] == family]
        if not mine:
            continue
        missed = [r for r in mine if family in ("recent", "latest") and _by_far(r, len(mine))]
        least = min(missed or mine, key=lambda r: r["p"])
        p = min(1.0, least["p"] * len(mine))
        wrong = FAIL if missed else REVIEW if p < LEAST_P else ""
        value: Text = _p(p)
        if wrong:
            value = message(
                "{place}: {seen} seen, {expected} expected ({p})",
                place=[t for t in (part_word(str(least["part"])), least["channel"]) if t],
                seen=_short(least["seen"]), expected=_short(least["expected"]), p=_p(p),
            )  # fmt: skip
        named = message("model and history: {name:word}", name=name)
        far = MISSED_MONEY if least["part"] == "revenue" else MISSED
        plain = message(
            "{place}: {remedy:word}.",
            place=[t for t in (part_word(str(least["part"])), least["channel"]) if t],
            remedy=far if missed else remedy,
        )
        checks.append(_check(named, value, _AT_LEAST, wrong, far if missed else remedy, plain))
    return checks


_AT_LEAST = message("p at least {least:exact}", least=LEAST_P)


def _by_far(record: Mapping[str, Any], parts: int) -> bool:
    return bool(record["p"] * parts < LEAST_P and abs(record["overall"]) > MISSES_RECENT)


def _p(p: float) -> Message:
    return message("p {p:.2g}" if p >= TINY else "p below {p:exact}", p=max(p, TINY))


def _short(number: float) -> Message:
    return message("{x:whole}" if abs(number) >= 10 else "{x:.2g}", x=number)


def _pulled(name: Text, record: Mapping[str, Any]) -> Message:
    """A quantity with the data's pull on it."""
    return message("{name} ({pull:.2f})", name=name, pull=record["likelihood"])


def _priors(records: Records, delays: pd.DataFrame) -> list[Check]:
    """Conflict between priors and data; rates, and what today's traffic brings, that are mostly their prior.

    Of a preview, which does not weigh, the conflict alone, and only where there is one.
    """
    apart = [
        {"quantity": f"cv of the delay into {row['stage']}", "channel": "", "surprise": row["cv_apart"]}
        for row in delays.to_dict("records")
        if row.get("cv_apart") and math.isfinite(row["cv_apart"])
    ]
    conflict = _conflict([*(r for r in records if r.get("surprise")), *apart])
    if not records:
        return [] if conflict.status == PASS else [conflict]
    weak = [
        _pulled(_named(r), r)
        for r in records
        if _kind(r) == "rate" and r["channel"] and _mostly_prior(r) and r["share"] >= SHARE_THAT_MATTERS
    ]
    return [
        conflict,
        _check(
            "rates learnt from the data",
            together(*weak, between="; ") if weak else "all that matter",
            LEARNT,
            REVIEW if weak else "",
            "these rates are the market's, not what you have seen: give longer history, or a range in funnel.rate",
            message("Some rates are the market's, not your own: {weak:parts.3}.", weak=weak),
        ),
        *(
            _check(
                "what today's traffic brings",
                message("pull of the priors {pull:.2f}", pull=r["prior"]),
                message("below {least:exact}, or the data's above", least=SENSITIVE),
                REVIEW if _mostly_prior(r) else "",
                "the forecast rests on assumptions more than on data: state rates, delays and values that you trust",
                message("The forecast rests on assumptions more than on your data."),
            )
            for r in records
            if r["quantity"] == "headline"
        ),
    ]


def _conflict(found: Records) -> Check:
    """Data that lie far from their prior, taking into account how many of a kind there are."""
    kinds = [_kind(r) for r in found]
    p = [
        min(1.0, 2.0 * float(ndtr(-abs(r["surprise"]))) * kinds.count(k))
        for r, k in zip(found, kinds, strict=True)
    ]
    odd = [r for r, each in zip(found, p, strict=True) if each < LEAST_P]
    odd.sort(key=lambda r: -abs(r["surprise"]))
    above, below = "{name}: {x:.1f} sd above the prior", "{name}: {x:.1f} sd below the prior"
    far = [message(above if r["surprise"] > 0 else below, name=_named(r), x=abs(r["surprise"])) for r in odd]
    why = dict.fromkeys(_WHY_ODD[kind] for kind in map(_kind, odd) if kind in _WHY_ODD)
    advice = together(*why, between="; ")
    plain = message(
        "Far from what is usual for such companies: {names:list.4}. Check that it is what the study takes it for.",
        names=[_named(r) for r in odd],
    )
    value = together(*far, between="; ") if far else _p(min(p, default=1.0))
    return _check("priors and data agree", value, _AT_LEAST, REVIEW if odd else "", advice, plain)


_WHY_ODD = {
    "rate": "ask whether the stages mean what they mean in the benchmark, or give your own range in funnel.rate",
    "delay": "give the delay that you see in funnel.delay",
    "cv": (
        "times between the stages scatter more, or less, than is usual: are there two kinds of deals, or dates "
        "that were entered in batches? Split the channel, or mend the dates"
    ),
    "elasticity": "check spend and traffic of the channel, or set its kind",
}


def _kind(record: Mapping[str, Any]) -> str:
    return str(record["quantity"]).split(" ", 1)[0]


def _named(record: Mapping[str, Any]) -> Message:
    names = [part_word(str(record["quantity"])), str(record["channel"])]
    return message("{names}", names=[name for name in names if name])


def part_word(name: str) -> Text:
    """A part or a quantity of the fit in words; the name of a stage, or of anything else, as it is."""
    kind, into, stage = name.partition(" into ")
    if into and kind in _INTO:
        return message(_INTO[kind], stage=stage)
    before, to, after = name.partition(" to ")
    if to and " " not in name.replace(" to ", "", 1):
        return message("{before} to {stage}", before=before, stage=after)
    if name.startswith("losses before "):
        return message("losses before {stage}", stage=name.removeprefix("losses before "))
    return _QUANTITIES.get(name, name)


_INTO = {
    "rate": "rate into {stage}",
    "delay": "delay into {stage}",
    "cv of the delay": "cv of the delay into {stage}",
}
_QUANTITIES = {
    name: message("{stage:stage}", stage=name) for name in ("revenue", "leads", "qualified", "won")
} | {
    "elasticity": message("elasticity"),
    "visitors": message("{stage:stage}", stage="visitors"),
}


def _mostly_prior(record: Mapping[str, Any]) -> bool:
    return bool(record["prior"] > SENSITIVE > record["likelihood"])


def _elasticities(evidence: pd.DataFrame | None, allocation: pd.DataFrame) -> list[Check]:
    """Channels whose response to spend is assumed (`results.evidence_table`): REVIEW where money of one is moved."""
    if evidence is None or not len(evidence) or not len(allocation):
        return []
    total = float(allocation["current"].sum())
    far = (allocation["recommended"] - allocation["current"]).abs() > MOVE_THAT_MATTERS * total
    moved = set(allocation.loc[far, "channel"])
    rows = records(evidence[evidence["assumed"]])
    weak = [message("{channel:clean} ({evidence:percent})", **row) for row in rows]
    names = [str(row["channel"]) for row in rows]
    return [
        _check(
            "response to spend learnt",
            message("assumed in {weak}", weak=some_of_many(weak)) if weak else "in every channel",
            message("at least {half:percent} learnt where money is moved", half=EVIDENCE_LEARNT),
            REVIEW if moved & set(names) else "",
            "the move rests on what is usual for such channels: move in steps",
            message(
                "How traffic answers to spend in {names:list} is assumed from what is usual for such channels: your "
                "data hardly tell. Move money there in steps.",
                names=some_of_many(names, PLAINLY),
            ),
        )
    ]


def _extrapolation(allocation: pd.DataFrame) -> list[Check]:
    """Channels whose recommended spend lies beyond any that was seen; nothing where none does."""
    if not len(allocation):
        return []
    beyond = list(allocation.loc[allocation["extrapolated"] > EXTRAPOLATED, "channel"])
    advice = "part of the recommendation lies above any spend seen so far: move there in steps"
    most = message("at most {most:exact_percent} of a channel", most=EXTRAPOLATED)
    plain = message(
        "The recommendation spends more on {beyond:list} than was ever spent there: go there in steps.",
        beyond=some_of_many(beyond, PLAINLY),
    )
    if not beyond:
        return []
    return [
        _check("extrapolation", message("{beyond}", beyond=some_of_many(beyond)), most, REVIEW, advice, plain)
    ]


def _delay(row: Mapping[Any, Any]) -> Check:
    return _check(
        message("delay into {stage}", stage=row["stage"]),
        message("{learnt:.0%} learnt", learnt=row["learnt"]),
        message("at least {least:.0%}", least=DELAY_LEARNT),
        REVIEW if row["learnt"] < DELAY_LEARNT else "",
        "counts do not tell the delay: give lead dates, or a delay you trust in funnel.delay",
        message(
            "How long it takes into {stage:stage} is assumed, your counts do not tell: give the dates of leads, or a "
            "delay that you trust.",
            stage=row["stage"],
        ),
    )


def _deals(found: Mapping[str, Any]) -> Check:
    wide = found["difference"] > CLEARLY and found["cv"] > 1.0
    gamma = "gamma fits better (AIC by {apart:whole}), {deals:whole} single deals, cv {cv:number.2}"
    lognormal = "lognormal fits better (AIC by {apart:whole}), {deals:whole} single deals, cv {cv:number.2}"
    value = message(
        lognormal if found["better"] == "lognormal" else gamma,
        apart=abs(found["difference"]), deals=found["deals"], cv=found["cv"],
    )  # fmt: skip
    advice = (
        "the model sums gamma deals: with few wins the low end of the revenue band is too low, and large deals are "
        "rarer and larger than it has them; means hold"
    )
    plain = message(
        "Your deals differ more in size than the model has it: take the low end of the revenue band as too low where "
        "few deals are won."
    )
    return _check(
        "law of the deals", value, "gamma, or a cv of at most 1", REVIEW if wide else "", advice, plain
    )


def _calibration(found: Mapping[str, Any]) -> Check:
    """Coverage of the 80 % band in a backtest, against the exact binomial region that holds 95 % of the cases.

    Outcomes of horizons that overlap count as the `independent` ones that they are worth.
    """
    n, inside = int(found["outcomes"]), int(found["inside"])
    worth = min(int(found.get("independent", n)), n)
    low, high = region(worth, BAND)
    share = inside / n * worth if n else 0.0
    narrow = "in the past the bands were too narrow: read them so"
    wide = "in the past the bands were too wide: read them so"
    name = "calibration in the backtest"
    if found.get("method") == "preview":
        name = "calibration in the backtest (closed form)"
    bar = "{low} to {high}"
    if worth != n:
        bar = "{low} to {high} of {worth}, which these overlapping ones are worth"
    return _check(
        name,
        message("{inside} of {n} outcomes inside their {band:.0%} band", inside=inside, n=n, band=BAND),
        message(bar, low=low, high=high, worth=worth),
        "" if low - 1e-9 <= share <= high + 1e-9 else REVIEW,
        narrow if share < low else wide,
        message(
            "Forecasts of the past had bands that were too narrow: {inside} of {n} outcomes lay inside."
            if share < low
            else "Forecasts of the past had bands that were too wide: {inside} of {n} outcomes lay inside.",
            inside=inside,
            n=n,
        ),
    )


# --------------------------------------------------------------------------------------------- the law of the deals


# ------------------------------------------------------------------------------------------------------ plausibility


@dataclass(frozen=True)
class Window:
    """What came in some past periods, brought to the length of the horizon: `came` of `wins` wins, for `spend`."""

    first: str
    last: str
    came: float
    wins: float
    spend: float

    @property
    def most(self) -> float:
        """The most that may be expected: so many times what came, or what chance may have kept from so few wins."""
        return self.came * max(IMPLAUSIBLE, 1.0 + 3.0 / math.sqrt(self.wins) + 5.0 / self.wins)

    @property
    def least(self) -> float:
        """The least: the same share of what came, or what is left without what chance may have added."""
        return self.came * min(1.0 / IMPLAUSIBLE, max(1.0 - 3.0 / math.sqrt(self.wins), 0.0))


def comparable(history: History, measure: str, periods: int, value: float | None = None) -> list[Window]:
    """Past periods that a horizon of so many may be compared with: the last ones, and the same ones last year.

    Of cohort counts, whose last periods are not ripe, any as many that follow each other. Only such of which `measure`
    ("revenue" or "won") is known whole, and above zero; `value`: of a deal, where revenue is not recorded.
    """
    name = measure if measure in history.counts and (measure != "revenue" or history.valued) else "won"
    if name not in history.counts:
        return []
    came, won = history.came(name), np.nan_to_num(history.total("won")) if "won" in history.counts else None
    came = came * value if name != measure and value is not None else came
    spent, n, year = history.spend.sum(axis=1), history.periods.size, PERIODS_PER_YEAR[history.period]
    long = min(periods, n)
    starts = [n - long]
    if history.counting == "cohort":
        starts = list(range(n - long + 1))
    elif periods <= year <= n:
        starts.append(n - year)
    found = []
    for start in dict.fromkeys(starts):
        part, times = slice(start, start + long), periods / long
        wins = 1.0 if won is None else max(float(won[part].sum()), 1.0)
        total, ends = float(came[part].sum()), (history.labels[start], history.labels[start + long - 1])
        if math.isfinite(total) and total > 0:
            found.append(Window(*ends, total * times, wins, float(spent[part].sum()) * times))
    return found


def plausible_total(study: Study, history: History, plan: Array, draws: Array, measure: str) -> list[Check]:
    """Whether the forecast is of the size of what came in comparable periods; nothing where none are known.

    plan: spend (period, channel). draws: of `measure` ("revenue" or "won") over the horizon, (draw,). More spend
    explains at most as much more, less spend as much less; few wins may be chance. What is then left is set against the
    nearest of the comparable periods (`IMPLAUSIBLE`).
    """
    middle, spend = float(np.median(draws)), float(plan.sum())

    def beyond(window: Window) -> float:
        more = spend / window.spend if window.spend > 0 else 1.0
        above = middle / (window.most * max(more, 1.0))
        return max(above, window.least * min(more, 1.0) / max(middle, 1e-300))

    windows = comparable(history, measure, len(plan), study.funnel.value)
    if not windows:
        return []
    near = min(windows, key=beyond)
    unit = message("~{cur}", cur=study.currency) if measure == "revenue" else ""
    value = message(
        "{mean:number}{unit} of {measure:stage} expected, {came:number}{unit} came in {first} to {last}",
        unit=unit, mean=float(draws.mean()), measure=measure, came=near.came, first=near.first, last=near.last,
    )  # fmt: skip
    return [
        _check(
            "plausible against the past",
            value,
            message("within a factor of {times:exact}, beyond spend and chance", times=IMPLAUSIBLE),
            FAIL if beyond(near) > 1.0 else "",
            "nothing in the plan explains such a step, so look for a fault in the data: wins, money and spend of the "
            "same channels in the same rows, cells that are empty in most channels, units (cents, thousands); if the "
            "company did change, start the history after it (history.from)",
            message("The forecast is out of all proportion to the past: {value}.", value=value),
        )
    ]


def plausible_gain(study: Study, history: History, plan: Array, gain: float, best: float) -> list[Check]:
    """Whether a new split is said to earn less than all that came in comparable periods; nothing where none are known.

    plan: current spend (period, channel). gain: expected contribution of the best split over the current one's. best:
    spend of it over the horizon; a larger budget may gain as much more.
    """
    windows = comparable(history, "revenue", len(plan), study.funnel.value)
    if not windows:
        return []
    margin, spend = study.economics.gross_margin, float(plan.sum())
    near = max(windows, key=lambda window: window.came)
    most = margin * near.came * max(best / spend if spend > 0 else 1.0, 1.0)
    value = message(
        "{gain:number}~{cur} of expected gain; {came:number}~{cur} of gross margin came in {first} to {last}",
        gain=gain, cur=study.currency, came=margin * near.came, first=near.first, last=near.last,
    )  # fmt: skip
    return [
        _check(
            "plausible gain",
            value,
            "below all that came",
            FAIL if gain > most else "",
            "no split of a budget earns as much again as the whole company: do not move money on it; look for channels "
            "whose spend and wins are not in the same rows, and for wins that are empty in most channels",
            message("The gain of the new budget cannot be true: {value}.", value=value),
        )
    ]


def deal_law(history: History) -> dict[str, Any] | None:
    """Which law fits the single deals better; None with fewer than `LEAST_DEALS` of them.

    Single deals are the rows of a file of leads with an amount; in counts, cells with exactly one win.

    Returns: deals (number), cv (of amounts over their channel's mean), difference (AIC of gamma less AIC of lognormal:
    above zero the lognormal fits better), better ("gamma" or "lognormal").
    """
    amount, channel = _single(history)
    size = np.bincount(channel, minlength=len(history.channels))
    keep = size[channel] > 1  # a channel of one deal says nothing of the spread
    amount, channel = amount[keep], channel[keep]
    if len(amount) < LEAST_DEALS or np.ptp(amount) == 0.0:
        return None
    size = np.bincount(channel)
    mean = np.bincount(channel, amount) / np.maximum(size, 1)
    relative = amount / mean[channel]
    log_x = np.log(amount)
    centre = np.bincount(channel, log_x) / np.maximum(size, 1)
    variance = float(((log_x - centre[channel]) ** 2).mean())
    if variance < 1e-12:
        return None
    normal = -0.5 * len(amount) * (math.log(2 * math.pi * variance) + 1.0) - log_x.sum()
    shape = _gamma_shape(-float(np.log(relative).mean()))
    gamma = (
        len(amount) * (shape * math.log(shape) - gammaln(shape))
        + ((shape - 1.0) * log_x - shape * np.log(mean[channel]) - shape * relative).sum()
    )
    difference = 2.0 * float(normal - gamma)
    spread = math.sqrt(float(((relative - 1.0) ** 2).sum()) / max(len(amount) - len(np.unique(channel)), 1))
    return {"deals": len(amount), "cv": spread, "difference": difference} | {
        "better": "lognormal" if difference > 0 else "gamma"
    }


def _single(history: History) -> tuple[Array, NDArray[np.int64]]:
    """Amounts of single deals, and the index of their channel."""
    if history.counting == "leads":
        return history.priced.amount, history.priced.channel
    if not {"revenue", "won"} <= set(history.counts):
        return np.empty(0), np.empty(0, dtype=np.int64)
    revenue, won = (history.filled(name) for name in ("revenue", "won"))
    rows, columns = np.nonzero((won == 1) & (revenue > 0))
    return revenue[rows, columns], columns.astype(np.int64)


def _gamma_shape(gap: float) -> float:
    """Shape a of the maximum likelihood gamma: log a - digamma(a) = log of the mean less mean of the log."""
    low, high = -7.0, 20.0  # of log a, in which the left side falls
    for _ in range(60):  # halves: a solver takes a fifth of a second to be loaded
        middle = 0.5 * (low + high)
        low, high = (middle, high) if middle - digamma(math.exp(middle)) > gap else (low, middle)
    return math.exp(0.5 * (low + high))
