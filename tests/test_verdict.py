"""The verdict: each check passes on sound values and fails on its own bar, with advice that says what to do.

Gamma or lognormal: the law that made the deals is the one that fits, and the numbers are those of scipy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from posterior_fixture import history, study
from scipy import optimize, stats

from forecast.checks import Check
from forecast.fit import Posterior
from forecast.history import History
from forecast.verdict import LEAST_DEALS, deal_law, plausible_gain, plausible_total
from forecast.verdict import verdict as verdict_of
from forecast.words import typed

PART = {
    "part": "leads to won", "max_rhat": 1.002, "min_ess_bulk": 900.0, "min_ess_tail": 800.0, "divergences": 0,
    "min_bfmi": 0.8, "at_depth": 0.0, "draws": 4000, "asked": 4000,
}  # fmt: skip
AUDIT = pd.DataFrame(columns=["check", "status", "evidence", "advice"])
DELAYS = pd.DataFrame(columns=["stage", "learnt"])
SPLIT = pd.DataFrame(
    {"channel": ["ppc", "seo"], "current": [100.0, 100.0], "recommended": [150.0, 101.0], "extrapolated": 0.0}
)


def verdict(*given: Any, **more: Any) -> dict[str, Any]:
    """The verdict as files have it."""
    return verdict_of(*given, **more).told()


def judged(provenance: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    """The verdict on one part with `part` changed, and whatever else is given."""
    known = (provenance or {}) | {"failures": given.pop("failures", [])}
    posterior = Posterior(xr.Dataset(), (PART | given.pop("part", {}),), known)
    tables = {"audit": AUDIT, "delays": DELAYS, "allocation": SPLIT.head(0)} | given
    return verdict(posterior, **tables)


def check(found: dict[str, Any], name: str) -> dict[str, Any]:
    """One check of a verdict; it has advice where it did not pass, and only there."""
    chosen: dict[str, Any] = next(c for c in found["checks"] if c["name"] == name)
    assert bool(chosen["advice"]) == (chosen["status"] != "PASS")
    return chosen


def test_a_sound_run_passes():
    """Nothing to say: PASS, every check with value and threshold."""
    found = judged()
    assert found["status"] == "PASS"
    assert [c["name"] for c in found["checks"]] == [
        "R-hat", "effective sample size", "divergences", "E-BFMI", "cut off at the greatest tree depth",
        "number of draws",
    ]  # fmt: skip
    assert all(c["value"] and c["threshold"] and not c["advice"] for c in found["checks"])


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("R-hat", {"max_rhat": 1.01}),
        ("R-hat", {"max_rhat": float("nan")}),
        ("effective sample size", {"min_ess_tail": 400.0}),
        ("divergences", {"divergences": 20}),
        ("E-BFMI", {"min_bfmi": 0.3}),
        ("cut off at the greatest tree depth", {"at_depth": 0.01}),
        ("number of draws", {"draws": 3999}),
    ],
)
def test_each_bar_of_sampling_fails_alone(name: str, harm: dict[str, Any]):
    """On the bar is not above it; what is not a number does not pass."""
    found = judged(part=harm)
    assert found["status"] == "FAIL"
    assert [c["name"] for c in found["checks"] if c["status"] != "PASS"] == [name]
    assert check(found, name)["status"] == "FAIL"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ({"divergences": 1}, "leads to won: too few to tell where they sit; they hide next to nothing"),
        (
            {"divergences": 19},
            "leads to won: they sit nowhere in particular; another --seed tells whether they matter",
        ),
        (
            {"divergences": 19, "divergent_scale": "noise", "divergent_end": "low", "divergent_share": 0.84},
            (
                "leads to won: 84 % of them where the scatter from period to period is smallest: such cases come too "
                "seldom, and its bands may be a little too wide"
            ),
        ),
    ],
)
def test_a_few_divergences_are_a_review_that_says_what_they_hide(harm: dict[str, Any], said: str):
    """Below 0.5 % of the draws: usable, with the part and the scale they sit at."""
    found = judged(part=harm)
    assert found["status"] == "REVIEW"
    one = check(found, "divergences")
    assert (one["status"], one["advice"]) == ("REVIEW", said)
    assert one["value"] == f"{harm['divergences']} of 4 000 draws of leads to won"


def test_failures_on_record_fail_whatever_stands_in_for_the_fit():
    """A preview in place of a failed fit is a FAIL that names the failure; a preview asked for is a REVIEW."""
    asked = verdict(Posterior(xr.Dataset(), (), {"method": "preview"}), AUDIT, DELAYS, SPLIT.head(0))
    assert (asked["status"], asked["sentence"][:7]) == ("REVIEW", "PREVIEW")
    found = judged({"method": "preview"}, part={"divergences": 20}, failures=["leads to won: 20 divergences"])
    assert found["status"] == "FAIL"
    assert check(found, "divergences")["status"] == "FAIL"
    assert "the PREVIEW in closed form, not the fit" in found["sentence"]
    found = judged(failures=["leads to won: 2 divergences"])
    assert check(found, "sampling")["value"] == "leads to won: 2 divergences"


def ppc(family: str, p: float, overall: float = 0.0) -> list[dict[str, Any]]:
    """Two parts of one family, one of them with this p."""
    common = {"family": family, "seen": 40.0, "expected": 80.0, "overall": overall}
    return [
        common | {"part": "visitors", "channel": "seo", "p": 0.5},
        common | {"part": "leads to won", "channel": "ppc", "p": p},
    ]


@pytest.mark.parametrize(
    ("family", "p", "overall", "status"),
    [
        ("zeros", 0.006, 0.0, "PASS"),  # 0.006 for one of two parts is 0.012
        ("zeros", 0.004, 0.0, "REVIEW"),
        ("totals", 0.001, -0.5, "REVIEW"),
        ("recent", 0.001, -0.24, "REVIEW"),
        ("recent", 0.001, -0.26, "FAIL"),
        ("latest", 0.001, 0.26, "FAIL"),
        ("latest", 0.2, 0.9, "PASS"),  # far off, and no farther than chance
    ],
)
def test_a_model_that_could_not_have_made_the_history(family: str, p: float, overall: float, status: str):
    """The smallest p counts for all parts; only a large miss of the last periods forbids the numbers."""
    found = judged({"predictive": ppc(family, p, overall)})
    named = [c for c in found["checks"] if c["name"].startswith("model and history: ")]
    assert [c["status"] for c in named] == [status]
    assert found["status"] == status
    if status != "PASS":
        assert named[0]["value"].startswith("leads to won, ppc: 40 seen, 80 expected (p ")


def test_a_preview_fails_by_itself():
    """What forbids a fit's numbers forbids a preview's: a miss of the last periods, and faults of the data."""
    missed = judged({"method": "preview", "predictive": ppc("recent", 0.001, -0.4)})
    assert missed["status"] == "FAIL"
    assert missed["sentence"].startswith("PREVIEW")
    bad = pd.DataFrame(
        [{"check": "Enough wins", "status": "FAIL", "evidence": "none", "advice": "Add some."}]
    )
    posterior = Posterior(xr.Dataset(), (), {"method": "preview"})
    assert verdict(posterior, bad, DELAYS, SPLIT.head(0))["status"] == "FAIL"


def weighed(quantity: str, channel: str = "", **values: float) -> dict[str, Any]:
    """A record of sensitivity."""
    return {"quantity": quantity, "channel": channel, "prior": 0.0, "likelihood": 0.1, "share": 0.5} | values


def test_conflict_of_prior_and_data():
    """Beyond chance for their number: 2.9 sd among three rates is, among ten elasticities it is not."""
    rates = [weighed(f"rate into {s}", surprise=0.5) for s in ("leads", "qualified")]
    found = judged({"sensitivity": [*rates, weighed("rate into won", surprise=-3.0)]})
    conflict = check(found, "priors and data agree")
    assert conflict["status"] == "REVIEW"
    assert conflict["value"] == "rate into won: 3.0 sd below the prior"
    assert "funnel.rate" in conflict["advice"]
    many = [weighed("elasticity", f"c{i}", surprise=0.1) for i in range(9)]
    found = judged({"sensitivity": [*many, weighed("elasticity", "ppc", surprise=3.0)]})
    assert check(found, "priors and data agree")["status"] == "PASS"
    assert check(judged({"sensitivity": rates}), "priors and data agree")["status"] == "PASS"


def test_the_spread_of_a_delay_far_from_its_prior_is_a_conflict_too():
    """By its own name and advice, in a fit and in a preview; near its prior it says nothing."""
    for records in ([weighed("rate into won", surprise=0.5)], []):
        for apart, status in ((3.5, "REVIEW"), (1.0, "PASS"), (0.0, "PASS"), (float("nan"), "PASS")):
            delays = pd.DataFrame({"stage": ["won"], "learnt": [0.5], "cv_apart": [apart]})
            found = judged({"sensitivity": records}, delays=delays)
            checks = [c for c in found["checks"] if c["name"] == "priors and data agree"]
            assert [c["status"] for c in checks] == ([status] if records or status != "PASS" else [])
            if status != "PASS":
                assert checks[0]["value"] == "cv of the delay into won: 3.5 sd above the prior"
                assert "batches" in checks[0]["advice"]


COMPANY = study(funnel={"market": "b2b"})


def past_of(
    revenue: Any = 10_000.0, won: Any = 50.0, spend: Any = 1_000.0, periods: int = 24, **more: Any
) -> History:
    """Two channels that bring so much a period each."""
    counts = {"leads": 200.0, "won": won, "revenue": revenue, "spend": spend}
    return history(counts, periods=periods, **more)


def plausible(
    past: History, expected: float, plan: float = 2_000.0, measure: str = "revenue"
) -> Check | None:
    """The check of three periods ahead, so much expected over all of them, so much planned in each."""
    spread = np.random.default_rng(1).lognormal(np.log(expected), 0.3, 501)
    found = plausible_total(COMPANY, past, np.full((3, 2), plan / 2), spread, measure)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("expected", "plan", "status"),
    [
        (60_000.0, 2_000.0, "PASS"),  # as the last three periods
        (110_000.0, 2_000.0, "PASS"),
        (150_000.0, 2_000.0, "FAIL"),
        (500_000.0, 10_000.0, "PASS"),  # five times the spend may bring as much more
        (10_000.0, 2_000.0, "FAIL"),
        (10_000.0, 300.0, "PASS"),  # next to no spend is planned
    ],
)
def test_a_forecast_of_another_size_than_the_company_fails(expected: float, plan: float, status: str):
    """Twice what came, beyond what spend explains, up or down; the check has both numbers and the periods."""
    found = plausible(past_of(), expected, plan)
    assert found is not None
    assert found.status == status
    assert "60 000 EUR came in 2026-10 to 2026-12" in typed(found.value)
    assert bool(found.advice) == (status == "FAIL")


def test_a_season_and_few_wins_are_no_fault():
    """December is set against last December; with four wins in the last periods fourteen are no wonder."""
    peaks = np.full((24, 2), 10_000.0)
    peaks[12:15] = 100_000.0  # January to March of the second year
    found = plausible(past_of(peaks), 600_000.0)
    assert found is not None
    assert found.status == "PASS"
    assert "2026-01 to 2026-03" in typed(found.value)

    few = plausible(past_of(won=4 / 6), 14.0, measure="won")
    many = plausible(past_of(won=400.0), 9_600.0, measure="won")
    assert few is not None
    assert many is not None
    assert (few.status, many.status) == ("PASS", "FAIL")


def test_periods_not_known_whole_are_no_yardstick():
    """A blank beside wins: the other periods are taken; where none is known nothing is said."""
    revenue = np.full((24, 2), 10_000.0)
    revenue[-1, 0] = np.nan
    found = plausible(past_of(revenue), 60_000.0)
    assert found is not None
    assert "2026-01 to 2026-03" in typed(found.value)
    revenue[12:15, 0] = np.nan
    assert plausible(past_of(revenue), 60_000.0) is None


def test_cohorts_are_compared_with_ripe_ones():
    """The last cohorts have hardly begun to buy; any three that follow each other may be compared with."""
    unripe = np.full((24, 2), 10_000.0)
    unripe[-3:] = 100.0
    found = plausible(past_of(unripe, counting="cohort"), 60_000.0)
    assert found is not None
    assert found.status == "PASS"


@pytest.mark.parametrize(("gain", "best", "status"), [(50_000.0, 6_000.0, "PASS"), (100_000.0, 6_000.0, "FAIL"),
                                                      (100_000.0, 12_000.0, "PASS")])  # fmt: skip
def test_no_split_earns_as_much_again_as_the_company(gain: float, best: float, status: str):
    """1.4 billion of gain on 1.3 billion a quarter is a fault, unless the budget grows as much."""
    found = plausible_gain(COMPANY, past_of(), np.full((3, 2), 1_000.0), gain, best)
    assert [check.status for check in found] == [status]
    assert judged(plausible=found)["status"] == status


def test_rates_that_are_the_benchmark_matter_by_their_share():
    """Prior above and data below 0.05, in a channel that brings a tenth; both above is learning, not a prior."""
    mostly = {"prior": 0.09, "likelihood": 0.01}
    for values, status in (
        (mostly, "REVIEW"),
        (mostly | {"share": 0.05}, "PASS"),
        (mostly | {"likelihood": 0.08}, "PASS"),
    ):
        found = judged({"sensitivity": [weighed("rate into won", "seo", **values)]})
        assert check(found, "rates learnt from the data")["status"] == status
    headline = {"quantity": "headline", "channel": "", "prior": 0.2, "likelihood": 0.02}
    assert check(judged({"sensitivity": [headline]}), "what today's traffic brings")["status"] == "REVIEW"


def test_an_elasticity_that_is_assumed_matters_where_money_is_moved():
    """ppc gets half as much again, seo next to nothing: only ppc's elasticity is asked about."""
    name = "response to spend learnt"

    def answers(*assumed: str) -> pd.DataFrame:
        rows = [{"channel": c, "evidence": 0.1, "assumed": c in assumed} for c in ("ppc", "seo")]
        return pd.DataFrame(rows)

    found = judged(allocation=SPLIT, evidence=answers("ppc"))
    assert check(found, name)["value"] == "assumed in ppc (10 %)"
    assert check(found, name)["status"] == "REVIEW"
    found = judged(allocation=SPLIT, evidence=answers("seo"))
    assert check(found, name)["status"] == "PASS"


