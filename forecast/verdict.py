"""How far a run can be trusted: named checks with value, threshold and advice, and the verdict they add up to.

    sampling          R-hat, effective sample size, divergences, E-BFMI, tree depth, number of draws
    model and history posterior predictive checks (`fit.predictive`)
    priors            conflict with the data, and numbers that are mostly their prior (`fit.sensitivity`)
    deals             gamma or lognormal (`forecast.tails`)
    delays, data, extrapolation, calibration where a backtest gave one

FAIL means: do not decide on these numbers. Only sampling, the audit of the data, and a model that misses the last
periods by a quarter can FAIL; every other doubt is one that a reader can weigh, so it is a REVIEW.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
from scipy.special import ndtr

from forecast.backtest import region
from forecast.fit import Posterior

DELAY_LEARNT = 0.2
LEAST_P = 0.01  # of a family of posterior predictive checks, over all parts of the funnel
MISSES_RECENT = 0.25  # all channels, last periods, relative: with a small p, no longer usable
SENSITIVE = 0.05  # power-scaling sensitivity (Kallioinen et al. 2024)
LEARNT = "the data's pull above 0.05"
SHARE_THAT_MATTERS = 0.1  # of what today's traffic brings
MOVE_THAT_MATTERS = 0.02  # of the total spend
CLEARLY = 10.0  # difference of AIC
BAND = 0.8

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Check:
    """One named check of the verdict."""

    name: str
    value: str
    threshold: str
    status: str
    advice: str


PREVIEW = Check(
    "preview",
    "closed form",
    "a sampled fit",
    "REVIEW",
    "a closed-form approximation, no sampling: bands are approximate; run without --preview before you decide",
)
STANDS_IN = "it stands in for the fit that failed: bands are approximate"
PREVIEW_SENTENCE = "PREVIEW: closed-form approximation, no sampling; bands are approximate."
FALLBACK_SENTENCE = (
    "The fit failed its checks; the numbers shown are the PREVIEW in closed form, not the fit."
)
MISSED = "the model misses the last periods by far: do not use it before it is known why"
DO_NOT_USE = "do not use the numbers: give longer history or merge small channels, then fit again"


def verdict(
    posterior: Posterior,
    failures: list[str],
    audit: pd.DataFrame,
    delays: pd.DataFrame,
    allocation: pd.DataFrame,
    *,
    deals: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """PASS, REVIEW or FAIL with the checks behind it; the worst check decides.

    deals: what `tails.deal_law` found. calibration: of a backtest, how many outcomes lay `inside` their 80 % band, of
    how many (`outcomes`).
    """
    known = posterior.provenance
    preview = known.get("method") == "preview"
    weighed = known.get("sensitivity", [])
    checks = _sampling(posterior.diagnostics)  # of the fit that failed, where a preview stands in for it
    if preview:
        checks.insert(0, replace(PREVIEW, advice=STANDS_IN) if failures else PREVIEW)
    if failures and not any(c.status == "FAIL" for c in checks):
        checks.append(Check("sampling", "; ".join(failures[:3]), "all parts pass", "FAIL", DO_NOT_USE))
    checks += [
        *_predictive(known.get("predictive", [])),
        *_priors(weighed),
        *_elasticities(weighed, allocation),
    ]
    checks += [_delay(row) for row in delays.to_dict("records")]
    checks += [] if deals is None else [_deals(deals)]
    checks += [
        Check(f"data: {row['check']}", row["evidence"], "PASS", row["status"], row["advice"])
        for row in audit[audit["status"] != "PASS"].to_dict("records")
    ]
    if len(allocation) and (allocation["extrapolated"] > 0.05).any():
        names = ", ".join(allocation.loc[allocation["extrapolated"] > 0.05, "channel"])
        text = "part of the recommendation lies above any spend seen so far: move there in steps"
        checks.append(Check("extrapolation", names, "at most 5 % of a channel", "REVIEW", text))
    checks += [] if calibration is None else [_calibration(calibration)]
    status = next((s for s in ("FAIL", "REVIEW") if any(c.status == s for c in checks)), "PASS")
    sentence = {
        "PASS": "All checks passed: the numbers can be used for the decision.",
        "REVIEW": "Usable with care: read the points marked REVIEW first.",
        "FAIL": "A check failed: do not decide on these numbers.",
    }[status]
    if preview:
        sentence = f"{FALLBACK_SENTENCE if failures else PREVIEW_SENTENCE} {sentence}"
    return {"status": status, "sentence": sentence, "checks": [asdict(c) for c in checks]}


def _check(name: str, value: str, threshold: str, wrong: str, advice: str) -> Check:
    """A check that has the status `wrong` ("" for PASS); a check that passed has no advice."""
    return Check(name, value, threshold, wrong or "PASS", advice if wrong else "")


def _sampling(parts: Records) -> list[Check]:
    """The gate of the sampler, over all parts; what an older file does not tell is not asked."""
    if not parts:
        return []
    rhat = max(p["max_rhat"] for p in parts)
    ess = min(min(p["min_ess_bulk"], p["min_ess_tail"]) for p in parts)
    divergences = sum(p["divergences"] for p in parts)
    gates = [
        ("R-hat", f"{rhat:.3f}", "below 1.01", rhat < 1.01),
        ("effective sample size", f"{ess:.0f}", "above 400", ess > 400),
        ("divergences", _where(divergences, parts), "0", divergences == 0),
    ]
    if all("min_bfmi" in p for p in parts):
        bfmi, depth = min(p["min_bfmi"] for p in parts), max(p["at_depth"] for p in parts)
        gates.append(("E-BFMI", f"{bfmi:.2f}", "above 0.3", bfmi > 0.3))
        gates.append(("cut off at the greatest tree depth", f"{depth:.1%}", "below 1%", depth < 0.01))
    if all("asked" in p for p in parts):
        short = min(p["draws"] - p["asked"] for p in parts)
        drawn, asked = min((p["draws"], p["asked"]) for p in parts)
        gates.append(("number of draws", f"{drawn}", f"at least {asked}", short >= 0))
    return [_check(name, value, bar, "" if good else "FAIL", DO_NOT_USE) for name, value, bar, good in gates]


def _where(divergences: int, parts: Records) -> str:
    names = ", ".join(str(p["part"]) for p in parts if p["divergences"])
    return f"{divergences} ({names})" if names else str(divergences)


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
        worst = min(missed or mine, key=lambda r: r["p"])
        p = min(1.0, worst["p"] * len(mine))
        wrong = "FAIL" if missed else "REVIEW" if p < LEAST_P else ""
        advice = MISSED if missed else remedy
        place = ", ".join(t for t in (worst["part"], worst["channel"]) if t)
        value = f"p {p:.2g}"
        if wrong:
            value = f"{place}: {_short(worst['seen'])} seen, {_short(worst['expected'])} expected (p {p:.2g})"
        checks.append(
            _check(
                f"model and history: {name}",
                value,
                f"p at least {LEAST_P}",
                wrong,
                advice,
            )
        )
    return checks


def _by_far(record: Mapping[str, Any], parts: int) -> bool:
    return bool(record["p"] * parts < LEAST_P and abs(record["overall"]) > MISSES_RECENT)


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 10 else f"{number:.2g}"


def _priors(records: Records) -> list[Check]:
    """Conflict between priors and data; rates, and what today's traffic brings, that are mostly their prior."""
    if not records:
        return []
    weak = [
        f"{_named(r)} ({r['likelihood']:.2f})"
        for r in records
        if _kind(r) == "rate" and r["channel"] and _mostly_prior(r) and r["share"] >= SHARE_THAT_MATTERS
    ]
    return [
        _conflict([r for r in records if r.get("surprise")]),
        _check(
            "rates learnt from the data",
            "; ".join(weak) or "all that matter",
            LEARNT,
            "REVIEW" if weak else "",
            "these rates are the market's, not what you have seen: give longer history, or a range in funnel.rate",
        ),
        *(
            _check(
                "what today's traffic brings",
                f"pull of the priors {r['prior']:.2f}",
                "below 0.05, or the data's above",
                "REVIEW" if _mostly_prior(r) else "",
                "the forecast rests on assumptions more than on data: state rates, delays and values that you trust",
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
    said = [
        f"{_named(r)}: {abs(r['surprise']):.1f} sd {'above' if r['surprise'] > 0 else 'below'} the prior"
        for r in odd
    ]
    advice = "; ".join(dict.fromkeys(_WHY_ODD[_kind(r)] for r in odd))
    value = "; ".join(said) or f"p {min(p, default=1.0):.2g}"
    return _check("priors and data agree", value, f"p at least {LEAST_P}", "REVIEW" if odd else "", advice)


_WHY_ODD = {
    "rate": "ask whether the stages mean what they mean in the benchmark, or give your own range in funnel.rate",
    "delay": "give the delay that you see in funnel.delay",
    "elasticity": "check spend and traffic of the channel, or set its kind",
}


def _kind(record: Mapping[str, Any]) -> str:
    return str(record["quantity"]).split(" ", 1)[0]


def _named(record: Mapping[str, Any]) -> str:
    return ", ".join(t for t in (str(record["quantity"]), str(record["channel"])) if t)


def _mostly_prior(record: Mapping[str, Any]) -> bool:
    return bool(record["prior"] > SENSITIVE > record["likelihood"])


def _elasticities(records: Records, allocation: pd.DataFrame) -> list[Check]:
    """Channels whose money is moved on an elasticity that the data did not teach."""
    asked = {str(r["channel"]): r for r in records if r["quantity"] == "elasticity"}
    if not asked or not len(allocation):
        return []
    total = float(allocation["current"].sum())
    move = (allocation["recommended"] - allocation["current"]).abs() > MOVE_THAT_MATTERS * total
    weak = [
        f"{c} ({asked[c]['likelihood']:.2f})"
        for c in allocation.loc[move, "channel"]
        if c in asked and _mostly_prior(asked[c])
    ]
    return [
        _check(
            "response to spend learnt",
            ", ".join(weak) or "wherever money is moved",
            LEARNT,
            "REVIEW" if weak else "",
            "the move rests on what is usual for such channels: move in steps, and vary spend on purpose to learn",
        )
    ]


def _delay(row: Mapping[Any, Any]) -> Check:
    weak = row["learnt"] < DELAY_LEARNT
    return _check(
        f"delay into {row['stage']}",
        f"{row['learnt']:.0%} learnt",
        f"at least {DELAY_LEARNT:.0%}",
        "REVIEW" if weak else "",
        "counts do not tell the delay: give lead dates, or a delay you trust in funnel.delay",
    )


def _deals(found: Mapping[str, Any]) -> Check:
    wide = found["difference"] > CLEARLY and found["cv"] > 1.0
    value = (
        f"{found['better']} fits better (AIC by {abs(found['difference']):.0f}), {found['deals']} single deals, "
        f"cv {found['cv']:.2g}"
    )
    advice = (
        "the model sums gamma deals: with few wins the low end of the revenue band is too low, and large deals are "
        "rarer and larger than it has them; means hold"
    )
    bar = "gamma, or a cv of at most 1"
    return _check("law of the deals", value, bar, "REVIEW" if wide else "", advice)


def _calibration(found: Mapping[str, Any]) -> Check:
    """Coverage of the 80 % band in a backtest, against the exact binomial region that holds 95 % of the cases.

    Outcomes of horizons that overlap count as the `independent` ones that they are worth.
    """
    n, inside = int(found["outcomes"]), int(found["inside"])
    worth = min(int(found.get("independent", n)), n)
    low, high = region(worth, BAND)
    share = inside / n * worth if n else 0.0
    way = "narrow" if share < low else "wide"
    quick = " (closed form)" if found.get("method") == "preview" else ""
    return _check(
        f"calibration in the backtest{quick}",
        f"{inside} of {n} outcomes inside their {BAND:.0%} band",
        f"{low} to {high}"
        if worth == n
        else f"{low} to {high} of {worth}, which these overlapping ones are worth",
        "" if low - 1e-9 <= share <= high + 1e-9 else "REVIEW",
        f"in the past the bands were too {way}: read them so",
    )