@pytest.mark.parametrize(
    ("difference", "cv", "status"),
    [(30.0, 1.4, "REVIEW"), (30.0, 0.9, "PASS"), (8.0, 1.4, "PASS"), (-30.0, 1.4, "PASS")],
)
def test_the_law_of_the_deals_is_named(difference: float, cv: float, status: str):
    """REVIEW where the lognormal is clearly better and deals are wide; the better law is named in any case."""
    better = "lognormal" if difference > 0 else "gamma"
    deals = {"difference": difference, "cv": cv, "deals": 200, "better": better}
    found = check(judged(deals=deals), "law of the deals")
    assert found["status"] == status
    assert found["value"].startswith(f"{better} fits better (AIC by {abs(difference):.0f}), 200 single deals")


@pytest.mark.parametrize(("inside", "status"), [(11, "REVIEW"), (12, "PASS"), (19, "PASS"), (20, "REVIEW")])
def test_calibration_of_the_backtest(inside: int, status: str):
    """Of 20 outcomes 12 to 19 lie in an honest 80 % band in 19 cases out of 20."""
    found = check(judged(calibration={"inside": inside, "outcomes": 20}), "calibration in the backtest")
    assert (found["status"], found["threshold"]) == (status, "12 to 19")
    assert ("narrow" in found["advice"], "wide" in found["advice"]) == (inside < 12, inside > 19)


def test_delays_audit_and_extrapolation():
    """A delay of which less than a fifth is learnt, what the audit found, money beyond any spend seen."""
    delays = pd.DataFrame({"stage": ["qualified", "won"], "learnt": [0.5, 0.1]})
    audit = pd.DataFrame([("Enough wins", "FAIL", "0 won", "add older periods")], columns=AUDIT.columns)
    found = judged(delays=delays, audit=audit, allocation=SPLIT.assign(extrapolated=[0.06, 0.05]))
    assert check(found, "delay into qualified")["status"] == "PASS"
    assert check(found, "delay into won")["status"] == "REVIEW"
    assert check(found, "extrapolation")["value"] == "ppc"
    assert check(found, "data: Enough wins")["status"] == "FAIL"
    assert found["status"] == "FAIL"


# The law of the deals


def of_leads(amounts: np.ndarray, channels: list[str]) -> History:
    """A history of leads whose deals have these amounts."""
    period = np.datetime64("2025-03-01", "ns")
    deals = pd.DataFrame({"period": period, "channel": channels, "amount": amounts})
    return history({"leads": 100, "won": 10, "revenue": 1000}, counting="leads", deals=deals)


@pytest.mark.parametrize("law", ["gamma", "lognormal"])
def test_the_law_that_made_the_deals_fits_better(law: str):
    """400 deals of cv 1.3 in two channels of different means: the right law, and a cv near the true one."""
    rng = np.random.default_rng(5)
    names = ["one", "two"] * 200
    mean = np.array([3000.0, 12_000.0] * 200)
    sigma = np.sqrt(np.log1p(1.3**2))
    made = {
        "gamma": rng.standard_gamma(1 / 1.3**2, 400) * 1.3**2,
        "lognormal": np.exp(rng.normal(-(sigma**2) / 2, sigma, 400)),
    }
    found = deal_law(of_leads(mean * made[law], names))
    assert found is not None
    assert found["better"] == law
    assert abs(found["difference"]) > 10
    assert found["deals"] == 400
    assert 0.9 < found["cv"] < 1.8


def test_the_difference_of_aic_is_that_of_maximal_likelihoods():
    """Against scipy's densities at its own optimum, two channels with one shape."""
    rng = np.random.default_rng(6)
    x = [rng.gamma(2.0, 500.0, 30), rng.gamma(2.0, 3000.0, 25)]
    found = deal_law(of_leads(np.concatenate(x), ["one"] * 30 + ["two"] * 25))
    assert found is not None

    def gamma(shape: float) -> float:
        return -sum(stats.gamma.logpdf(v, shape, scale=v.mean() / shape).sum() for v in x)

    best = optimize.minimize_scalar(gamma, bounds=(0.1, 20.0), method="bounded", options={"xatol": 1e-8})
    logs = [np.log(v) for v in x]
    sigma = np.sqrt(np.concatenate([(v - v.mean()) ** 2 for v in logs]).mean())
    normal = sum(
        stats.lognorm.logpdf(v, sigma, scale=np.exp(log.mean())).sum() for v, log in zip(x, logs, strict=True)
    )
    assert found["difference"] == pytest.approx(2 * (normal + best.fun), abs=1e-5)


def test_counts_tell_single_deals_where_one_was_won():
    """Cells of one win are single deals; cells of several are not, and too few say nothing."""
    won = np.ones((30, 2))
    won[:, 1] = 2
    revenue = np.random.default_rng(7).gamma(2.0, 100.0, (30, 2))
    found = deal_law(history({"leads": 100, "won": won, "revenue": revenue}, periods=30))
    assert found is not None
    assert found["deals"] == 30
    short = LEAST_DEALS - 1
    few = {"leads": 100, "won": won[:short], "revenue": revenue[:short]}
    assert deal_law(history(few, periods=short)) is None
    assert deal_law(history({"leads": 100, "won": won}, periods=30)) is None
